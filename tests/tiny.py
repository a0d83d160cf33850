"""Tiny but real parts of a model, written to disk as a user would have them: HF Llama + byte-level BPE tokenizer with a chat
template, HF CLIP vision tower, timm ConvNeXt. Random weights; everything is made in about a second."""

import json
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from minigemini import MiniGeminiConfig, MiniGeminiModel
from minigemini.checkpoints.assemble import NewModel, Parts, assemble_model, assemble_processor

CHAT_TEMPLATE = """{{ bos_token }}{% for message in messages %}
{%- if message.role == "user" %}USER:{% for part in message.content %}
{%- if part.type == "image" %}<image>{% else %} {{ part.text | trim }}{% endif %}{% endfor %}
{%- elif message.role == "assistant" %} ASSISTANT:{% generation %}{% for part in message.content %} {{ part.text | trim }}
{%- endfor %}{{ eos_token }}{% endgeneration %}
{%- else %}{{ raise_exception("no role " + message.role) }}{% endif %}{% endfor %}
{%- if add_generation_prompt %} ASSISTANT:{% endif %}"""

IMAGE_TOKENS = 4  # 28 pixels in patches of 14
HIGH_RES_SIZE = 64
ARCHITECTURE = "convnext_atto"
MODEL_ARGS: dict[str, Any] = {"dims": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}


def write_parts(folder: Path) -> dict[str, str]:
    """Write the parts into ``folder``; their paths under the names that recipes and `assemble.Parts` know."""
    paths = {name: str(folder / name) for name in ("language_model", "vision_tower", "high_res_vision_tower")}
    torch.manual_seed(0)
    write_language_model(Path(paths["language_model"]))
    write_vision_tower(Path(paths["vision_tower"]))
    write_high_res_vision_tower(Path(paths["high_res_vision_tower"]))
    return paths


def write_language_model(folder: Path) -> None:
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<pad>", "<s>", "</s>", "<image>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["USER: what is in the picture? ASSISTANT: a red circle"] * 4, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def write_vision_tower(folder: Path) -> None:
    config = CLIPVisionConfig(
        image_size=28, patch_size=14, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4
    )
    CLIPVisionModel(config).save_pretrained(folder)
    CLIPImageProcessor(size=28, crop_size=28).save_pretrained(folder)


def write_high_res_vision_tower(folder: Path) -> None:
    folder.mkdir(parents=True)
    tower = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0, **MODEL_ARGS)
    (folder / "config.json").write_text(
        json.dumps({"architecture": ARCHITECTURE, "model_args": MODEL_ARGS, "num_classes": 0})
    )
    save_file(tower.state_dict(), folder / "model.safetensors")


def new_model(parts: dict[str, Any], **choices: Any) -> Any:
    """Assembled of the parts; `choices` are those of `NewModel`."""
    return assemble_model(Parts(**parts), NewModel(**{"high_res_image_size": HIGH_RES_SIZE, **choices}))


def new_processor(parts: dict[str, Any], **choices: Any) -> Any:
    return assemble_processor(Parts(**parts), NewModel(**{"high_res_image_size": HIGH_RES_SIZE, **choices}))


def image_encoder(high_res_size: int, grid: int = 1) -> MiniGeminiModel:
    """A model in memory, to look with: nine tokens a view, the whole view too where there are crops, blocks that do something."""
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(0)
    config = MiniGeminiConfig(
        text_config={**small, "model_type": "llama", "vocab_size": 100},
        vision_config={**small, "model_type": "clip_vision_model", "image_size": 42, "patch_size": 14},
        high_res_vision_config={
            "architecture": ARCHITECTURE,
            "model_args": {"depths": [1, 1, 1, 1], "dims": [8, 12, 16, 20], "ls_init_value": 0.5},
            "image_size": high_res_size,
        },
        image_grid=grid,
        image_global=grid > 1,
    )
    return MiniGeminiModel(config).eval()
