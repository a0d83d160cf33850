"""The high-resolution tower: a ConvNeXt from timm that returns the maps of its four stages."""

import json
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import cached_file

from .configuration_minigemini import MiniGeminiHighResVisionConfig

OPEN_CLIP_CONFIG = "open_clip_config.json"
OPEN_CLIP_WEIGHTS = [
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
]
TIMM_CONFIG = "config.json"
TIMM_WEIGHTS = ["model.safetensors", "pytorch_model.bin"]


class MiniGeminiHighResVisionModel(PreTrainedModel):
    """ConvNeXt without its head: picture -> feature pyramid.

    Frozen (no parameter requires a gradient) it stays in eval mode, whatever `train()` is called on, so that drop path
    (stochastic depth) is off: noise on features that cannot adapt to it only harms.
    """

    config: MiniGeminiHighResVisionConfig
    main_input_name = "pixel_values"
    input_modalities = "image"
    supports_gradient_checkpointing = True
    _no_split_modules = ["ConvNeXtBlock"]
    _supports_sdpa = True  # has no attention at all
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: MiniGeminiHighResVisionConfig):
        super().__init__(config)
        if not timm.is_model(config.architecture) or not config.architecture.startswith("convnext"):
            raise ValueError(f"high_res_vision_config.architecture: timm has no ConvNeXt named {config.architecture!r}")
        model_args = {**(config.model_args or {}), "num_classes": 0}
        trunk: Any = timm.create_model(config.architecture, pretrained=False, **model_args)
        self.stem, self.stages = trunk.stem, trunk.stages  # its last norm and head have nothing to do here
        self.stage_channels: list[int] = [stage["num_chs"] for stage in trunk.feature_info]
        self.gradient_checkpointing = False
        self._gradient_checkpointing_func: Any = None  # set by transformers with the flag
        self.post_init()

    def forward(self, pixel_values: Tensor) -> list[Tensor]:
        """
        Args:
            pixel_values: [B, 3, S, S], S = config.image_size or any other multiple of eight times the stem's stride.

        Returns:
            The stages' maps, [B, C_s, S / (4 * 2^s), S / (4 * 2^s)] for s = 0..3.
        """
        if self.training and self.is_frozen():  # frozen after train() was called
            self.eval()
        checkpointed = self.gradient_checkpointing and self.training and torch.is_grad_enabled()
        hidden = self.stem(pixel_values.to(self.dtype))
        pyramid = []
        for stage in self.stages:
            hidden = stage.downsample(hidden)
            for block in stage.blocks:
                hidden = self._gradient_checkpointing_func(block, hidden) if checkpointed else block(hidden)
            pyramid.append(hidden)
        return pyramid

    def is_frozen(self) -> bool:
        return not any(parameter.requires_grad for parameter in self.parameters())

    def train(self, mode: bool = True) -> "MiniGeminiHighResVisionModel":
        return super().train(mode and not self.is_frozen())

    def get_input_embeddings(self) -> nn.Module:
        raise NotImplementedError("pictures have no embeddings")

    @classmethod
    def from_part(cls, path: str, image_size: int, dtype: torch.dtype) -> "MiniGeminiHighResVisionModel":
        """Load the tower from a timm or an open_clip folder, or a hub id of such.

        Args:
            path: folder or hub id. With `open_clip_config.json` it is taken as open_clip's, whose weights may be a
                pickle (read with `weights_only`); else its `config.json` must be timm's.
            image_size: side in pixels of the pictures it will see.

        Raises:
            ValueError: neither format, or weights that do not fit.
        """
        architecture, model_args, prefix, weight_names = describe(path)
        model = cls(
            MiniGeminiHighResVisionConfig(
                architecture=architecture, model_args=model_args, image_size=image_size, dtype=dtype
            )
        )
        file = next((found for name in weight_names if (found := _file(path, name)) is not None), None)
        if file is None:
            raise ValueError(f"{path}: no weights of the high-resolution tower; looked for {', '.join(weight_names)}")
        weights = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
        wanted = model.state_dict()
        # The rest of the file is the head, the text tower, the logit scale.
        weights = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        missing = [key for key in wanted if key not in weights]
        wrong = [key for key in wanted if key in weights and weights[key].shape != wanted[key].shape]
        if missing or wrong:
            raise ValueError(
                f"{file} does not hold a {architecture} with {model_args}: {len(missing)} tensors missing, "
                f"{len(wrong)} of another shape, first {(missing + wrong)[0]!r}"
            )
        model.load_state_dict({key: weights[key] for key in wanted})
        tower: nn.Module = model
        tower.to(dtype)
        return model.eval()


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


__all__ = ["MiniGeminiHighResVisionModel"]
