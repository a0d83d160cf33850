import bitsandbytes as bnb
import pytest
import torch
from PIL import Image
from released import converted
from shared import needs_recorded
from torch import nn
from transformers import AutoModelForImageTextToText

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiModel, MiniGeminiProcessor, nano
from minigemini.checkpoints.bits import in_bits
from minigemini.checkpoints.load import load_model

QUANTISED = {4: bnb.nn.Linear4bit, 8: bnb.nn.Linear8bitLt}
STORED = {4: torch.uint8, 8: torch.int8}


def kinds(model: nn.Module) -> dict[str, set[type]]:
    """Per part, the types of its linear layers."""
    found: dict[str, set[type]] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            found.setdefault(name.removeprefix("model.").split(".")[0], set()).add(type(module))
    return found


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("cls", [MiniGeminiForConditionalGeneration, MiniGeminiModel, AutoModelForImageTextToText])
def test_only_the_language_model_is_quantised(bits, cls, tmp_path):
    """Also after saving and loading, which need not be told."""
    model = cls.from_pretrained(nano.path("nano"), quantization_config=in_bits(bits), dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16, STORED[bits]}
    model.save_pretrained(tmp_path)
    for found in (kinds(model), kinds(cls.from_pretrained(tmp_path))):
        assert found.pop("language_model") == {QUANTISED[bits]}
        assert not set().union(*found.values()) & set(QUANTISED.values())


@needs_recorded
@pytest.mark.parametrize(("bits", "alike"), [(8, 0.999), (4, 0.97)])
def test_a_converted_release(bits, alike, tmp_path):
    """Its logits in few bits point where those in 16 bits do; its towers and the mining are as they were."""
    folder = converted("llama_std/MGM-7B-tiny", tmp_path / "converted")
    processor = MiniGeminiProcessor.from_pretrained(folder)
    inputs = processor(
        images=[Image.effect_mandelbrot((90, 60), (-2, -1, 1, 1), 50).convert("RGB")],
        text="<image>\nWhat is this?",
        return_tensors="pt",
    ).to(torch.bfloat16)
    whole, small = load_model(str(folder), dtype=torch.bfloat16), load_model(str(folder), bits=bits)
    assert kinds(small)["language_model"] == {QUANTISED[bits]}
    pixels = inputs["pixel_values"], inputs["high_res_pixel_values"]
    with torch.inference_mode():
        seen = [model.get_image_features(*pixels).pooler_output for model in (whole, small)]
        logits = [model(**inputs).logits[0].float().flatten() for model in (whole, small)]
    torch.testing.assert_close(*seen, rtol=0, atol=0)
    assert torch.cosine_similarity(*logits, dim=0) > alike
    assert not torch.equal(*logits)


def test_other_bits():
    with pytest.raises(ValueError, match="in 4 or 8 bits, not 3"):
        in_bits(3)  # type: ignore[arg-type]
