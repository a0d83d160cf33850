import numpy as np
import pytest
import tiny_pipelines
from PIL import Image

from minigemini.generation import draw_again
from minigemini.generation.edit import edit_again
from minigemini.generation.generation_record import pixel_hash, read_record, save_png
from minigemini.generation.image_generator import ImageGenerator
from minigemini.generation.inpaint import inpaint

PROMPT = "a red circle"
PAINT = (
    "stable_diffusion",
    "stable_diffusion_xl",
    "stable_diffusion_inpaint",
    "stable_diffusion_3",
    "flux",
    "flux_kontext",
    "qwen_image",
)


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8))


@pytest.fixture
def mask() -> Image.Image:
    """The left half."""
    mask = Image.new("L", (48, 32), 0)
    mask.paste(255, (0, 0, 24, 32))
    return mask


def generator_of(family: str) -> ImageGenerator:
    return ImageGenerator(getattr(tiny_pipelines, family)(), family)


@pytest.mark.parametrize("family", PAINT)
def test_the_white_part_is_drawn_anew_and_again(family: str, photo: Image.Image, mask: Image.Image) -> None:
    generator = generator_of(family)
    steps: list[tuple[int, int]] = []
    seen: list[Image.Image] = []
    image, record = inpaint(
        generator,
        photo,
        mask,
        PROMPT,
        steps=4,
        strength=0.75,
        on_step=lambda *step: steps.append(step),
        on_preview=seen.append,
        preview_every=2,
    )
    assert image.size == photo.size
    changed = (np.asarray(image) != np.asarray(photo)).any(axis=2)
    assert changed[:, :24].mean() > 0.9
    assert not changed[:, 24:].any()
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert [one.size for one in seen] == [photo.size]
    assert (np.asarray(seen[0]) == np.asarray(photo))[:, 24:].all()
    assert (record.edit, record.strength, record.parents, record.mask) == (
        "inpaint",
        0.75,
        [pixel_hash(photo)],
        pixel_hash(mask),
    )

    again, same_record = edit_again(generator, record, photo, mask)
    assert (again.tobytes(), same_record) == (image.tobytes(), record)
    with pytest.raises(ValueError, match="another mask"):
        edit_again(generator, record, photo, mask.rotate(180))
    with pytest.raises(ValueError, match="another mask"):
        edit_again(generator, record, photo)
    with pytest.raises(ValueError, match="its parent is needed"):
        generator.draw_again(record)


@pytest.mark.parametrize("family", ["latent_consistency", "pixart", "sana", "instruct_pix2pix"])
def test_a_family_that_cannot_says_so(family: str, photo: Image.Image, mask: Image.Image) -> None:
    generator = generator_of(family)
    with pytest.raises(ValueError, match=f"{family}: {generator.family} cannot change a part"):
        inpaint(generator, photo, mask, PROMPT)
    with pytest.raises(ValueError, match="takes no (image|mask_image)"):
        generator.draw(PROMPT, seed=0, image=photo, mask=mask)


def test_greys_are_the_nearer_of_black_and_white(photo: Image.Image, mask: Image.Image) -> None:
    generator = generator_of("stable_diffusion")
    soft = mask.point(lambda value: 200 if value else 100)
    exact, record = inpaint(generator, photo, mask, PROMPT, steps=2)
    image, soft_record = inpaint(generator, photo, soft.convert("RGB"), PROMPT, steps=2)
    assert (image.tobytes(), soft_record) == (exact.tobytes(), record)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (Image.new("L", (32, 48), 255), "mask is 32x48 and the picture 48x32"),
        (Image.new("RGBA", (48, 32), "white"), "has transparency"),
        (Image.new("I", (48, 32), 255), "mode I"),
        (Image.new("RGB", (48, 32), "red"), "has colours"),
        (Image.new("L", (48, 32), 0), "nothing in the mask is white"),
    ],
)
def test_a_mask_that_means_something_else_is_refused(wrong: Image.Image, named: str, photo: Image.Image) -> None:
    with pytest.raises(ValueError, match=named):
        inpaint(generator_of("stable_diffusion"), photo, wrong, PROMPT)


@pytest.mark.parametrize(("family", "multiple"), [("stable_diffusion", 2), ("flux", 4)])
def test_a_size_that_would_be_rounded_is_refused(family: str, multiple: int, photo: Image.Image) -> None:
    odd = photo.crop((0, 0, 47, 31))
    with pytest.raises(ValueError, match=f"multiples of {multiple}; this one has 47x31"):
        inpaint(generator_of(family), odd, Image.new("L", odd.size, 255), PROMPT)


def test_a_pipeline_of_its_own_for_it_draws_nothing_else() -> None:
    with pytest.raises(ValueError, match="StableDiffusionInpaintPipeline draws from a picture, and none is given"):
        generator_of("stable_diffusion_inpaint").draw(PROMPT, seed=0)


def test_an_inpainting_is_drawn_again_from_its_png(photo: Image.Image, mask: Image.Image, tmp_path) -> None:
    tiny_pipelines.stable_diffusion().save_pretrained(tmp_path / "weights")
    photo.save(tmp_path / "photo.png")
    mask.save(tmp_path / "mask.png")
    generator = ImageGenerator.from_pretrained(tmp_path / "weights", device="cpu")
    image, record = inpaint(generator, photo, mask, PROMPT, steps=4, seed=5)
    file = tmp_path / "painted.png"
    save_png(image, record, file)
    assert read_record(file) == record
    named = {"generator": str(tmp_path / "weights"), "device": "cpu", "parent": tmp_path / "photo.png"}
    assert draw_again.run(file, mask=tmp_path / "mask.png", **named) == 0
    assert (tmp_path / "painted-again.png").read_bytes() == file.read_bytes()
    with pytest.raises(ValueError, match="painted.png was drawn into a mask"):
        draw_again.run(file, **named)
