import numpy as np
import pytest
import tiny_pipelines
from PIL import Image

from minigemini.generation import draw_again
from minigemini.generation.edit import edit, edit_again, way_to_edit
from minigemini.generation.generation_record import pixel_hash, read_record, save_png
from minigemini.generation.image_generator import ImageGenerator

WAYS = {
    "instruct_pix2pix": "instruction",
    "flux_kontext": "instruction",
    "stable_diffusion": "image-to-image",
    "stable_diffusion_xl": "image-to-image",
    "latent_consistency": "image-to-image",
    "stable_diffusion_3": "image-to-image",
    "flux": "image-to-image",
    "qwen_image": "image-to-image",
    "pixart": "re-prompt",
    "sana": "re-prompt",
}


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8))


@pytest.mark.parametrize("family", [family for family, way in WAYS.items() if way != "re-prompt"])
def test_a_picture_is_changed_and_again(family: str, photo: Image.Image) -> None:
    generator = ImageGenerator(getattr(tiny_pipelines, family)(), family)
    steps: list[tuple[int, int]] = []
    strength = None if WAYS[family] == "instruction" else 0.5
    image, record = edit(
        generator, photo, "a red circle", steps=4, strength=strength, on_step=lambda *step: steps.append(step)
    )
    assert (record.edit, record.strength, record.parents) == (WAYS[family], strength, [pixel_hash(photo)])
    assert image.size == photo.size
    # Image-to-image takes the last of the steps; LCM's spreads all of them over the part that is left.
    taken = 2 if WAYS[family] == "image-to-image" and family != "latent_consistency" else 4
    assert steps == [(i, taken) for i in range(1, taken + 1)]

    again, same_record = edit_again(generator, record, photo)
    assert again.tobytes() == image.tobytes()
    assert same_record == record
    other, _ = edit(generator, photo.rotate(180), "a red circle", steps=4, strength=strength)
    assert other.tobytes() != image.tobytes(), "the parent's pixels have no effect"
    with pytest.raises(ValueError, match="another picture"):
        edit_again(generator, record, photo.rotate(180))
    with pytest.raises(ValueError, match="its parent is needed"):
        generator.draw_again(record)


@pytest.mark.parametrize(
    "family", ["qwen_image_edit", pytest.param("qwen_image_edit_plus", marks=pytest.mark.slow)]
)  # they bring every picture to a million pixels: seconds even at this size
def test_qwen_image_edits_by_instruction(family: str) -> None:
    generator = ImageGenerator(getattr(tiny_pipelines, family)(), family)
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 32, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=f"{generator.family} draws from a picture, and none is given"):
        generator.draw("a red circle", seed=0)
    image, record = edit(generator, photo, "a red circle", steps=1, guidance=1.0)
    assert image.size == photo.size
    assert (record.edit, record.guidance, record.parents) == ("instruction", 1.0, [pixel_hash(photo)])
    other, _ = edit(generator, photo.rotate(180), "a red circle", steps=1, guidance=1.0)
    assert other.tobytes() != image.tobytes(), "the parent's pixels have no effect"


@pytest.mark.parametrize("family", [family for family, way in WAYS.items() if way == "re-prompt"])
def test_a_new_prompt_keeps_the_parents_noise_and_settings(family: str, photo: Image.Image) -> None:
    generator = ImageGenerator(getattr(tiny_pipelines, family)(), family)
    parent, made_by = generator.draw("a red circle", seed=7, steps=2, guidance=2.0, size=(32, 64))
    image, record = edit(generator, parent, "a blue circle", made_by=made_by)
    assert (record.edit, record.seed, record.steps, record.guidance) == ("re-prompt", 7, 2, 2.0)
    assert record.parents == [pixel_hash(parent)]
    assert image.tobytes() == generator.draw("a blue circle", seed=7, steps=2, guidance=2.0, size=(32, 64))[0].tobytes()
    again, same_record = generator.draw_again(record)
    assert (again.tobytes(), same_record) == (image.tobytes(), record)

    with pytest.raises(ValueError, match="cannot read a picture"):
        edit(generator, photo, "a blue circle")
    with pytest.raises(ValueError, match="takes no strength"):
        edit(generator, parent, "a blue circle", made_by=made_by, strength=0.5)
    with pytest.raises(ValueError, match="takes no image"):
        generator.draw("a blue circle", seed=0, image=photo)


def test_the_way_is_read_from_the_pipeline() -> None:
    for family, way in WAYS.items():
        assert way_to_edit(ImageGenerator(getattr(tiny_pipelines, family)(), family)) == way


def test_image_to_image_has_the_same_weights_and_settings() -> None:
    generator = ImageGenerator(tiny_pipelines.stable_diffusion_xl(), "sdxl")
    editor = generator.image_to_image()
    assert editor is not None
    assert editor.pipeline.unet is generator.pipeline.unet
    assert editor.settings == generator.settings


@pytest.mark.parametrize("strength", [0.0, 1.5, 0.2])
def test_a_strength_that_takes_no_step_is_refused(strength: float, photo: Image.Image) -> None:
    generator = ImageGenerator(tiny_pipelines.stable_diffusion(), "sd")
    with pytest.raises(ValueError, match=f"strength={strength}"):
        edit(generator, photo, "a red circle", steps=4, strength=strength)


def test_an_edit_is_cancelled_at_a_step(photo: Image.Image) -> None:
    class Cancelled(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise Cancelled

    generator = ImageGenerator(tiny_pipelines.stable_diffusion(), "sd")
    with pytest.raises(Cancelled):
        edit(generator, photo, "a red circle", steps=8, strength=0.5, on_step=stop)
    first, record = edit(generator, photo, "a red circle", steps=8, strength=0.5)
    assert edit_again(generator, record, photo)[0].tobytes() == first.tobytes()


def test_an_edit_is_drawn_again_from_its_png(photo: Image.Image, tmp_path) -> None:
    tiny_pipelines.stable_diffusion().save_pretrained(tmp_path / "weights")
    photo.save(tmp_path / "photo.png")
    image, record = edit(
        ImageGenerator.from_pretrained(tmp_path / "weights", device="cpu"), photo, "a red circle", steps=4, seed=5
    )
    file = tmp_path / "edited.png"
    save_png(image, record, file)
    assert read_record(file) == record
    settings = {"generator": str(tmp_path / "weights"), "device": "cpu"}
    assert draw_again.run(file, parent=tmp_path / "photo.png", **settings) == 0
    assert (tmp_path / "edited-again.png").read_bytes() == file.read_bytes()
    with pytest.raises(ValueError, match="edited.png is an edit of a picture"):
        draw_again.run(file, **settings)
