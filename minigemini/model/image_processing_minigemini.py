"""Pictures -> pixels for both towers."""

import os
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import ExifTags, Image, ImageOps
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD, ImageInput, PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs, Unpack
from transformers.utils import TensorType

from .remote_code import SavedWithCode

# What is larger is refused: made square, it would fill the memory.
LONGEST_SIDE = 16384
LONGEST_TO_SHORTEST = 200


class MiniGeminiImageProcessorKwargs(ImagesKwargs, total=False):
    r"""
    high_res_size (`int`):
        Side in pixels of the square picture for the high-resolution tower.
    do_high_res (`bool`):
        Whether to return `high_res_pixel_values`; `False` for a model without high-resolution tower.
    high_res_image_mean, high_res_image_std (`list[float]`, *optional*):
        Normalisation for the high-resolution tower, where it is not that of the low-resolution tower.
    image_grid (`int`):
        g: the picture is cut into g x g crops for the low-resolution tower.
    image_global (`bool`):
        Whether the whole picture comes after the crops.
    exact_resize (`bool`):
        Whether to resize by PIL, whose values released weights know. `False` resizes by torch, which is two to eight times
        faster; less than one value in a hundred differs then, by 1 or 2 of 255.
    """

    high_res_size: int
    do_high_res: bool
    high_res_image_mean: list[float] | tuple[float, ...] | None
    high_res_image_std: list[float] | tuple[float, ...] | None
    image_grid: int
    image_global: bool
    exact_resize: bool


class MiniGeminiImageProcessor(SavedWithCode, PilBackend):
    """One processor for both towers.

    The picture becomes upright RGB (what is transparent lies on white), is padded to a square with the mean colour (`do_pad`)
    or resized by its shortest edge and cropped in the centre, with PIL's bicubic filter, to `high_res_size`, and
    normalised. The low-resolution pixels are the bilinear shrink, without antialiasing, of these normalised pixels: no
    second look at the picture, and what released Mini-Gemini weights were trained on.

    Returns `pixel_values` [N, 3, h, w], or with a grid [N, T, 3, h, w]: the crops row by row, then the whole picture if
    `image_global`; and `high_res_pixel_values` [N, 3, H, W] unless `do_high_res` is `False`.
    """

    valid_kwargs = MiniGeminiImageProcessorKwargs
    model_input_names = ["pixel_values", "high_res_pixel_values"]

    size = {"height": 336, "width": 336}
    default_to_square = True
    high_res_size = 768
    do_high_res = True
    do_convert_rgb = True
    do_resize = True
    do_pad = True
    do_rescale = True
    rescale_factor = 1 / 255
    do_normalize = True
    resample = PILImageResampling.BICUBIC
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD
    high_res_image_mean = None
    high_res_image_std = None
    image_grid = 1
    image_global = False
    exact_resize = True

    def __init__(self, **kwargs: Unpack[MiniGeminiImageProcessorKwargs]):  # type: ignore[override]
        super().__init__(**kwargs)  # type: ignore[misc]

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """As `ImageProcessingMixin.fetch_images`, but a file keeps its mode until `to_rgb` (transformers' `load_image` drops
        transparency and clips greys of 16 bits)."""
        if isinstance(image_url_or_urls, str) and os.path.isfile(image_url_or_urls):
            with Image.open(image_url_or_urls) as image:
                image.load()
                return image
        return super().fetch_images(image_url_or_urls)

    def process_image(self, image: ImageInput, **kwargs: Any) -> Image.Image:  # type: ignore[override]
        """A picture of any kind -> RGB. Arrays are [H, W], [H, W, C] or [C, H, W], uint8."""
        if not isinstance(image, Image.Image):
            image = from_array(np.asarray(image))
        return to_rgb(image)

    def _preprocess(  # type: ignore[override]
        self,
        images: list[Image.Image],
        size: SizeDict,
        resample: int,
        do_pad: bool,
        image_mean: tuple[float, ...],
        image_std: tuple[float, ...],
        high_res_size: int,
        do_high_res: bool,
        high_res_image_mean: tuple[float, ...] | None,
        high_res_image_std: tuple[float, ...] | None,
        image_grid: int,
        image_global: bool,
        exact_resize: bool,
        return_tensors: str | TensorType | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        high_res_mean = image_mean if high_res_image_mean is None else tuple(high_res_image_mean)
        high_res_std = image_std if high_res_image_std is None else tuple(high_res_image_std)
        square = to_square if do_pad else shortest_edge_centre_crop
        # Channels last, as pictures come and the shrink likes it; row by row, in place and while they are at hand: memory is
        # what this waits for.
        rows = torch.empty(len(images), high_res_size, high_res_size * 3)
        mean, std = (torch.tensor(values).repeat(high_res_size) for values in (high_res_mean, high_res_std))
        for image, pixels in zip(images, rows, strict=True):
            colours = np.array(square(image, high_res_size, resample, high_res_mean, exact_resize))
            pixels.copy_(torch.from_numpy(colours).flatten(1)).div_(255).sub_(mean).div_(std)
        high_res = rows.unflatten(2, (high_res_size, 3)).permute(0, 3, 1, 2)

        assert size.height is not None, size
        assert size.width is not None, size
        low_res = shrink(high_res, (size.height * image_grid, size.width * image_grid))
        if (high_res_mean, high_res_std) != (tuple(image_mean), tuple(image_std)):
            # The shrink is a weighted mean, so normalising after it gives what normalising before it would.
            low_res = low_res * _channels(high_res_std) + _channels(high_res_mean)
            low_res = (low_res - _channels(image_mean)) / _channels(image_std)
        if image_grid > 1:
            crops = low_res.unflatten(3, (image_grid, size.width)).unflatten(2, (image_grid, size.height))
            views = crops.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
            if image_global:
                whole = shrink(low_res, (size.height, size.width))
                views = torch.cat([views, whole[:, None]], dim=1)
            low_res = views
        data = {"pixel_values": low_res}
        if do_high_res:
            data["high_res_pixel_values"] = high_res
        return BatchFeature(data=data, tensor_type=return_tensors)


def to_rgb(image: Image.Image) -> Image.Image:
    """Any PIL picture -> upright RGB. What is transparent lies on white; greys of 0..65535, or of floating-point 0..1, become
    0..255 (PIL's own conversion would clip them). That is `minigemini.media`'s policy for files too.

    The original drops transparency, so that whatever colour lies under it is seen (often black), and leaves a photograph on its
    side. Its recorded pixels are of opaque, upright pictures, and equal to ours.

    Raises:
        ValueError: an empty picture, one too long or too thin, or greys beyond these ranges.
    """
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    width, height = image.size
    if width == 0 or height == 0:
        raise ValueError(f"the picture is empty: {width} x {height} pixels")
    if max(width, height) > min(LONGEST_SIDE, LONGEST_TO_SHORTEST * min(width, height)):
        raise ValueError(
            f"the picture is {width} x {height} pixels; its longest side may have {LONGEST_SIDE} pixels and be "
            f"{LONGEST_TO_SHORTEST} times its shortest"
        )
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image)
        top = 1.0 if image.mode == "F" else 65535.0
        if not (grey.min() >= 0 and grey.max() <= top):
            raise ValueError(
                f"grey values from {grey.min():g} to {grey.max():g} in mode {image.mode!r}; 0 to {top:g} can be read"
            )
        image = Image.fromarray(np.round(grey.astype(np.float64) * (255 / top)).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def from_array(array: np.ndarray) -> Image.Image:
    """A uint8 array [H, W], [H, W, C] or [C, H, W] with C of 1, 3 or 4 -> picture.

    Raises:
        ValueError: another type or shape.
    """
    if array.dtype != np.uint8:
        raise ValueError(f"a picture given as an array must be uint8 (0..255), not {array.dtype}")
    if array.size == 0:
        raise ValueError(f"the picture is empty: array of shape {array.shape}")
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[-1] in (3, 4)):
        raise ValueError(f"a picture given as an array must be [H, W], [H, W, C] or [C, H, W], not {array.shape}")
    return Image.fromarray(np.ascontiguousarray(array))


def to_square(image: Image.Image, side: int, resample: int, mean: tuple[float, ...], exact: bool) -> Image.Image:
    """Pad around the centre to a square with the mean colour, then resize."""
    longest = max(image.size)
    if image.size != (longest, longest):
        left, top = (longest - image.width) // 2, (longest - image.height) // 2
        width = longest
        if exact and top > 0:  # PIL resizes rows before columns, and rows of padding stay what they are: they can wait
            image, width = image.resize((side, image.height), PILImageResampling(resample)), side
        canvas = Image.new("RGB", (width, longest), tuple(int(255 * value) for value in mean))
        canvas.paste(image, (left, top))
        image = canvas
    return resized(image, (side, side), resample, exact)


def shortest_edge_centre_crop(
    image: Image.Image, side: int, resample: int, mean: tuple[float, ...], exact: bool
) -> Image.Image:
    """Resize so that the shortest edge is `side`, then cut out the centre; what is outside is lost."""
    shortest = min(image.size)
    width, height = (int(side * length / shortest) for length in image.size)
    image = resized(image, (width, height), resample, exact)
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def resized(image: Image.Image, size: tuple[int, int], resample: int, exact: bool) -> Image.Image:
    """To `size` (width, height); not `exact`, by torch's kernel for bytes.

    Raises:
        ValueError: another filter than bicubic, and not `exact`.
    """
    if exact:
        return image.resize(size, PILImageResampling(resample))
    if resample != PILImageResampling.BICUBIC:
        raise ValueError(f"exact_resize=False has the bicubic filter alone, not {PILImageResampling(resample).name}")
    colours = torch.from_numpy(np.array(image))[None].permute(0, 3, 1, 2)
    colours = F.interpolate(colours, size=size[::-1], mode="bicubic", antialias=True)[0]
    return Image.fromarray(colours.permute(1, 2, 0).numpy())


def shrink(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bilinear, without antialiasing; channels last is three times faster here, with the same numbers."""
    return F.interpolate(pixels, size=size, mode="bilinear", align_corners=False)


def _channels(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values)[:, None, None]


__all__ = ["MiniGeminiImageProcessor"]
