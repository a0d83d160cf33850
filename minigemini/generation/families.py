"""What each family of pipelines is drawn with, unless told."""

from __future__ import annotations

from typing import Any

from diffusers import (
    DiffusionPipeline,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    TCDScheduler,
)

NEGATIVE_PROMPT = (
    "low quality, worst quality, lowres, blurry, jpeg artifacts, noise, watermark, signature, text, cropped, out of frame, "
    "deformed, disfigured, bad anatomy, bad proportions, extra limbs, missing limbs, extra fingers, missing fingers, "
    "mutated hands, poorly drawn hands, poorly drawn face, duplicate, ugly"
)
"""Quality and anatomy, in the spirit of the fixed one the original sends to SDXL; the wording is ours."""

FAMILY_SETTINGS: dict[str, dict[str, Any]] = {
    # The original's: everything diffusers' default, and a negative prompt.
    "StableDiffusionXLPipeline": {
        "num_inference_steps": 50,
        "guidance_scale": 5.0,
        "negative_prompt": NEGATIVE_PROMPT,
    },
    # Binning would draw at another size than asked and resize; caption cleaning is for captions scraped from the web.
    "PixArtSigmaPipeline": {
        "num_inference_steps": 20,
        "guidance_scale": 4.0,
        "use_resolution_binning": False,
        "clean_caption": False,
    },
    "SanaPipeline": {"use_resolution_binning": False, "clean_caption": False},
    "SanaSprintPipeline": {"use_resolution_binning": False, "clean_caption": False},
    # Guidance is away from the negative prompt; without one these pipelines draw as if there were no guidance.
    "QwenImagePipeline": {"negative_prompt": " "},
    "QwenImageEditPipeline": {"negative_prompt": " "},
    "QwenImageEditPlusPipeline": {"negative_prompt": " "},
}
"""By class name of the pipeline, what differs from the defaults of its ``__call__``; the scheduler is the one in its folder."""


def family_settings(pipeline: DiffusionPipeline) -> dict[str, Any]:
    """Of a pipeline's family, or of few steps where its own configuration says that it was distilled to that."""
    return {**FAMILY_SETTINGS.get(type(pipeline).__name__, {}), **_few_steps(pipeline)}


def reads_guidance(pipeline: DiffusionPipeline) -> bool:
    """False for a FLUX whose transformer has no input for the scale (schnell), though its pipeline takes one."""
    transformer = pipeline.components.get("transformer")
    return transformer is None or transformer.config.get("guidance_embeds", True) or not _is_flux(pipeline)


def _is_flux(pipeline: DiffusionPipeline) -> bool:
    return type(pipeline).__name__.startswith("Flux")


def _few_steps(pipeline: DiffusionPipeline) -> dict[str, Any]:
    """Steps and guidance of a distilled model, as far as its configuration tells; empty for others.

    Nothing in SD 3.5 Large Turbo or Z-Image-Turbo says that they are: their users say so by steps and guidance.
    """
    scheduler = pipeline.components.get("scheduler")
    unet = pipeline.components.get("unet")
    if type(pipeline).__name__.startswith("LatentConsistency"):
        return {}  # the defaults of the class itself
    if isinstance(scheduler, LCMScheduler | TCDScheduler):
        # Consistency models; one whose UNet reads the scale was distilled with scales around 8.
        embedded = unet is not None and unet.config.get("time_cond_proj_dim")
        return {"num_inference_steps": 4, "guidance_scale": 8.0 if embedded else 0.0}
    if (
        isinstance(scheduler, EulerDiscreteScheduler | EulerAncestralDiscreteScheduler)
        and scheduler.config["timestep_spacing"] == "trailing"
        and scheduler.config["prediction_type"] == "epsilon"
    ):
        # SD-Turbo, SDXL-Turbo and Lightning begin at the last timestep; models of many steps say "leading".
        return {"num_inference_steps": 4, "guidance_scale": 0.0}
    if not reads_guidance(pipeline) and not scheduler.config["use_dynamic_shifting"]:
        return {"num_inference_steps": 4, "max_sequence_length": 256}  # FLUX.1-schnell
    return {}
