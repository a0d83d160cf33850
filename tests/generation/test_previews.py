import numpy as np
import pytest
import tiny_pipelines
import torch
from diffusers import (
    DDPMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
    TCDScheduler,
    UniPCMultistepScheduler,
)
from PIL import Image

from minigemini.generation.image_generator import ImageGenerator
from minigemini.generation.previews import LONGEST_SIDE, clean_latents, preview

PROMPT = "a large red circle"
FAMILIES = (
    *("stable_diffusion", "stable_diffusion_xl", "latent_consistency", "pixart"),
    *("sana", "stable_diffusion_3", "flux", "qwen_image"),
)


def difference(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, dtype=int) - np.asarray(b, dtype=int)).mean())


@pytest.mark.parametrize("family", FAMILIES)
def test_previews_come_nearer_to_the_picture_and_do_not_change_it(family: str) -> None:
    generator = ImageGenerator(getattr(tiny_pipelines, family)(), family)
    seen: list[Image.Image] = []
    image, _ = generator.draw(PROMPT, seed=1, steps=3, size=(32, 64), on_preview=seen.append, preview_every=1)
    assert [one.size for one in seen] == [(32, 64)] * 2
    assert difference(seen[1], image) < difference(seen[0], image) < 30
    assert image.tobytes() == generator.draw(PROMPT, seed=1, steps=3, size=(32, 64))[0].tobytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_latents_of_a_picture_are_shown_as_that_picture(family: str) -> None:
    generator = ImageGenerator(getattr(tiny_pipelines, family)(), family)
    image, _ = generator.draw(PROMPT, seed=1, steps=2, size=(32, 64))
    settings = {**generator.settings, "num_inference_steps": 2, "width": 32, "height": 64}
    noise = torch.Generator("cpu").manual_seed(1)
    latents = generator.pipeline(prompt=PROMPT, generator=noise, output_type="latent", **settings).images
    assert preview(generator.pipeline, latents, (32, 64)).tobytes() == image.tobytes()


def test_large_latents_are_made_small_first() -> None:
    pipeline = tiny_pipelines.stable_diffusion()
    shown = preview(pipeline, torch.zeros(1, 4, 2 * LONGEST_SIDE, LONGEST_SIDE), (1, 1))
    assert shown.size == (LONGEST_SIDE, 2 * LONGEST_SIDE)  # 2 pixels of each latent


def test_previews_come_every_so_many_steps_but_not_after_the_last() -> None:
    generator = ImageGenerator(tiny_pipelines.pixart(), "tiny")
    at, seen = [], []
    generator.draw(
        PROMPT,
        seed=0,
        steps=8,
        on_step=lambda done, _: at.append(done),
        on_preview=lambda _: seen.append(at[-1]),
        preview_every=4,
    )
    assert seen == [4]


@pytest.mark.parametrize(
    ("scheduler", "exact"),
    [
        (DDPMScheduler(clip_sample=False), True),
        (EulerDiscreteScheduler(), True),
        (UniPCMultistepScheduler(), True),
        (TCDScheduler(clip_sample=False), False),
        (PNDMScheduler(skip_prk_steps=True), False),
    ],
)
def test_what_a_scheduler_expects_is_read_from_its_step(scheduler, exact: bool) -> None:
    """An oracle that knows the noise: the clean latents are found at once, or else the step's own latents are given."""
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 1, 4, 8, 8)
    scheduler.set_timesteps(4)
    first = scheduler.timesteps[0]
    noised = scheduler.add_noise(clean, noise, first[None])
    result = scheduler.step(noise, first, noised)
    found = clean_latents(scheduler, noised, noise, result)
    if exact:
        assert torch.allclose(found, clean, atol=1e-2)
    else:
        assert torch.equal(found, result.prev_sample)


def test_what_a_flow_expects_is_read_from_its_step() -> None:
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 1, 4, 8, 8)
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(4)
    for timestep in scheduler.timesteps[1:3]:
        noised = scheduler.scale_noise(clean, timestep[None], noise)
        result = scheduler.step(noise - clean, timestep, noised)
        assert torch.allclose(clean_latents(scheduler, noised, noise - clean, result), clean, atol=1e-5)


def test_float16_does_not_overflow_in_an_autoencoder_that_asks_for_more() -> None:
    pipeline = tiny_pipelines.stable_diffusion_xl()
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)) * 3e4
    exact = preview(pipeline, latents, (1, 1))
    pipeline.vae.to(torch.float16)
    assert difference(preview(pipeline, latents, (1, 1)), exact) < 3


def test_a_family_that_shows_none_says_so() -> None:
    pipeline = tiny_pipelines.stable_diffusion()

    class Other(type(pipeline.vae)):  # type: ignore[misc]
        pass

    pipeline.vae.__class__ = Other
    generator = ImageGenerator(pipeline, "other")
    with pytest.warns(UserWarning, match="StableDiffusionPipeline shows no previews"):
        generator.draw(PROMPT, seed=0, steps=2, on_preview=pytest.fail)


def test_what_a_preview_raises_ends_the_drawing() -> None:
    class Cancelled(Exception):
        pass

    def cancel(_: Image.Image) -> None:
        raise Cancelled

    generator = ImageGenerator(tiny_pipelines.pixart(), "tiny")
    with pytest.raises(Cancelled):
        generator.draw(PROMPT, seed=0, steps=8, on_preview=cancel)
