"""Loading the trained parts that a new model and its processor are put together from."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from .high_res_vision_tower import MiniGeminiHighResVisionModel

# Types of vision models that turn a square picture into one token a patch, in reading order.
LOW_RES_TOWERS = ("clip_vision_model", "siglip_vision_model", "dinov2", "dinov2_with_registers", "dinov3_vit")


@dataclass
class Parts:
    language_model: PreTrainedModel  # without its head
    lm_head: nn.Linear
    generation_config: GenerationConfig
    image_token_id: int
    vision_tower: PreTrainedModel
    vision_feature_select_strategy: Literal["default", "full"]
    high_res_vision_tower: MiniGeminiHighResVisionModel | None


def load_parts(
    language_model: str,
    vision_tower: str,
    high_res_vision_tower: str | None,
    high_res_image_size: int | None,
    image_token: str,
    dtype: torch.dtype,
) -> Parts:
    """Load every part, in `dtype`. See `MiniGeminiForConditionalGeneration.from_parts`."""
    tokenizer = tokenizer_with_image_token(language_model, image_token)
    causal: Any = AutoModelForCausalLM.from_pretrained(language_model, dtype=dtype)
    if len(tokenizer) > causal.get_input_embeddings().weight.shape[0]:
        causal.resize_token_embeddings(len(tokenizer))
    lm_head = causal.get_output_embeddings()
    if lm_head.bias is not None:
        raise ValueError(f"{language_model}: a language model whose head has a bias is not supported")

    high_res = None
    if high_res_vision_tower is not None:
        if high_res_image_size is None:
            raise ValueError("high_res_image_size is needed with high_res_vision_tower")
        high_res = MiniGeminiHighResVisionModel.from_part(str(high_res_vision_tower), high_res_image_size, dtype)
    tower = load_vision_tower(vision_tower, dtype)
    image_token_id = tokenizer.convert_tokens_to_ids(image_token)
    assert isinstance(image_token_id, int)
    return Parts(
        language_model=causal.get_decoder(),
        lm_head=lm_head,
        generation_config=causal.generation_config,
        image_token_id=image_token_id,
        vision_tower=tower,
        vision_feature_select_strategy="full" if tower.config.model_type == "siglip_vision_model" else "default",
        high_res_vision_tower=high_res,
    )


def vision_config(vision_tower: str) -> PreTrainedConfig:
    """Configuration of a vision tower, also out of a whole CLIP or SigLIP model.

    Raises:
        ValueError: it is none of `LOW_RES_TOWERS`; SigLIP 2 is one, but not in its variant for any shape (NaFlex).
    """
    config = AutoConfig.from_pretrained(vision_tower)
    config = getattr(config, "vision_config", config)
    if config.model_type not in LOW_RES_TOWERS:
        raise ValueError(
            f"{vision_tower}: the low-resolution tower must be one of {', '.join(LOW_RES_TOWERS)}, "
            f"not {config.model_type}"
        )
    return config


def load_vision_tower(vision_tower: str, dtype: torch.dtype) -> PreTrainedModel:
    model, report = AutoModel.from_pretrained(
        vision_tower, config=vision_config(vision_tower), dtype=dtype, output_loading_info=True
    )
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ValueError(f"{vision_tower}: the vision tower misses {len(missing)} tensors, first {missing[0]!r}")
    return model


def tokenizer_with_image_token(language_model: str, image_token: str) -> PreTrainedTokenizerBase:
    """The tokenizer, with `image_token` as one special token and something to pad with."""
    tokenizer = AutoTokenizer.from_pretrained(language_model)
    if image_token not in tokenizer.get_vocab():
        tokenizer.add_tokens([image_token], special_tokens=True)
    if tokenizer.pad_token is None:  # masked wherever it stands, so any token will do
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer
