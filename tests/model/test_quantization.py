import bitsandbytes as bnb
import pytest
import torch
from PIL import Image
from released import converted
from shared import needs_recorded
from torch import nn
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiModel, MiniGeminiProcessor, nano
from minigemini.model.quantization import in_bits

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
    """With our configuration, with a plain one, and after saving and loading."""
    plain = BitsAndBytesConfig(load_in_4bit=bits == 4, load_in_8bit=bits == 8)
    for config in (in_bits(bits), plain):
        model = cls.from_pretrained(nano.path("nano"), quantization_config=config, dtype=torch.bfloat16)
        found = kinds(model)
        assert found.pop("language_model") == {QUANTISED[bits]}
        assert not set().union(*found.values()) & set(QUANTISED.values())
        assert {p.dtype for p in model.parameters()} == {torch.bfloat16, STORED[bits]}
    assert plain.llm_int8_skip_modules is None  # the user's own object is as it was
    model.save_pretrained(tmp_path)
    again = kinds(cls.from_pretrained(tmp_path))
    assert again.pop("language_model") == {QUANTISED[bits]}
    assert not set().union(*again.values()) & set(QUANTISED.values())


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
    whole = MiniGeminiForConditionalGeneration.from_pretrained(folder, dtype=torch.bfloat16).eval()
    small = MiniGeminiForConditionalGeneration.from_pretrained(
        folder, dtype=torch.bfloat16, quantization_config=in_bits(bits)
    ).eval()
    assert kinds(small)["language_model"] == {QUANTISED[bits]}
    pixels = inputs["pixel_values"], inputs["high_res_pixel_values"]
    with torch.inference_mode():
        seen = [model.get_image_features(*pixels).pooler_output for model in (whole, small)]
        logits = [model(**inputs).logits[0].float().flatten() for model in (whole, small)]
    torch.testing.assert_close(*seen, rtol=0, atol=0)
    assert torch.cosine_similarity(*logits, dim=0) > alike
    assert not torch.equal(*logits)


def test_what_a_user_leaves_alone_is_left_alone():
    config = BitsAndBytesConfig(load_in_4bit=True, llm_int8_skip_modules=["model.language_model", "lm_head"])
    found = kinds(MiniGeminiForConditionalGeneration.from_pretrained(nano.path("nano"), quantization_config=config))
    assert found["language_model"] == {nn.Linear}
    assert found["multi_modal_projector"] == {bnb.nn.Linear4bit}


def test_other_bits():
    with pytest.raises(ValueError, match="in 4 or 8 bits, not 3"):
        in_bits(3)  # type: ignore[arg-type]
