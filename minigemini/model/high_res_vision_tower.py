"""The high-resolution tower: a ConvNeXt from timm that returns the maps of its four stages."""

from typing import Any

import timm
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .configuration_minigemini import MiniGeminiHighResVisionConfig


class MiniGeminiHighResVisionModel(PreTrainedModel):
    """ConvNeXt without its head: picture -> feature pyramid. As in timm, drop path (stochastic depth) is on in training mode."""

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
        checkpointed = self.gradient_checkpointing and self.training and torch.is_grad_enabled()
        hidden = self.stem(pixel_values.to(self.dtype))
        pyramid = []
        for stage in self.stages:
            hidden = stage.downsample(hidden)
            for block in stage.blocks:
                hidden = self._gradient_checkpointing_func(block, hidden) if checkpointed else block(hidden)
            pyramid.append(hidden)
        return pyramid

    def get_input_embeddings(self) -> nn.Module:
        raise NotImplementedError("pictures have no embeddings")


__all__ = ["MiniGeminiHighResVisionModel"]
