"""8-bit and 4-bit loading by bitsandbytes: which parts stay as they are."""

import logging
from typing import Literal

import torch
from torch import nn
from transformers import BitsAndBytesConfig

# Patterns of module names, for the model with its head and without. The towers and mining are a small part of the memory and
# the picture's only way in; the projector is two layers; the head is often tied to the embeddings.
KEPT = [
    *(rf"(model\.)?{part}" for part in ("vision_tower", "high_res_vision_tower", "patch_info_mining")),
    r"(model\.)?multi_modal_projector",
    "lm_head",
]


def is_in_bits(model: nn.Module) -> bool:
    """Whether layers of the model are in 8 or 4 bit."""
    return any(type(module).__name__ in ("Linear8bitLt", "Linear4bit") for module in model.modules())


def in_bits(bits: Literal[4, 8]) -> BitsAndBytesConfig:
    """`quantization_config` of `from_pretrained`: the language model's layers in 8 bit (LLM.int8) or 4 bit (nf4).

    Towers, mining, projector, embeddings and head stay in the model's type (16 bit, `dtype=torch.bfloat16`).

    Raises:
        ValueError: other bits.
    """
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.NOTSET)  # silent until then
    if bits == 8:
        # That it casts bfloat16 to float16 it would say at every layer of every token.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=KEPT)
    if bits == 4:
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.bfloat16,
            llm_int8_skip_modules=KEPT,
        )
    raise ValueError(f"weights can be loaded in 4 or 8 bits, not {bits}")
