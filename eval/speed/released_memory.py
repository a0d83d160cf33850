"""Memory that converted MGM checkpoints need, by size and bits: `python eval/speed/released_memory.py` prints the README's table.

The models are made at full size on the meta device, which allocates nothing, and their linear layers are replaced by those of
bitsandbytes as loading in 8 or 4 bits replaces them; then every tensor is counted. Sizes of the language models are those of
their published configurations.
"""

import copy
import math
import sys
from dataclasses import dataclass
from typing import Any, Literal

import bitsandbytes as bnb
import torch
from transformers.integrations.bitsandbytes import replace_with_bnb_linear

from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration
from minigemini.checkpoints.bits import KEPT, in_bits
from minigemini.model.configuration_minigemini import CLIP_VIT_L_336, MiniGeminiHighResVisionConfig

Bits = Literal[4, 8, 16]
CONTEXT = 4096  # tokens of the conversation, pictures included

LLAMA_7B = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
LLAMA_13B = {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40}
MISTRAL = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32}
YI_34B = {"hidden_size": 7168, "intermediate_size": 20480, "num_hidden_layers": 60, "num_attention_heads": 56}
GEMMA_2B = {"hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 18, "num_attention_heads": 8}
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "MGM-2B": {**GEMMA_2B, "model_type": "gemma", "num_key_value_heads": 1, "head_dim": 256, "vocab_size": 256000},
    "MGM-7B": {**LLAMA_7B, "model_type": "llama", "vocab_size": 32000},
    "MGM-8B": {**MISTRAL, "model_type": "llama", "num_key_value_heads": 8, "vocab_size": 128256},
    "MGM-13B": {**LLAMA_13B, "model_type": "llama", "vocab_size": 32000},
    "MGM-34B": {**YI_34B, "model_type": "llama", "num_key_value_heads": 8, "vocab_size": 64000},
    "MGM-8x7B": {**MISTRAL, "model_type": "mixtral", "num_key_value_heads": 8, "vocab_size": 32000},
}


@dataclass(frozen=True)
class Memory:
    """Bytes. HD checkpoints have the same weights; a picture takes 2880 tokens of the context instead of 576."""

    name: str
    weights: dict[Bits, int]
    cache: int  # keys and values of CONTEXT tokens in 16 bit


def released_config(name: str) -> MiniGeminiConfig:
    """The configuration that converting `name`, such as "MGM-7B" or "MGM-7B-HD", gives."""
    high_definition = name.endswith("-HD")
    return MiniGeminiConfig(
        text_config=LANGUAGE_MODELS[name.removesuffix("-HD")],
        vision_config=CLIP_VIT_L_336,
        high_res_vision_config=MiniGeminiHighResVisionConfig(image_size=1536 if high_definition else 768),
        image_grid=2 if high_definition else 1,
        image_global=high_definition,
    )


def needed(name: str) -> Memory:
    config = released_config(name)
    text = config.text_config
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    cache = 2 * text.num_hidden_layers * text.num_key_value_heads * head * 2 * CONTEXT
    with torch.device("meta"):
        model: Any = MiniGeminiForConditionalGeneration(config)
    model.tie_weights()
    return Memory(name, {bits: weight_bytes(model, bits) for bits in (16, 8, 4)}, cache)


def weight_bytes(model: Any, bits: Bits) -> int:
    if bits != 16:
        model = copy.deepcopy(model)
        replace_with_bnb_linear(model, KEPT, in_bits(bits))
    return sum(own_bytes(module) for module in model.modules()) - tied_bytes(model)


def own_bytes(module: torch.nn.Module) -> int:
    """Of the tensors that lie in the module itself, not in its children."""
    sizes = {name: parameter.numel() for name, parameter in module.named_parameters(recurse=False)}
    total = 2 * sum(sizes.values())
    if isinstance(module, bnb.nn.Linear8bitLt):  # int8, and a float32 scale for every row
        total += 4 * module.out_features - sizes["weight"]
    elif isinstance(module, bnb.nn.Linear4bit):  # half a byte, and a float32 scale for every 64 weights
        total += 4 * math.ceil(sizes["weight"] / 64) - 2 * sizes["weight"] + sizes["weight"] // 2
    return total


def tied_bytes(model: Any) -> int:
    head, embeddings = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    return 2 * head.numel() if head is embeddings else 0


def table(names: list[str]) -> str:
    lines = [
        f"| checkpoint, and its -HD | 16 bit | 8 bit | 4 bit | cache of {CONTEXT} tokens |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in names:
        memory = needed(name)
        cells = [f"{memory.weights[bits] / 1e9:.1f} GB" for bits in (16, 8, 4)]
        lines.append(f"| {name} | {' | '.join(cells)} | {memory.cache / 1e9:.1f} GB |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(sys.argv[1:] or list(LANGUAGE_MODELS)))
