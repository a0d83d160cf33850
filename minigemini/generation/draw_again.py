"""``minigemini draw-again FILE``: the picture of a PNG once more, from the record inside it."""

from __future__ import annotations

from pathlib import Path

import diffusers
import transformers

from minigemini.generation.edit import edit_again
from minigemini.generation.generation_record import PICTURE_EDITS, pixel_hash, read_record, save_png
from minigemini.generation.image_generator import NANO, ImageGenerator
from minigemini.media import open_image


def run(
    file: str | Path,
    output: str | Path | None = None,
    generator: str | None = None,
    device: str | None = None,
    parent: str | Path | None = None,
    mask: str | Path | None = None,
) -> int:
    """Draw a PNG's picture again, write it, and say whether every pixel is the same.

    Args:
        file: a PNG that was drawn by minigemini.
        output: where to write the new picture; ``<name>-again.png`` beside the file if not given. Never overwrites ``file``.
        generator: local folder, hub id or ``"nano"``. Needed unless the record names the shipped one: what a file says is
            nothing to download by.
        parent: the picture that this one is an edit of; needed if the edit read its pixels.
        mask: the one that this picture was drawn into, if it was.
        device: as in :meth:`ImageGenerator.from_pretrained`.

    Returns:
        0 if the pixels are equal, 1 if they differ (another device or other library versions; both are printed).

    Raises:
        ValueError: the file has no valid record, the generator, the parent or the mask must be named, or is another; or the
            generator had layers in 4 or 8 bits and there is no GPU.
    """
    file = Path(file)
    record = read_record(file)
    original = open_image(file)
    output = Path(output) if output else file.with_name(f"{file.stem}-again.png")
    if output.resolve() == file.resolve():
        raise ValueError(f"{output} would replace the picture that is to be drawn again")
    if generator is None and record.generator != NANO:
        raise ValueError(
            f"{file} says it was drawn by {record.generator!r}; if you trust that, name it as the generator"
        )

    if (record.edit in PICTURE_EDITS) != (parent is not None):
        raise ValueError(
            f"{file} is an edit of a picture: name that as the parent"
            if parent is None
            else f"{file} was not drawn from another picture; a parent has no use"
        )
    if (record.edit == "inpaint") != (mask is not None):
        raise ValueError(
            f"{file} was drawn into a mask: name that, too"
            if mask is None
            else f"{file} was not drawn into a mask; one has no use"
        )

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    drawing = ImageGenerator.from_pretrained(generator or NANO, device, bits=record.bits)
    if parent:
        image, drawn = edit_again(drawing, record, open_image(parent), open_image(mask) if mask else None)
    else:
        image, drawn = drawing.draw_again(record)
    save_png(image, drawn, output)
    same = pixel_hash(image) == pixel_hash(original)
    print(f"{output}: {'equal in every pixel' if same else 'NOT equal'}")
    if not same:
        before = {**record.versions, "device": record.device, "dtype": record.dtype, "pipeline": record.pipeline}
        now = {**drawn.versions, "device": drawn.device, "dtype": drawn.dtype, "pipeline": drawn.pipeline}
        for key in before | now:
            if before.get(key) != now.get(key):
                print(f"  {key}: {before.get(key)!r} then, {now.get(key)!r} now")
    return 0 if same else 1
