"""Mixtral, Mistral and Llama 3 with crops but no global view were not recorded. Checkpoints in the original's layout are made
here, and the original's computation is written out once more beside them (``released.image_tokens``)."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from released import TOWERS, image_tokens, write_release
from shared import RECORDED, needs_recorded
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
)

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.checkpoints.convert_mgm.convert import convert

pytestmark = needs_recorded

SIZES: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
KINDS = ["mixtral", "mistral", "llama3_hd"]


def language_model(kind: str) -> Any:
    torch.manual_seed(1)
    if kind == "mixtral":
        return MixtralForCausalLM(MixtralConfig(**SIZES, num_local_experts=4, rope_parameters=rope(1e6))).eval()
    if kind == "mistral":
        return MistralForCausalLM(MistralConfig(**SIZES, sliding_window=8)).eval()
    return LlamaForCausalLM(LlamaConfig(**SIZES, rope_parameters=rope(5e5), rms_norm_eps=1e-5)).eval()


def rope(theta: float) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": theta}


@pytest.fixture(scope="module", params=KINDS)
def release(request, tmp_path_factory) -> tuple[str, dict[str, Any], Path, Any]:
    """Its kind, its parts, the folder it was converted into and the report."""
    kind = request.param
    source, out = tmp_path_factory.mktemp(kind) / "source", tmp_path_factory.mktemp(kind) / "out"
    model_type = {"mixtral": "mgm_mixtral", "mistral": "mgm_mistral", "llama3_hd": "mgm"}[kind]
    tokenizer, grid = ("llama3", 2) if kind == "llama3_hd" else ("mistral", 1)
    parts = write_release(source, language_model(kind), model_type, tokenizer, grid=grid)
    return kind, parts, out, convert(str(source), out, **TOWERS)


def question(processor: Any, pictures: int, words: str = "What is shown?") -> Any:
    files = sorted((RECORDED / "preprocess" / "images").glob("*.png"))[:pictures]
    parts: list[Any] = [{"type": "image", "image": Image.open(file)} for file in files]
    said = [{"role": "user", "content": [*parts, {"type": "text", "text": words}]}]
    return processor.apply_chat_template(
        said, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )


def test_report(release):
    kind, _, _, report = release
    expected = {
        "mixtral": ("mixtral", "mistral_instruct", ["</s>"]),
        "mistral": ("mistral", "mistral_instruct", ["</s>"]),
        "llama3_hd": ("llama", "llama_3", ["<|eot_id|>"]),
    }
    assert (report.language_model, report.chat_template, report.stops_at) == expected[kind]
    assert report.dropped == {}


def test_configuration(release):
    kind, _, out, _ = release
    config = MiniGeminiForConditionalGeneration.from_pretrained(out).config
    text = config.text_config
    if kind == "mixtral":
        assert text.num_local_experts == 4
        assert text.rope_parameters["rope_theta"] == 1e6
    elif kind == "mistral":
        assert text.sliding_window == 8
    else:
        assert text.rope_parameters["rope_theta"] == 5e5
        assert (config.image_grid, config.image_global, config.tokens_per_image) == (2, False, 64)


@torch.no_grad()
@pytest.mark.parametrize("pictures", [0, 1, 2])
def test_logits(release, pictures):
    kind, parts, out, _ = release
    model = MiniGeminiForConditionalGeneration.from_pretrained(out).eval()
    inputs = question(MiniGeminiProcessor.from_pretrained(out), pictures)
    per_picture = 64 if kind == "llama3_hd" else 16
    shown = (inputs["input_ids"] == model.config.image_token_id)[0]
    assert int(shown.sum()) == pictures * per_picture

    language = parts["language_model"]
    embeddings = language.get_input_embeddings()(inputs["input_ids"].masked_fill(shown, 0))[0]
    if pictures:
        pixels = zip(inputs["pixel_values"], inputs["high_res_pixel_values"], strict=True)
        embeddings[shown] = torch.cat([image_tokens(parts, low, high) for low, high in pixels])
    expected = language(inputs_embeds=embeddings[None]).logits
    found = model(**inputs).logits
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


@torch.no_grad()
def test_a_batch_padded_on_the_left_answers_as_each_alone(release):
    _, _, out, _ = release
    model = MiniGeminiForConditionalGeneration.from_pretrained(out).eval()
    processor = MiniGeminiProcessor.from_pretrained(out)
    alone = [question(processor, 1), question(processor, 2, "Compare."), question(processor, 0, "Is it night?")]
    rows = [one["input_ids"][0] for one in alone]
    batch = {
        "input_ids": torch.nn.utils.rnn.pad_sequence(rows, True, processor.tokenizer.pad_token_id, "left"),
        "attention_mask": torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], True, 0, "left"),
        "pixel_values": torch.cat([one["pixel_values"] for one in alone[:2]]),
        "high_res_pixel_values": torch.cat([one["high_res_pixel_values"] for one in alone[:2]]),
    }
    together = model.generate(**batch, max_new_tokens=8)[:, batch["input_ids"].shape[1] :]
    for row, one in zip(together, alone, strict=True):
        own = model.generate(**one, max_new_tokens=8)[0, one["input_ids"].shape[1] :]
        assert row[: len(own)].tolist() == own.tolist()


def test_training_with_several_pictures(release):
    """Any number, with crops as well, which the original cannot; with a sample of text beside them."""
    _, _, out, _ = release
    model = MiniGeminiForConditionalGeneration.from_pretrained(out).train()
    inputs = question(MiniGeminiProcessor.from_pretrained(out), 2, "Compare.")
    labels = inputs["input_ids"].masked_fill(inputs["input_ids"] == model.config.image_token_id, -100)
    model(**inputs, labels=labels).loss.backward()
    mining = model.model.patch_info_mining
    assert mining.query_projection.weight.grad.abs().max() > 0
    embedding = model.get_input_embeddings().weight.grad
    unused = next(token for token in range(512) if token not in inputs["input_ids"])
    assert embedding[unused].abs().max() == 0  # no gradient leaks to the id that stands in for a picture


def test_saved_again_it_is_the_same(release, tmp_path):
    """Mixtral's experts are fused in memory and apart on disk, as in the original."""
    _, _, out, _ = release
    model = MiniGeminiForConditionalGeneration.from_pretrained(out)
    model.save_pretrained(tmp_path)
    again, info = MiniGeminiForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
