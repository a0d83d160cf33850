"""The nano with wider heads that do the same: vLLM's CPU attention begins at 32 numbers a head, and the nano's have 16.

A head of width w has w/2 pairs (j, j + w/2), the j-th of which RoPE turns by theta^(-2j/w) a position. In a head of k times the width, pair
k*j turns as pair j did; all else is zero. Scores are divided by the root of the width: k = 4 makes that twice as much, and queries of
twice the length take it back exactly, in every type (k = 2 would take the root of two, which none holds).
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

TIMES = 4


def write_widened(source: Path, folder: Path) -> Path:
    """A copy of the checkpoint in ``source`` whose heads are four times as wide, in ``folder``; returns it."""
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    text = config["text_config"]
    heads, width = text["num_attention_heads"], text["head_dim"]
    assert text["num_key_value_heads"] == heads
    text["head_dim"] = width * TIMES
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    weights = load_file(folder / "model.safetensors")
    # where each number of all heads goes: by RoPE's pairs, and for values, which are not turned, one behind the other
    head = torch.arange(heads).repeat_interleave(width) * width * TIMES
    number = torch.arange(width).repeat(heads)
    half = width // 2
    turned = head + (number // half) * half * TIMES + (number % half) * TIMES
    straight = head + number
    for name, weight in weights.items():
        layer = name.split(".")[-2]
        if "language_model" not in name or layer not in ("q_proj", "k_proj", "v_proj", "o_proj"):
            continue
        if layer == "o_proj":
            wide = weight.new_zeros(weight.shape[0], heads * width * TIMES)
            wide[:, straight] = weight
        else:
            wide = weight.new_zeros(heads * width * TIMES, weight.shape[1])
            wide[straight if layer == "v_proj" else turned] = weight * (2 if layer == "q_proj" else 1)
        weights[name] = wide
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
