"""Every kind of part that a recipe may name: built tiny, put together, trained a few steps, saved, loaded."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import tiny
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer, CLIPImageProcessor

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT = {**SMALL, "num_key_value_heads": 2, "head_dim": 8}
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": None},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "gemma": {},
    "gemma2": {},
    "gemma3_text": {"sliding_window": 64},
    "qwen2": {},
    "qwen3": {},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    "phi3": {},
    "smollm3": {},
}
VIT = {**SMALL, "num_hidden_layers": 3, "image_size": 28, "patch_size": 14}
LOW_RES: dict[str, dict[str, Any]] = {
    "clip_vision_model": {},
    "siglip_vision_model": {},  # SigLIP 2's checkpoints of fixed size are of this type too
    "dinov2": {"mlp_ratio": 2},
    "dinov2_with_registers": {"mlp_ratio": 2, "num_register_tokens": 4},
    "dinov3_vit": {"num_register_tokens": 4},
}
# CLIP's and DINOv3's ConvNeXts are trunks of these names, told from each other by weights alone.
HIGH_RES = (
    "convnext_base", "convnext_large", "convnext_large_mlp", "convnext_xxlarge", "convnextv2_base", "convnext_tiny"
)  # fmt: skip
PAIR = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "Red."}]},
]


def write_language_model(kind: str, like: str, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(like)
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    fields = {**TEXT, "vocab_size": len(tokenizer), **special, **LANGUAGE_MODELS[kind]}
    AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **fields)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_low_res(kind: str, folder: Path) -> None:
    AutoModel.from_config(AutoConfig.for_model(kind, **{**VIT, **LOW_RES[kind]})).save_pretrained(folder)
    CLIPImageProcessor(size=28, crop_size=28).save_pretrained(folder)


def write_high_res(architecture: str, folder: Path) -> None:
    tower = timm.create_model(architecture, num_classes=0, **tiny.MODEL_ARGS)
    folder.mkdir()
    config = {"architecture": architecture, "model_args": tiny.MODEL_ARGS}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tower.state_dict(), folder / "model.safetensors")


def learns_and_comes_back(parts: dict[str, str], folder: Path) -> None:
    torch.manual_seed(0)
    model: Any = tiny.new_model(parts)
    processor: Any = tiny.new_processor(parts)
    conversation = [{**turn, "content": [dict(part) for part in turn["content"]]} for turn in PAIR]
    conversation[0]["content"][0]["image"] = Image.new("RGB", (50, 30), "red")
    batch = processor.apply_chat_template(conversation, tokenize=True, return_dict=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["input_ids"] == model.config.image_token_id, -100)

    trained = [model.model.patch_info_mining, model.model.multi_modal_projector, model.model.language_model]
    model.requires_grad_(False)
    for part in trained:
        part.requires_grad_(True)
    frozen = {name: value.clone() for name, value in model.model.vision_tower.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    model.train()
    for _ in range(5):
        loss = model(**batch, labels=labels).loss
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0] - 0.3, losses
    for name, value in model.model.vision_tower.state_dict().items():
        assert torch.equal(value, frozen[name]), name

    model.eval()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    again, report = MiniGeminiForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    assert type(again.model.language_model) is type(model.model.language_model)
    batch = MiniGeminiProcessor.from_pretrained(folder).apply_chat_template(
        conversation[:1], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    assert torch.equal(again(**batch).logits, model(**batch).logits)
    blank = {**batch, "high_res_pixel_values": torch.zeros_like(batch["high_res_pixel_values"])}
    assert not torch.equal(again(**blank).logits, again(**batch).logits), "the high resolution does not count"
    assert again.generate(**batch, max_new_tokens=3).shape[1] > batch["input_ids"].shape[1]


@pytest.mark.parametrize("kind", LANGUAGE_MODELS)
def test_language_model(kind, tiny_parts, tmp_path):
    write_language_model(kind, tiny_parts["language_model"], tmp_path / "part")
    learns_and_comes_back({**tiny_parts, "language_model": str(tmp_path / "part")}, tmp_path / "model")


@pytest.mark.parametrize("kind", LOW_RES)
def test_low_resolution_tower(kind, tiny_parts, tmp_path):
    write_low_res(kind, tmp_path / "part")
    learns_and_comes_back({**tiny_parts, "vision_tower": str(tmp_path / "part")}, tmp_path / "model")


@pytest.mark.parametrize("architecture", HIGH_RES)
def test_high_resolution_tower(architecture, tiny_parts, tmp_path):
    write_high_res(architecture, tmp_path / "part")
    learns_and_comes_back({**tiny_parts, "high_res_vision_tower": str(tmp_path / "part")}, tmp_path / "model")
