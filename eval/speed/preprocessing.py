"""Pictures to pixels for both towers, on one core, against the way of the original system.

The original gives the picture to the CLIP image processor of transformers 4.36 and shrinks what comes out. The steps of
that processor that cost time are done here as it did them (transformers 4.36, image_transforms.py: `resize` through PIL,
`rescale` in numpy, `normalize` in numpy); its checks, conversions that copy nothing, and the centre crop of a picture that
has its size already are left out.
"""

import numpy as np
import torch
import torch.nn.functional as F
from machine import Roofs
from mining import HERE
from PIL import Image
from report import Table, at_least
from side_by_side import Job, Step, ratio, side_by_side

from minigemini.model.image_processing_minigemini import MiniGeminiImageProcessor

ORIGINAL = "original"
NOT_EXACT = "here, exact_resize=False"
SIZES = {"640 x 480": (640, 480), "1024 x 768": (1024, 768), "4000 x 3000": (4000, 3000)}
TOYS = {"64 x 48": (64, 48)}


def original(picture: Image.Image, processor: MiniGeminiImageProcessor, low_res_side: int) -> list[torch.Tensor]:
    mean, std = processor.image_mean, processor.image_std
    longest = max(picture.size)
    square = Image.new("RGB", (longest, longest), tuple(int(255 * value) for value in mean))
    square.paste(picture, ((longest - picture.width) // 2, (longest - picture.height) // 2))
    resized = Image.fromarray(np.array(square)).resize((processor.high_res_size,) * 2, Image.Resampling.BICUBIC)
    rescaled = (np.array(resized) * (1 / 255)).astype(np.float32)  # by way of float64
    normalised = (rescaled - np.array(mean, dtype=np.float32)) / np.array(std, dtype=np.float32)
    high_res = torch.tensor(normalised.transpose(2, 0, 1)[None])
    return [F.interpolate(high_res, size=(low_res_side,) * 2, mode="bilinear", align_corners=False), high_res]


def build(way: str, size: tuple[int, int], high_res_size: int, low_res_size: int) -> Step:
    torch.set_num_threads(1)  # data loaders have one core for each process
    processor = MiniGeminiImageProcessor(
        size={"height": low_res_size, "width": low_res_size}, high_res_size=high_res_size, exact_resize=way == HERE
    )
    noise = np.random.default_rng(0).integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)

    def step() -> None:
        if way != ORIGINAL:
            processor(picture, return_tensors="pt")
        else:
            original(picture, processor, low_res_size)

    return step


def largest_difference(size: tuple[int, int], high_res_size: int, low_res_size: int, exact: bool) -> float:
    """Between the pixels of both ways, in normalised units: they must do the same work."""
    processor = MiniGeminiImageProcessor(
        size={"height": low_res_size, "width": low_res_size}, high_res_size=high_res_size, exact_resize=exact
    )
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    here = processor(picture, return_tensors="pt")
    pairs = zip(
        (here["pixel_values"], here["high_res_pixel_values"]), original(picture, processor, low_res_size), strict=True
    )
    return max(float((a - b).abs().max()) for a, b in pairs)


def run(device: str, toy: bool, roofs: Roofs) -> list[Table]:
    """On the CPU, whatever the device."""
    rows = []
    sides = [(56, 28)] if toy else [(768, 336), (1536, 672)]
    for high_res, low_res in sides:
        for name, size in (TOYS if toy else SIZES).items():
            jobs = [Job(way, build, (way, size, high_res, low_res)) for way in (HERE, NOT_EXACT, ORIGINAL)]
            measured = side_by_side(
                f"preprocessing {name} to {high_res}/{low_res}", jobs, "cpu", budget=0 if toy else 10
            )
            there = measured[ORIGINAL]
            for way in (HERE, NOT_EXACT):
                here = measured[way]
                faster = ratio(there.median(), here.median())
                rows.append(
                    {
                        "picture": f"{name} to {high_res}/{low_res}",
                        "way": way,
                        "here / s": ratio(1, here.median()),
                        "original / s": ratio(1, there.median()),
                        "times faster": faster,
                        "target": at_least(3, faster),
                        "largest difference": largest_difference(size, high_res, low_res, way == HERE),
                        "here peak GB": here.peak_gb,
                        "original peak GB": there.peak_gb,
                        "runs": f"{here.runs}, {there.runs}",
                    }
                )
    return [Table("Decoded pictures to the pixels of both towers: pictures per second on one core", rows)]
