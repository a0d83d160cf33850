"""What a picture looks like while it is being drawn."""

from __future__ import annotations

import math
from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLQwenImage,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    TCDScheduler,
)
from PIL import Image

AUTOENCODERS = (AutoencoderKL, AutoencoderDC, AutoencoderKLQwenImage)
"""Those whose latents we know how to show."""

LONGEST_SIDE = 32
"""Latents of a preview: larger ones are made small before they are decoded, which takes most of the time. 256 pixels, where the
autoencoder makes 8 of one."""


def can_preview(pipeline: DiffusionPipeline) -> bool:
    return type(pipeline.components.get("vae")) in AUTOENCODERS


def clean_latents(scheduler: Any, latents: torch.Tensor, output: torch.Tensor, result: Any) -> torch.Tensor:
    """What the step just taken expects the latents to be without noise, in the shape of ``latents``.

    Args:
        scheduler: after the step.
        latents: before the step.
        output: of the denoiser.
        result: of the step.
    """
    if isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        # latents = (1 - sigma) clean + sigma noise, and output = noise - clean
        return latents - scheduler.sigmas[scheduler.step_index - 1] * output
    if len(result) > 1 and not isinstance(scheduler, TCDScheduler):  # whose second is noisy, too
        return result[1]
    if scheduler.config.get("algorithm_type", "").endswith("++") or scheduler.config.get("predict_x0"):
        return scheduler.model_outputs[-1]  # DPM-Solver++ and UniPC work with the clean ones
    return result[0]


def preview(pipeline: Any, latents: torch.Tensor, shape: tuple[int, int]) -> Image.Image:
    """A small picture of latents, by the autoencoder itself.

    Args:
        latents: [1, C, h, w], or [1, h/2 * w/2, 4C] as FLUX and Qwen-Image pack them.
        shape: width and height of the picture, or any two numbers in their proportion.

    Returns:
        RGB; as large as the picture where its latents are at most ``LONGEST_SIDE`` a side.
    """
    vae = pipeline.vae
    config = vae.config
    latents = latents.float()
    if latents.ndim == 3:
        latents = _unpacked(latents, shape)
    height, width = latents.shape[-2:]
    if (longest := max(height, width)) > LONGEST_SIDE:
        small = [max(1, round(side * LONGEST_SIDE / longest)) for side in (height, width)]
        latents = torch.nn.functional.interpolate(latents, small, mode="area")

    scale = config.get("scaling_factor") or 1.0
    shift = config.get("shift_factor") or 0.0
    if config.get("latents_mean") is not None:
        mean, std = (latents.new_tensor(config[key]).view(1, -1, 1, 1) for key in ("latents_mean", "latents_std"))
        latents = latents * std / scale + mean
    else:
        latents = latents / scale + shift
    with_time = isinstance(vae, AutoencoderKLQwenImage)
    latents = latents[:, :, None] if with_time else latents
    # SDXL's autoencoder overflows in float16; its pipeline does the same at the end.
    overflows = vae.dtype == torch.float16 and config.get("force_upcast", False)
    if overflows:
        vae.to(torch.float32)
    with torch.no_grad():
        pixels = vae.decode(latents.to(vae.dtype), return_dict=False)[0]
    if overflows:
        vae.to(torch.float16)
    pixels = pixels[:, :, 0] if with_time else pixels
    return pipeline.image_processor.postprocess(pixels.float(), output_type="pil")[0].convert("RGB")


def _unpacked(latents: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """[1, h/2 * w/2, 4C] to [1, C, h, w], where h to w is as near to the shape as may be."""
    count = latents.shape[1]
    wanted = math.log(shape[1] / shape[0])
    heights = (height for height in range(1, count + 1) if count % height == 0)
    height = min(heights, key=lambda height: abs(math.log(height * height / count) - wanted))
    squares = latents.unflatten(2, (-1, 2, 2)).unflatten(1, (height, -1))  # [1, h/2, w/2, C, 2, 2]
    return squares.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
