"""A pipeline from a folder or the hub, to a device, in the memory that there is."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import BitsAndBytesConfig, DiffusionPipeline
from diffusers.quantizers import PipelineQuantizationConfig

Offload = Literal["none", "model", "sequential"]
"""What waits in the CPU's memory until the GPU needs it: nothing, whole models (the text encoder while the denoiser works), or
every layer (least memory, slowest)."""


def load_pipeline(
    path: str | Path,
    named: str,
    device: torch.device,
    dtype: torch.dtype,
    offload: Offload = "none",
    bits: Literal[4, 8] | None = None,
) -> DiffusionPipeline:
    """Only safetensors, no code from the folder.

    Args:
        named: for messages.
        bits: of the denoiser's linear layers, by bitsandbytes (NF4 and LLM.int8); None: as ``dtype``.

    Raises:
        ValueError: offload or bits without a GPU, bits without bitsandbytes, or both in a way that cannot be.
        OSError: there is no pipeline there.
    """
    if device.type == "cpu" and (offload != "none" or bits is not None):
        asked = f"offload {offload}" if offload != "none" else f"{bits} bits"
        raise ValueError(f"{named}: an image generator with {asked} needs a GPU, and this one draws on the CPU")
    if offload == "sequential" and bits is not None:
        raise ValueError(f"{named}: {bits} bits cannot be moved layer by layer: offload model, or none")
    quantisation = None
    if bits is not None:
        if find_spec("bitsandbytes") is None:
            raise ValueError(f"{bits} bits need bitsandbytes: pip install 'minigemini[quantize]'")
        config = DiffusionPipeline.load_config(path)
        denoiser = "transformer" if "transformer" in config else "unet"
        settings: dict[str, Any] = {"load_in_8bit": True}
        if bits == 4:
            settings = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": dtype}
        quantisation = PipelineQuantizationConfig(quant_mapping={denoiser: BitsAndBytesConfig(**settings)})
    pipeline = DiffusionPipeline.from_pretrained(
        path, dtype=dtype, use_safetensors=True, quantization_config=quantisation
    )
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.to(device)
    return pipeline
