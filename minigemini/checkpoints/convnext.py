"""A ConvNeXt as timm and open_clip save it -> our high-resolution tower."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers.utils import cached_file

from minigemini.model.configuration_minigemini import MiniGeminiHighResVisionConfig
from minigemini.model.high_res_vision_tower import MiniGeminiHighResVisionModel

OPEN_CLIP_CONFIG = "open_clip_config.json"
OPEN_CLIP_WEIGHTS = [
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
]
TIMM_CONFIG = "config.json"
TIMM_WEIGHTS = ["model.safetensors", "pytorch_model.bin"]


def load_high_res_vision_tower(path: str, image_size: int, dtype: torch.dtype) -> MiniGeminiHighResVisionModel:
    """Load the tower from a timm or an open_clip folder, or a hub id of such; in eval mode.

    Args:
        path: folder or hub id. With `open_clip_config.json` it is taken as open_clip's, whose weights may be a
            pickle (read with `weights_only`); else its `config.json` must be timm's.
        image_size: side in pixels of the pictures it will see.

    Raises:
        ValueError: neither format, or weights that do not fit.
    """
    architecture, model_args, prefix, weight_names = describe(path)
    tower = MiniGeminiHighResVisionModel(
        MiniGeminiHighResVisionConfig(
            architecture=architecture, model_args=model_args, image_size=image_size, dtype=dtype
        )
    )
    file = next((found for name in weight_names if (found := _file(path, name)) is not None), None)
    if file is None:
        raise ValueError(f"{path}: no weights of the high-resolution tower; looked for {', '.join(weight_names)}")
    weights = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
    wanted = tower.state_dict()
    # The rest of the file is the head, the text tower, the logit scale.
    weights = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    missing = [key for key in wanted if key not in weights]
    wrong = [key for key in wanted if key in weights and weights[key].shape != wanted[key].shape]
    if missing or wrong:
        raise ValueError(
            f"{file} does not hold a {architecture} with {model_args}: {len(missing)} tensors missing, "
            f"{len(wrong)} of another shape, first {(missing + wrong)[0]!r}"
        )
    tower.load_state_dict({key: weights[key] for key in wanted})
    tower.to(dtype)  # type: ignore[arg-type]
    return tower.eval()


def normalisation(path: str) -> tuple[list[float], list[float]] | None:
    """Mean and standard deviation of the pixels that the tower in `path` was trained on; None if it does not say."""
    if (open_clip := _json(path, OPEN_CLIP_CONFIG)) is not None:
        stated = open_clip.get("preprocess_cfg", {})
    else:
        stated = (_json(path, TIMM_CONFIG) or {}).get("pretrained_cfg", {})
    return (list(stated["mean"]), list(stated["std"])) if "mean" in stated and "std" in stated else None


def describe(path: str) -> tuple[str, dict[str, Any], str, list[str]]:
    """Architecture, its arguments, the prefix of its keys in the weights, the names the file of weights may have."""
    if (open_clip := _json(path, OPEN_CLIP_CONFIG)) is not None:
        vision = open_clip["model_cfg"]["vision_cfg"]
        if "timm_model_name" not in vision:
            raise ValueError(f"{path}/{OPEN_CLIP_CONFIG}: its vision tower is not from timm, so it is no ConvNeXt")
        drop_path = vision.get("timm_drop_path")
        model_args = {} if drop_path is None else {"drop_path_rate": drop_path}
        return vision["timm_model_name"], model_args, "visual.trunk.", OPEN_CLIP_WEIGHTS
    config = _json(path, TIMM_CONFIG)
    if config is None or "architecture" not in config:
        raise ValueError(f"{path}: neither {OPEN_CLIP_CONFIG} nor a timm {TIMM_CONFIG} with an 'architecture'")
    return config["architecture"], dict(config.get("model_args") or {}), "", TIMM_WEIGHTS


def _file(path: str, name: str) -> Path | None:
    """A file of a folder or of a hub repository; None if it is not there."""
    found = cached_file(path, name, _raise_exceptions_for_missing_entries=False)
    return None if found is None else Path(found)


def _json(path: str, name: str) -> dict[str, Any] | None:
    file = _file(path, name)
    return None if file is None else json.loads(file.read_text(encoding="utf-8"))
