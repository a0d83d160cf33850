"""Checkpoints in the layout of the original system: the recorded ones, and tiny ones of kinds that were not recorded."""

import json
import shutil
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file, save_file
from shared import RECORDED
from transformers import CLIPVisionModel, PreTrainedModel

from minigemini.checkpoints.assemble import load_vision_tower
from minigemini.checkpoints.convert_mgm.convert import convert

OPENAI = RECORDED / "towers" / "model_zoo" / "OpenAI"
TOWERS = {
    "vision_tower": str(OPENAI / "clip-vit-large-patch14-336"),
    "high_res_vision_tower": str(OPENAI / "openclip-convnext-large-d-320-laion2B-s29B-b131K-ft-soup"),
}
CONVNEXT = {"depths": [2, 2, 3, 2], "dims": [16, 32, 64, 128]}  # of the recorded tower


def copied(name: str, folder: Path) -> Path:
    """A recorded folder, to write in."""
    shutil.copytree(RECORDED / name, folder, copy_function=shutil.copyfile)
    return folder


def converted(name: str, folder: Path) -> Path:
    """A recorded checkpoint, converted into `folder`."""
    source = copied(name, folder.with_name(folder.name + "-source"))
    convert(str(source), folder, **TOWERS)
    return folder


def write_release(
    folder: Path,
    language_model: PreTrainedModel,
    model_type: str,
    tokenizer: str,
    *,
    grid: int = 1,
    whole: bool = False,
) -> dict[str, Any]:
    """A checkpoint as the original would have saved it, in one file; its parts for computing what it must answer.

    The language model is saved by transformers, which keeps the names of transformers 4; towers, mining and projector
    are new and random.
    """
    torch.manual_seed(0)
    copied(f"text/tokenizers/{tokenizer}", folder)
    language_model.save_pretrained(folder)
    low_res: Any = load_vision_tower(TOWERS["vision_tower"], torch.float32)
    high_res: Any = timm.create_model("convnext_tiny", num_classes=0, **CONVNEXT).eval()
    for block in (block for stage in high_res.stages for block in stage.blocks):
        torch.nn.init.normal_(block.gamma)  # timm starts at 1e-6, which would hide the blocks
    width = language_model.config.hidden_size
    new = torch.nn.ModuleDict(
        {
            "vlm_uni_query_projector": torch.nn.Sequential(torch.nn.LayerNorm(32), torch.nn.Linear(32, 32)),
            "vlm_uni_aux_projector": torch.nn.Sequential(torch.nn.LayerNorm(240), torch.nn.Linear(240, 32)),
            "vlm_uni_val_projector": torch.nn.Sequential(torch.nn.LayerNorm(240), torch.nn.Linear(240, 32)),
            "mm_projector": torch.nn.Sequential(
                torch.nn.Linear(32, width), torch.nn.GELU(), torch.nn.Linear(width, width)
            ),
        }
    ).eval()
    for name, parameter in new.named_parameters():
        if ".0." in name and not name.startswith("mm_"):  # a LayerNorm that does something
            torch.nn.init.normal_(parameter, 1.0 if name.endswith("weight") else 0.0, 0.3)
    weights = {f"model.vision_tower.vision_tower.vision_model.{n}": t for n, t in low_res.state_dict().items()}
    trunk = {n: t for n, t in high_res.state_dict().items() if n.startswith(("stem.", "stages."))}
    weights |= {f"model.vision_tower_aux.vision_{n}": t for n, t in trunk.items()}
    weights |= {f"model.{n}": t for n, t in new.state_dict().items()}
    save_file(load_file(folder / "model.safetensors") | weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")  # transformers 4 had it in two keys
    config |= {
        "rope_theta": rope["rope_theta"],
        "rope_scaling": None,
        "torch_dtype": config.pop("dtype"),
        "model_type": model_type,
        "image_size_aux": 128 * grid,
        "image_grid": grid,
        "image_global": whole,
        "image_aspect_ratio": "pad",
        "mm_vision_tower": "model_zoo/OpenAI/clip-vit-large-patch14-336",
        "mm_vision_tower_aux": "model_zoo/OpenAI/openclip-convnext-large-d-320-laion2B-s29B-b131K-ft-soup",
        "mm_vision_select_layer": -2,
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return {"language_model": language_model, "low_res": low_res, "high_res": high_res, "new": new, "grid": grid}


def image_tokens(parts: dict[str, Any], low_res_pixels: torch.Tensor, high_res_pixels: torch.Tensor) -> torch.Tensor:
    """What the original's `encode_images` gives for one picture without global view: [tokens, width].

    Written out by its facts: upsample all stages to the first, cut in crops, cut the crops in cells, attend in each.
    """
    clip: CLIPVisionModel = parts["low_res"]
    views = low_res_pixels if low_res_pixels.ndim == 4 else low_res_pixels[None]
    low = clip(views, output_hidden_states=True).hidden_states[-2][:, 1:]  # [T, n * n, 32]
    trunk, hidden, maps = parts["high_res"], high_res_pixels[None], []
    hidden = trunk.stem(hidden)
    for stage in trunk.stages:
        hidden = stage(hidden)
        maps.append(hidden)
    side = maps[0].shape[-1]
    whole = torch.cat([torch.nn.functional.interpolate(m, (side, side), mode="bilinear") for m in maps], 1)[0]
    tokens = []
    for crop, view in enumerate(low):
        row, column = divmod(crop, parts["grid"])
        size = side // parts["grid"]
        area = whole[:, row * size : (row + 1) * size, column * size : (column + 1) * size]
        n = round(len(view) ** 0.5)
        cell = size // n
        for number, token in enumerate(view):
            r, c = divmod(number, n)
            under = area[:, r * cell : (r + 1) * cell, c * cell : (c + 1) * cell].flatten(1).T  # [64, 240]
            query = parts["new"]["vlm_uni_query_projector"](token)
            key, value = (parts["new"][f"vlm_uni_{part}_projector"](under) for part in ("aux", "val"))
            tokens.append(token + (key @ query / len(query) ** 0.5).softmax(0) @ value)
    return parts["new"]["mm_projector"](torch.stack(tokens))
