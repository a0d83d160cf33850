"""A change to a part of a picture, and to nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from minigemini.generation.generation_record import GenerationRecord, pixel_hash
from minigemini.generation.image_generator import ImageGenerator, OnPreview, OnStep


def inpaint(
    generator: ImageGenerator,
    parent: Image.Image,
    mask: Image.Image,
    prompt: str,
    *,
    made_by: GenerationRecord | None = None,
    seed: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    negative_prompt: str | None = None,
    strength: float | None = None,
    truncate: bool = False,
    on_step: OnStep | None = None,
    on_preview: OnPreview | None = None,
    preview_every: int = 5,
) -> tuple[Image.Image, GenerationRecord]:
    """A picture with the white part of a mask drawn anew; every other pixel is the parent's.

    Args:
        parent: the picture to change.
        mask: of its size, white where it changes and black where it stays; greys are the nearer of the two.
        prompt: what the picture shall show, in the white part at least.
        made_by: the parent's record; None: it was not drawn by us.
        seed: None: the one after the parent's.
        strength: above 0 (the part as it is) to 1 (nothing of it); None: the pipeline's. The rest as for
            :meth:`ImageGenerator.draw`.

    Raises:
        ValueError: as :meth:`ImageGenerator.draw`; the generator cannot inpaint, the mask is none for this picture, or the picture
            has a size that cannot be drawn.
    """
    painter = generator.inpainting()
    if painter is None:
        raise ValueError(f"{generator.name}: {generator.family} cannot change a part of a picture")
    mask = black_and_white(mask, parent)
    parent = parent.convert("RGB")
    # Pipelines round other sizes, and nothing would lie where it was.
    step = painter.pipeline.image_processor.config.vae_scale_factor
    if parent.width % step or parent.height % step:
        raise ValueError(
            f"{generator.name}: {generator.family} changes a part of pictures whose sides are multiples of {step}; this one has "
            f"{parent.width}x{parent.height}"
        )

    def on_part(part: Image.Image) -> None:
        assert on_preview is not None
        on_preview(Image.composite(part, parent.resize(part.size), mask.resize(part.size)))

    drawn, record = painter.draw(
        prompt,
        seed=next_seed(made_by) if seed is None else seed,
        steps=steps,
        guidance=guidance,
        negative_prompt=negative_prompt,
        size=parent.size,
        strength=strength,
        truncate=truncate,
        parents=[pixel_hash(parent)],
        image=parent,
        mask=mask,
        on_step=on_step,
        on_preview=on_part if on_preview else None,
        preview_every=preview_every,
    )
    # The autoencoder changes every pixel a little.
    return Image.composite(drawn, parent, mask), replace(record, edit="inpaint", mask=pixel_hash(mask))


def next_seed(made_by: GenerationRecord | None) -> int:
    """Of an edit that reads its parent's pixels.

    The noise that made the parent is still in it: the same once more would add up and spoil the contrast.
    """
    return (made_by.seed + 1) % 2**63 if made_by else 0


def black_and_white(mask: Image.Image, parent: Image.Image) -> Image.Image:
    """A mask of two values, mode L.

    Raises:
        ValueError: it has another size than the picture, transparency, colours, or no white; so it means something else.
    """
    if mask.size != parent.size:
        raise ValueError(
            f"the mask is {mask.width}x{mask.height} and the picture {parent.width}x{parent.height}: they must be of one size"
        )
    if mask.has_transparency_data:
        raise ValueError(f"the mask has transparency (mode {mask.mode}): white says what changes, and black what stays")
    if mask.mode not in ("1", "L", "RGB"):
        raise ValueError(f"the mask has mode {mask.mode}: black and white, grey or RGB can be read")
    pixels = np.asarray(mask.convert("RGB"), dtype=np.int16)
    if np.ptp(pixels, axis=2).max() > 16:  # JPEG makes greys a little coloured
        raise ValueError("the mask has colours: white says what changes, and black what stays")
    white = mask.convert("L").point(lambda value: 255 if value >= 128 else 0)
    if white.getbbox() is None:
        raise ValueError("nothing in the mask is white, so nothing would change")
    return white
