"""A change to a picture, by the best way that the generator has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PIL import Image

from minigemini.generation.generation_record import PICTURE_EDITS, GenerationRecord, pixel_hash
from minigemini.generation.image_generator import ImageGenerator, OnPreview, OnStep
from minigemini.generation.inpaint import black_and_white, inpaint, next_seed


def way_to_edit(generator: ImageGenerator) -> str:
    """One of :data:`~minigemini.generation.generation_record.EDITS`: the first of them that the generator can do."""
    if generator.edits_by_instruction:
        return "instruction"
    return "image-to-image" if generator.image_to_image() else "re-prompt"


def edit(
    generator: ImageGenerator,
    parent: Image.Image,
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
    """A picture made out of another, in its size; the record says how, by :func:`way_to_edit`.

    Args:
        parent: the picture to change.
        prompt: what to change, for a generator that edits by instruction; for the others, what the whole picture shall show.
        made_by: the parent's record; None: it was not drawn by us.
        seed: None: the parent's for a new prompt, which keeps most of the picture where it was, and the next one where the
            parent's pixels are read. A re-prompt also keeps the parent's steps, guidance and negative prompt.
        strength: of image-to-image; see :meth:`ImageGenerator.draw`, as for the rest.

    Raises:
        ValueError: as :meth:`ImageGenerator.draw`, or a new prompt is all that is possible and the parent has no record.
    """
    way = way_to_edit(generator)
    parents = [pixel_hash(parent)]
    watched: dict[str, Any] = {"on_step": on_step, "on_preview": on_preview, "preview_every": preview_every}
    if way == "re-prompt":
        if made_by is None:
            raise ValueError(
                f"{generator.name}: {generator.family} cannot read a picture; it can only change one that it has drawn"
            )
        image, record = generator.draw(
            prompt,
            seed=made_by.seed if seed is None else seed,
            steps=made_by.steps if steps is None else steps,
            guidance=made_by.guidance if guidance is None else guidance,
            negative_prompt=made_by.negative_prompt if negative_prompt is None else negative_prompt,
            size=parent.size,
            strength=strength,
            truncate=truncate,
            parents=parents,
            **watched,
        )
        return image, replace(record, edit=way)

    editor = generator if way == "instruction" else generator.image_to_image()
    assert editor is not None
    image, record = editor.draw(
        prompt,
        seed=next_seed(made_by) if seed is None else seed,
        steps=steps,
        guidance=guidance,
        negative_prompt=negative_prompt,
        size=parent.size if editor.takes_size else None,
        strength=strength,
        truncate=truncate,
        parents=parents,
        image=parent,
        **watched,
    )
    return image, replace(record, edit=way)


def edit_again(
    generator: ImageGenerator,
    record: GenerationRecord,
    parent: Image.Image,
    mask: Image.Image | None = None,
    on_step: OnStep | None = None,
) -> tuple[Image.Image, GenerationRecord]:
    """The edit of a record that read its parent's pixels, once more.

    Args:
        mask: of an inpainting.

    Raises:
        ValueError: parent or mask are not those of the record, or the generator edits in another way.
    """
    assert record.edit in PICTURE_EDITS
    if record.parents != [pixel_hash(parent)]:
        raise ValueError(f"{record.prompt!r} is an edit of another picture than the one given")
    settings: dict[str, Any] = {
        "seed": record.seed,
        "steps": record.steps,
        "guidance": record.guidance,
        "negative_prompt": record.negative_prompt,
        "strength": record.strength,
        "truncate": record.truncated,
        "on_step": on_step,
    }
    if record.edit == "inpaint":
        if mask is None or pixel_hash(black_and_white(mask, parent)) != record.mask:
            raise ValueError(f"{record.prompt!r} was drawn into another mask than the one given")
        return inpaint(generator, parent, mask, record.prompt, **settings)
    if way_to_edit(generator) != record.edit:
        raise ValueError(f"{generator.name}: {generator.family} does not edit by {record.edit}, as the record says")
    return edit(generator, parent, record.prompt, **settings)
