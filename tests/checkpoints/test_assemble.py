"""Putting a model together from folders, as a user downloads them."""

from typing import Any

import pytest
import tiny
import torch
from PIL import Image
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    SiglipImageProcessor,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.checkpoints.assemble import NewModel, Parts, assemble_model, assemble_processor

MESSAGES = [
    {
        "role": "user",
        "content": [{"type": "image", "image": Image.new("RGB", (50, 30), "red")}, {"type": "text", "text": "Hi"}],
    }
]


def assemble(parts: dict, **choices) -> tuple[Any, Any]:
    return tiny.new_model(parts, **choices), tiny.new_processor(parts, **choices)


def inputs(processor: MiniGeminiProcessor) -> dict:
    return processor.apply_chat_template(
        MESSAGES, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )


def test_parts_are_what_was_loaded_and_the_rest_is_new(tiny_parts):
    model, processor = assemble(tiny_parts)
    language_model: Any = AutoModelForCausalLM.from_pretrained(tiny_parts["language_model"])
    for name, tensor in language_model.state_dict().items():
        name = name if name.startswith("lm_head") else "model.language_" + name
        assert torch.equal(model.get_parameter(name), tensor)
    assert not any(parameter.is_meta for parameter in model.parameters())
    assert not any(buffer.is_meta for buffer in model.buffers())
    assert model.model.patch_info_mining.value_projection.weight.abs().max() > 0
    assert not any(module.training for module in model.modules())
    assert model.config.image_token_id == processor.image_token_id
    assert model.config.tokens_per_image == tiny.IMAGE_TOKENS
    assert model.generation_config.eos_token_id == language_model.generation_config.eos_token_id


def test_save_and_load(tiny_parts, tmp_path):
    model, processor = assemble(tiny_parts)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded: Any = MiniGeminiForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    again, report = loaded
    assert not any(report.values()), report
    batch = inputs(processor)
    assert torch.equal(again(**batch).logits, model(**batch).logits)
    generated = [m.generate(**batch, max_new_tokens=5, do_sample=False) for m in (model, again)]
    assert torch.equal(*generated)
    assert model.config.to_dict()["high_res_vision_config"] == again.config.to_dict()["high_res_vision_config"]


def test_a_picture_is_never_generated(tiny_parts):
    model, processor = assemble(tiny_parts)
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.weight[processor.image_token_id] = 1e3 * torch.randn(32)
        # whatever the hidden state, the image token or its negative wins
    batch = inputs(processor)
    generated = model.generate(**batch, max_new_tokens=8)[:, batch["input_ids"].shape[1] :]
    assert (generated != processor.image_token_id).all()


def test_an_image_token_is_added_where_there_is_none(tiny_parts, tmp_path):
    folder = tmp_path / "language_model"
    tokenizer = AutoTokenizer.from_pretrained(tiny_parts["language_model"])
    language_model: Any = AutoModelForCausalLM.from_pretrained(tiny_parts["language_model"])
    old = language_model.config.vocab_size
    language_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    parts = Parts(**{**tiny_parts, "language_model": str(folder)})
    token = "<|picture|>"
    template = tmp_path / "template.jinja"
    template.write_text(tokenizer.chat_template.replace("<image>", token))
    new = NewModel(high_res_image_size=tiny.HIGH_RES_SIZE, chat_template=str(template))
    model = assemble_model(parts, new, image_token=token)
    processor = assemble_processor(parts, new, image_token=token)
    assert model.config.image_token_id == processor.image_token_id == old
    assert model.config.text_config.vocab_size == old + 1
    assert (
        model.lm_head.weight.shape[0]
        == dict(model.named_parameters())["model.language_model.embed_tokens.weight"].shape[0]
        == old + 1
    )
    assert torch.equal(model.lm_head.weight[:old], language_model.lm_head.weight)
    batch = inputs(processor)
    assert (batch["input_ids"] == old).sum() == tiny.IMAGE_TOKENS
    model(**batch)
    processor.save_pretrained(tmp_path / "saved")
    assert MiniGeminiProcessor.from_pretrained(tmp_path / "saved").image_token_id == old


def test_whole_clip_model_as_vision_tower(tiny_parts, tmp_path):
    """Its vision half is taken."""
    vision = {
        "image_size": 28,
        "patch_size": 14,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
    }
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    clip = CLIPModel(CLIPConfig(vision_config=vision, text_config=text))
    clip.save_pretrained(tmp_path)
    CLIPImageProcessor(size=28, crop_size=28).save_pretrained(tmp_path)
    model, processor = assemble({**tiny_parts, "vision_tower": str(tmp_path)})
    expected = dict(clip.vision_model.named_parameters())
    for name, parameter in model.model.vision_tower.named_parameters():
        assert torch.equal(parameter, expected[name]), name
    model(**inputs(processor))


def test_siglip(tiny_parts, tmp_path):
    config = SiglipVisionConfig(
        image_size=28, patch_size=14, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4
    )
    SiglipVisionModel(config).save_pretrained(tmp_path)
    SiglipImageProcessor(size={"height": 28, "width": 28}).save_pretrained(tmp_path)
    model, processor = assemble({**tiny_parts, "vision_tower": str(tmp_path)})
    assert model.config.vision_feature_select_strategy == "full"
    assert list(processor.image_processor.image_mean) == [0.5, 0.5, 0.5]
    model(**inputs(processor))


def test_without_high_resolution_tower(tiny_parts, tmp_path):
    model, processor = assemble({**tiny_parts, "high_res_vision_tower": None})
    assert model.config.high_res_vision_config is None
    model.save_pretrained(tmp_path)
    batch = inputs(processor)
    again = MiniGeminiForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(again(**batch).logits, model(**batch).logits)


def test_dtype(tiny_parts):
    model, processor = assemble(tiny_parts)
    half = assemble_model(Parts(**tiny_parts), NewModel(tiny.HIGH_RES_SIZE), dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    assert half.config.dtype == torch.bfloat16
    half(**inputs(processor))


def test_errors_name_the_part(tiny_parts, tmp_path):
    with pytest.raises(ValueError, match="multiple of 32 pixels"):
        assemble(tiny_parts, high_res_image_size=72)
    with pytest.raises(ValueError, match="must be one of clip_vision_model, .*, not llama"):
        assemble({**tiny_parts, "vision_tower": tiny_parts["language_model"]})
    incomplete = tmp_path / "vision_tower"
    model, _ = assemble(tiny_parts)
    tower = model.model.vision_tower
    state = {name: tensor for name, tensor in tower.state_dict().items() if "layers.1" not in name}
    tower.save_pretrained(incomplete, state_dict=state)
    with pytest.raises(ValueError, match="vision tower misses 16 tensors"):
        assemble({**tiny_parts, "vision_tower": str(incomplete)})
