"""Each family of pipelines, built tiny, by its real class: what it can be asked for, and what it says it cannot."""

import warnings

import pytest
import tiny_pipelines
from diffusers import EulerAncestralDiscreteScheduler, LCMScheduler, TCDScheduler

from minigemini.generation.families import NEGATIVE_PROMPT
from minigemini.generation.image_generator import ImageGenerator

PROMPT = "a large red circle"
FAMILIES = {
    "stable_diffusion": 7.5,
    "stable_diffusion_xl": 5.0,
    "latent_consistency": 8.5,
    "pixart": 4.0,
    "sana": 4.5,
    "stable_diffusion_3": 7.0,
    "flux": 3.5,
    "qwen_image": 4.0,
}
"""With the guidance that each draws with unless told."""


def generator_of(family: str) -> ImageGenerator:
    return ImageGenerator(getattr(tiny_pipelines, family)(), family)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_draws_its_record_again(family: str) -> None:
    generator = generator_of(family)
    steps: list[tuple[int, int]] = []
    image, record = generator.draw(
        PROMPT, seed=3, steps=2, size=(32, 64), on_step=lambda done, total: steps.append((done, total))
    )
    assert image.size == (32, 64)
    assert steps == [(1, 2), (2, 2)]
    assert record.guidance == FAMILIES[family]
    again, same_record = generator.draw_again(record)
    assert again.tobytes() == image.tobytes()
    assert same_record == record

    other, other_record = generator.draw(PROMPT, seed=3, steps=2, size=(32, 64), guidance=1.5)
    assert other_record.guidance == 1.5
    assert other.tobytes() != image.tobytes(), "guidance has no effect"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_negative_prompt_has_an_effect_or_is_said_to_have_none(family: str) -> None:
    generator = generator_of(family)
    plain, _ = generator.draw(PROMPT, seed=3, steps=2, size=(32, 32))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        image, record = generator.draw(PROMPT, seed=3, steps=2, size=(32, 32), negative_prompt="blue square")
    said_so = [
        str(w.message)
        for w in said
        if "negative_prompt; drawn" in str(w.message) or "no negative_prompt" in str(w.message)
    ]
    assert bool(said_so) == (family in {"latent_consistency", "flux"})
    assert all(generator.family in message for message in said_so)
    assert (image.tobytes() == plain.tobytes()) == bool(said_so)
    assert record.negative_prompt == (None if said_so else "blue square")


def test_without_guidance_no_negative_prompt_is_read() -> None:
    generator = generator_of("stable_diffusion_xl")
    with pytest.warns(UserWarning, match="StableDiffusionXLPipeline reads no negative_prompt at guidance_scale=0"):
        _, record = generator.draw(PROMPT, seed=0, steps=1, guidance=0.0, negative_prompt="blue", size=(32, 32))
    assert record.negative_prompt is None


@pytest.mark.parametrize(
    "scheduler",
    [
        EulerAncestralDiscreteScheduler(timestep_spacing="trailing"),
        LCMScheduler(clip_sample=False),
        TCDScheduler(clip_sample=False),
    ],
)
def test_a_model_distilled_to_few_steps_is_known_by_its_scheduler(scheduler) -> None:
    pipeline = tiny_pipelines.stable_diffusion_xl()
    pipeline.scheduler = scheduler
    generator = ImageGenerator(pipeline, "turbo")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        image, record = generator.draw(PROMPT, seed=0, size=(32, 32))
    assert (record.steps, record.guidance, record.negative_prompt) == (4, 0.0, None)
    assert generator.draw_again(record)[0].tobytes() == image.tobytes()
    assert generator.draw(PROMPT, seed=0, size=(32, 32), guidance=3.0)[1].negative_prompt == NEGATIVE_PROMPT


@pytest.mark.parametrize(
    "settings", [{"timestep_spacing": "leading"}, {"timestep_spacing": "trailing", "prediction_type": "v_prediction"}]
)
def test_a_scheduler_of_many_steps_is_left_alone(settings: dict) -> None:
    pipeline = tiny_pipelines.stable_diffusion_xl()
    pipeline.scheduler = EulerAncestralDiscreteScheduler(**settings)
    assert ImageGenerator(pipeline, "xl").settings["num_inference_steps"] == 50


def test_an_lcm_that_reads_its_guidance_keeps_it() -> None:
    pipeline = tiny_pipelines.stable_diffusion()
    pipeline.scheduler = LCMScheduler(clip_sample=False)
    pipeline.unet = tiny_pipelines.unet(time_cond_proj_dim=32).eval()
    assert ImageGenerator(pipeline, "lcm").settings == {"num_inference_steps": 4, "guidance_scale": 8.0}


def test_schnell_takes_four_steps_and_says_that_it_reads_no_guidance() -> None:
    generator = ImageGenerator(tiny_pipelines.flux(guidance_embeds=False, dynamic_shift=False), "schnell")
    image, record = generator.draw(PROMPT, seed=0, size=(32, 32))
    assert (record.steps, record.guidance) == (4, None)
    with pytest.warns(UserWarning, match="FluxPipeline has no guidance_scale"):
        same, record = generator.draw(PROMPT, seed=0, size=(32, 32), guidance=7.0)
    assert (same.tobytes(), record.guidance) == (image.tobytes(), None)
    many = ImageGenerator(tiny_pipelines.flux(guidance_embeds=False), "another")
    assert "num_inference_steps" not in many.settings
