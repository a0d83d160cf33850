"""The pipelines of diffusers by what they do, each by its family's key."""

from __future__ import annotations

import warnings

from diffusers import FluxKontextInpaintPipeline

with (
    warnings.catch_warnings()
):  # this imports every family, and Kolors compiles a function by a name that torch gives up
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
    from diffusers.pipelines.auto_pipeline import (
        AUTO_IMAGE2IMAGE_PIPELINES_MAPPING,
        AUTO_INPAINT_PIPELINES_MAPPING,
        AUTO_TEXT2IMAGE_PIPELINES_MAPPING,
    )

TEXT_TO_IMAGE: dict[str, type] = dict(AUTO_TEXT2IMAGE_PIPELINES_MAPPING)
IMAGE_TO_IMAGE: dict[str, type] = dict(AUTO_IMAGE2IMAGE_PIPELINES_MAPPING)
INPAINTING: dict[str, type] = {**AUTO_INPAINT_PIPELINES_MAPPING, "flux-kontext": FluxKontextInpaintPipeline}
