import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor

from minigemini import MiniGeminiConfig, MiniGeminiImageProcessor
from minigemini.media import open_image

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]


def processor(**options) -> MiniGeminiImageProcessor:
    return MiniGeminiImageProcessor(**{"size": {"height": 42, "width": 42}, "high_res_size": 96, **options})


def colours(pixels: torch.Tensor) -> torch.Tensor:
    """Normalised pixels -> 0..255."""
    return (pixels * STD + MEAN) * 255


def photograph(width: int, height: int, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    return small.resize((width, height)).convert(mode)


def test_shapes_and_the_low_resolution_is_the_shrunk_high_resolution():
    out = processor()([photograph(50, 30), photograph(30, 200)], return_tensors="pt")
    assert out["pixel_values"].shape == (2, 3, 42, 42)
    assert out["high_res_pixel_values"].shape == (2, 3, 96, 96)
    shrunk = torch.nn.functional.interpolate(out["high_res_pixel_values"], size=(42, 42), mode="bilinear")
    assert torch.equal(out["pixel_values"], shrunk)
    assert set(processor(do_high_res=False)(photograph(50, 30))) == {"pixel_values"}


def test_padding_is_the_mean_colour_and_cropping_loses_the_sides():
    white = Image.new("RGB", (96, 48), "white")
    padded = colours(processor()(white, return_tensors="pt")["high_res_pixel_values"][0])
    torch.testing.assert_close(padded[:, 0, 0], torch.tensor([122.0, 116.0, 104.0]), atol=1e-3, rtol=0)
    assert (padded[:, 30:66] > 254.9).all()
    marked = white.copy()
    marked.paste("black", (0, 0, 20, 48))
    cropped = colours(processor(do_pad=False)(marked, return_tensors="pt")["high_res_pixel_values"][0])
    assert (cropped > 254.9).all()


@pytest.mark.parametrize("size", [(50, 30), (30, 50), (41, 40), (150, 97), (64, 64), (200, 1)])
def test_the_pixels_are_those_of_one_picture_padded_and_resized_in_one_go(size):
    """Whatever is done for speed, every value is what the plain steps give."""
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    longest = max(size)
    square = Image.new("RGB", (longest, longest), (122, 116, 104))
    square.paste(noise, ((longest - size[0]) // 2, (longest - size[1]) // 2))
    resized = np.array(square.resize((96, 96), Image.Resampling.BICUBIC))
    expected = (torch.from_numpy(resized).permute(2, 0, 1).float().contiguous() / 255 - MEAN) / STD
    assert torch.equal(processor()(noise, return_tensors="pt")["high_res_pixel_values"][0], expected)


def test_crops_row_by_row_then_the_whole():
    process = processor(image_grid=2, image_global=True, high_res_size=192)
    image = Image.new("RGB", (96, 96))
    for corner, colour in [((0, 0), "red"), ((48, 0), "lime"), ((0, 48), "blue"), ((48, 48), "white")]:
        image.paste(colour, (*corner, corner[0] + 48, corner[1] + 48))
    views = colours(process(image, return_tensors="pt")["pixel_values"][0])
    assert views.shape == (5, 3, 42, 42)
    centres = views[:, :, 21, 21].round().int().tolist()
    assert centres[:4] == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]
    assert views[4, :, 10, 31].round().int().tolist() == [0, 255, 0]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "P", "CMYK", "1", "YCbCr", "I;16"])
def test_modes(mode):
    grey = Image.new("L", (20, 20), 200)
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 20), 200 * 257, dtype=np.uint16))
        assert image.mode == "I;16"
    elif mode in ("RGBA", "LA"):
        image = grey.convert(mode)
        image.putalpha(255)
    else:
        image = grey.convert(mode)
    found = colours(processor()(image, return_tensors="pt")["high_res_pixel_values"][0])
    expected = {"1": None}.get(mode, 200.0)
    if expected is not None:
        torch.testing.assert_close(found.mean(), torch.tensor(expected), atol=1.5, rtol=0)


def test_32_bit_greys_are_taken_as_16_bit_ones():
    image = Image.fromarray(np.full((20, 20), 100 * 257, dtype=np.int32))
    assert image.mode == "I"
    found = colours(processor()(image, return_tensors="pt")["high_res_pixel_values"][0])
    torch.testing.assert_close(found.mean(), torch.tensor(100.0), atol=1e-3, rtol=0)


def test_a_file_is_read_the_same_by_name_and_opened(tmp_path):
    """Transparent, sideways and of 16 bits: transformers' own opening would change the first and the last."""
    transparent = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = photograph(20, 10).convert("L")
    deep = Image.fromarray(np.linspace(0, 65535, 200).astype(np.uint16).reshape(10, 20))
    for name, image, options in (("a", transparent, {}), ("b", sideways, {"exif": exif}), ("c", deep, {})):
        file = tmp_path / f"{name}.png"
        image.save(file, **options)
        by_name, opened = (processor()(i, return_tensors="pt")["pixel_values"] for i in (str(file), Image.open(file)))
        assert torch.equal(by_name, opened)
        assert torch.equal(by_name, processor()(open_image(file), return_tensors="pt")["pixel_values"])


def test_arrays():
    image = photograph(50, 30)
    expected = processor()(image, return_tensors="pt")["pixel_values"]
    array = np.asarray(image)
    assert torch.equal(processor()(array, return_tensors="pt")["pixel_values"], expected)
    channels_first = torch.from_numpy(array.copy()).permute(2, 0, 1)
    assert torch.equal(processor()(channels_first, return_tensors="pt")["pixel_values"], expected)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("RGB", (0, 10)), "empty: 0 x 10"),
        (Image.new("RGB", (1000, 2)), "1000 x 2 pixels"),
        (Image.new("F", (10, 10), 1.5), "1.5 in mode 'F'; 0 to 1 can be read"),
        (Image.fromarray(np.full((4, 4), 70000, dtype=np.int32)), "70000"),
        (np.zeros((10, 10, 3), dtype=np.float32), "must be uint8"),
    ],
)
def test_what_is_no_picture(image, message):
    with pytest.raises(ValueError, match=message):
        processor()(image)


def test_another_normalisation_for_the_high_resolution_tower():
    """The low-resolution pixels are then normalised as if they had been shrunk from colours."""
    image = photograph(50, 30)
    plain = processor()(image, return_tensors="pt")
    own = {"high_res_image_mean": [0.5, 0.5, 0.5], "high_res_image_std": [0.25, 0.25, 0.25], "do_pad": False}
    other = processor(**own)(image, return_tensors="pt")
    plain = processor(do_pad=False)(image, return_tensors="pt")
    torch.testing.assert_close(other["pixel_values"], plain["pixel_values"], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        other["high_res_pixel_values"] * 0.25 + 0.5, plain["high_res_pixel_values"] * STD + MEAN, atol=1e-5, rtol=0
    )


def test_saved_and_loaded(tmp_path):
    process = processor(image_grid=2, image_global=True, high_res_size=192, do_pad=False)
    process.save_pretrained(tmp_path)
    MiniGeminiConfig().save_pretrained(tmp_path)
    again = AutoImageProcessor.from_pretrained(tmp_path)
    assert type(again) is MiniGeminiImageProcessor
    image = photograph(50, 30)
    for key, value in process(image, return_tensors="pt").items():
        assert torch.equal(again(image, return_tensors="pt")[key], value)


def test_pictures_do_not_depend_on_their_neighbours():
    images = [photograph(50, 30), photograph(30, 50)]
    together = processor()(images, return_tensors="pt")
    for row, image in enumerate(images):
        for key, value in processor()(image, return_tensors="pt").items():
            assert torch.equal(together[key][row], value[0])


@pytest.mark.parametrize("do_pad", [True, False])
@pytest.mark.parametrize("size", [(150, 97), (40, 64), (96, 96)])
def test_not_exact_is_two_values_away_in_few_places(size, do_pad):
    exact, fast = (
        processor(exact_resize=exact, do_pad=do_pad)(photograph(*size), return_tensors="pt")["high_res_pixel_values"]
        for exact in (True, False)
    )
    assert processor().exact_resize
    difference = (colours(fast[0]) - colours(exact[0])).abs()
    assert difference.max() < 2.01
    assert (difference > 0.01).float().mean() < 0.01
    assert torch.equal(exact, fast) == (size == (96, 96))


def test_not_exact_has_one_filter():
    with pytest.raises(ValueError, match="bicubic filter alone, not BILINEAR"):
        processor(exact_resize=False, resample=2)(photograph(50, 30))
