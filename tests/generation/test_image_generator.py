import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tiny_pipelines
from PIL import Image

from minigemini.generation.families import NEGATIVE_PROMPT
from minigemini.generation.generation_record import pixel_hash, read_record, save_png
from minigemini.generation.image_generator import ImageGenerator

PROMPT = "a large red circle at the top left"


@pytest.fixture(scope="module")
def pixart() -> ImageGenerator:
    return ImageGenerator(tiny_pipelines.pixart(), "tiny")


def same(first: Image.Image, second: Image.Image) -> bool:
    return first.size == second.size and first.tobytes() == second.tobytes()


def test_nano_family_settings(pixart: ImageGenerator) -> None:
    steps: list[tuple[int, int]] = []
    image, record = pixart.draw(PROMPT, seed=1, on_step=lambda done, total: steps.append((done, total)))
    assert image.size == (48, 48)
    assert steps == [(i, 20) for i in range(1, 21)]
    assert (record.steps, record.guidance, record.pipeline) == (20, 4.0, "PixArtSigmaPipeline")
    assert record.scheduler == "DPMSolverMultistepScheduler"
    assert record.prompt_tokens == 8


@pytest.mark.parametrize(
    "make", [tiny_pipelines.pixart, tiny_pipelines.stable_diffusion, tiny_pipelines.stable_diffusion_xl]
)
def test_drawn_again_from_the_png_after_a_reload(make, tmp_path) -> None:
    make().save_pretrained(tmp_path / "weights")
    generator = ImageGenerator.from_pretrained(tmp_path / "weights", device="cpu")
    image, record = generator.draw(PROMPT, seed=3, steps=3, guidance=2.5, size=(32, 48))
    save_png(image, record, tmp_path / "drawn.png")

    read = read_record(tmp_path / "drawn.png")
    assert read == record
    assert (read.generator, read.width, read.height, read.steps) == ("weights", 32, 48, 3)
    again, record_again = ImageGenerator.from_pretrained(tmp_path / "weights", device="cpu").draw_again(read)
    assert same(image, again)
    assert record_again == record
    save_png(again, record_again, tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "drawn.png").read_bytes()
    assert same(Image.open(tmp_path / "drawn.png").convert("RGB"), image)

    other, _ = generator.draw(PROMPT, seed=4, steps=3, guidance=2.5, size=(32, 48))
    assert pixel_hash(other) != pixel_hash(image)


def test_sdxl_is_drawn_as_the_original_does() -> None:
    generator = ImageGenerator(tiny_pipelines.stable_diffusion_xl(), "sdxl")
    _, record = generator.draw("a red circle", seed=0)
    assert (record.steps, record.guidance, record.negative_prompt) == (50, 5.0, NEGATIVE_PROMPT)
    plain, _ = generator.draw("a red circle", seed=0, steps=2)
    without, record = generator.draw("a red circle", seed=0, steps=2, negative_prompt="")
    assert record.negative_prompt == ""
    assert not same(plain, without)


def test_what_a_pipeline_lacks_is_left_out_with_a_warning() -> None:
    class NoGuidance(type(tiny_pipelines.stable_diffusion())):  # type: ignore[misc]
        def __call__(self, prompt=None, num_inference_steps=4, generator=None, width=None, height=None):
            return super().__call__(prompt, height, width, num_inference_steps, generator=generator)

    pipeline = NoGuidance(**tiny_pipelines.stable_diffusion().components, requires_safety_checker=False)
    generator = ImageGenerator(pipeline, "few-step")
    with pytest.warns(UserWarning, match="has no guidance_scale, negative_prompt"):
        _, record = generator.draw(PROMPT, seed=0, guidance=3.0, negative_prompt="blurry")
    assert record.guidance is None
    assert record.negative_prompt is None
    assert record.steps == 4


def test_a_prompt_that_is_too_long_is_refused_or_flagged(pixart: ImageGenerator) -> None:
    assert pixart.max_prompt_tokens == 14  # 16 less the two around
    fits = " ".join(["red"] * 14)
    assert not pixart.draw(fits, seed=0, steps=1)[1].truncated
    with pytest.raises(ValueError, match="15 tokens and tiny reads 14"):
        pixart.draw(fits + " circle", seed=0, steps=1)
    cut, record = pixart.draw(fits + " circle", seed=0, steps=2, truncate=True)
    assert record.truncated
    assert record.prompt_tokens == 15
    assert same(cut, pixart.draw_again(record)[0])


def test_an_empty_prompt_is_refused(pixart: ImageGenerator) -> None:
    with pytest.raises(ValueError, match="not empty"):
        pixart.draw("  ", seed=0)


def test_pictures_drawn_at_once_are_those_drawn_one_by_one(pixart: ImageGenerator) -> None:
    jobs = [
        ("a red circle", 1, 12),
        ("a small blue square at the center", 2, 7),
        ("a green triangle", 3, 9),
        (PROMPT, 4, 10),
    ]
    alone = [pixart.draw(p, seed=s, steps=n)[0] for p, s, n in jobs]
    barrier = threading.Barrier(len(jobs))

    def draw(job):
        barrier.wait()
        return pixart.draw(job[0], seed=job[1], steps=job[2])[0]

    with ThreadPoolExecutor(len(jobs)) as pool:
        together = list(pool.map(draw, jobs))
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))


class Cancelled(Exception):
    pass


def test_a_cancelled_drawing_stops_and_leaves_the_generator_as_it_was(pixart: ImageGenerator) -> None:
    before = pixart.draw(PROMPT, seed=5)[0]
    seen = []

    def cancel(done: int, total: int) -> None:
        seen.append(done)
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        pixart.draw(PROMPT, seed=5, on_step=cancel)
    assert seen == [1, 2, 3]
    assert same(pixart.draw(PROMPT, seed=5)[0], before)


def test_a_missing_folder_is_named(tmp_path) -> None:
    with pytest.raises(ValueError, match="not-there"):
        ImageGenerator.from_pretrained(tmp_path / "not-there")


def test_a_batch_is_the_same_pictures_but_for_rounding(pixart: ImageGenerator) -> None:
    prompts = ["a red circle", PROMPT, "a small blue square at the center"]
    seeds = [5, 6, 5]
    together = pixart.draw_batch(prompts, seeds)
    for prompt, seed, picture in zip(prompts, seeds, together, strict=True):
        alone = pixart.draw(prompt, seed=seed)[0]
        difference = np.abs(np.asarray(alone, dtype=int) - np.asarray(picture, dtype=int))
        assert difference.max() <= 2
    assert not same(together[0], together[2])
    with pytest.raises(ValueError, match="its end would have no effect"):
        pixart.draw_batch(["a red circle", "a red circle " * 9], [0, 1])


@pytest.mark.parametrize(
    "impossible",
    [{"steps": 0}, {"steps": -1}, {"guidance": float("nan")}, {"guidance": float("inf")}, {"guidance": -1.0}],
)
def test_settings_that_make_noise_are_refused_by_name(pixart: ImageGenerator, impossible: dict) -> None:
    (name,) = impossible
    with pytest.raises(ValueError, match=f"{name}="):
        pixart.draw(PROMPT, seed=0, **impossible)
    with pytest.raises(ValueError, match=f"{name}="):
        pixart.with_settings(**impossible)
    with pytest.raises(ValueError, match="size="):
        pixart.draw(PROMPT, seed=0, size=(0, 48))


def test_a_negative_prompt_is_read_to_its_end_or_refused(pixart: ImageGenerator) -> None:
    long = "a blue square " * 60
    with pytest.raises(ValueError, match="the negative prompt has .* tokens and tiny reads"):
        pixart.draw(PROMPT, seed=0, steps=1, negative_prompt=long)
    assert pixart.draw(PROMPT, seed=0, steps=1, negative_prompt=long, truncate=True)[1].negative_prompt == long
    assert pixart.draw(PROMPT, seed=0, steps=1, negative_prompt="")[1].negative_prompt == ""


def test_several_pictures_are_those_drawn_alone(pixart: ImageGenerator) -> None:
    last = 2**63 - 1
    several = list(pixart.draw_several(PROMPT, 3, seed=last, steps=2, size=(32, 48)))
    assert [record.seed for _, record in several] == [last, 0, 1]
    for image, record in several:
        alone, record_alone = pixart.draw(PROMPT, seed=record.seed, steps=2, size=(32, 48))
        assert same(image, alone)
        assert record == record_alone
    assert len({pixel_hash(image) for image, _ in several}) == 3
    with pytest.raises(ValueError, match="count=0"):
        list(pixart.draw_several(PROMPT, 0, seed=0))


def test_qwen_images_drawn_at_once_are_those_drawn_alone() -> None:
    """Their autoencoder keeps features of the picture it decodes in itself."""
    generator = ImageGenerator(tiny_pipelines.qwen_image(), "qwen")
    alone = [generator.draw(PROMPT, seed=seed, steps=1, size=(64, 64))[0] for seed in range(4)]
    barrier = threading.Barrier(4)

    def draw(seed: int) -> Image.Image:
        barrier.wait()
        return generator.draw(PROMPT, seed=seed, steps=1, size=(64, 64))[0]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(draw, range(4)))
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"offload": "model"}, "offload model needs a GPU"),
        ({"offload": "sequential"}, "offload sequential needs a GPU"),
        ({"bits": 4}, "4 bits needs a GPU"),
    ],
)
def test_what_needs_a_gpu_is_refused_on_the_cpu(settings: dict, named: str) -> None:
    with pytest.raises(ValueError, match=f"nano: an image generator with {named}"):
        ImageGenerator.from_pretrained("nano", device="cpu", **settings)


def test_offloaded_models_draw_the_same_picture() -> None:
    """By the hooks of accelerate, whose accelerator is the CPU here."""
    generator = ImageGenerator(tiny_pipelines.stable_diffusion(), "sd")
    image, record = generator.draw(PROMPT, seed=0, steps=2)
    generator.pipeline.enable_model_cpu_offload(device="cpu")
    photo, edited = Image.new("RGB", (32, 32), "red"), generator.image_to_image()
    assert edited is not None
    for _ in range(2):
        again, record_again = generator.draw(PROMPT, seed=0, steps=2, on_preview=lambda _: None, preview_every=1)
        assert same(image, again)
        assert record_again == record
        edited.draw(PROMPT, seed=0, steps=2, image=photo)
