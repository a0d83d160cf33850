"""``/v1/images/edits``: a picture made out of another, or a part of it drawn anew."""

from __future__ import annotations

import io
from dataclasses import replace
from threading import Event as Flag
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request, UploadFile
from PIL import Image
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from minigemini.generation.generation_record import read_record
from minigemini.media import open_image
from minigemini.serving.http.answer import own_seed
from minigemini.serving.http.errors import ApiError
from minigemini.serving.http.feed import unless_gone
from minigemini.serving.http.images import ImageRequest, drawing_events, drawn, generator_of
from minigemini.serving.http.pictures import Pictures
from minigemini.serving.http.served import served_by
from minigemini.serving.picture_events import Parent

router = APIRouter()


class EditRequest(ImageRequest):
    """The form of OpenAI's client; beside the fields of a new picture:

    Attributes:
        image: the picture to change, or (``image[]``) a list of one.
        mask: a PNG of its size; where it is transparent, the picture is drawn anew, and nowhere else. A generator that cannot change
            a part of a picture says so.
        strength: of ours: from near 0 (the picture as it is) to 1 (nothing of it).
    """

    image: UploadFile | None = None
    images: Annotated[list[UploadFile], Field(alias="image[]")] = []
    mask: UploadFile | None = None
    action: Literal["edit"] = "edit"


@router.post("/v1/images/edits", response_model=None)
async def edit(asked: Annotated[EditRequest, Form()], request: Request) -> dict[str, Any]:
    served = served_by(request)
    generator = generator_of(served, asked.model)
    files = [*([asked.image] if asked.image else []), *asked.images]
    if len(files) != 1:
        raise ApiError(400, f"image: one picture is changed at a time, and {len(files)} were sent", param="image")
    image, mask = await files[0].read(), await asked.mask.read() if asked.mask else None
    parent = await run_in_threadpool(_parent, image, mask, served.pictures())
    cancelled = Flag()
    options = own_seed(replace(asked.options(), count=asked.n))
    if options.size not in (None, parent.image.size):
        raise ApiError(400, "size: an edit has the size of its picture", param="size")
    events = served.feed.items(
        lambda: drawing_events(served, generator, asked.prompt, options, cancelled, [parent]), cancelled
    )
    return await unless_gone(request, drawn(events))


def _parent(image: bytes, mask: bytes | None, pictures: Pictures) -> Parent:
    """
    Raises:
        ApiError: one is no picture, or the mask is none of this picture's.
    """
    try:
        record = read_record(pictures.checked(image, "image"))
    except ValueError:  # not drawn by us
        record = None
    try:
        opened = open_image(image, "image")
    except ValueError as error:
        raise ApiError(400, str(error), param="image", code="invalid_image") from error
    changed = None if mask is None else _changed(pictures.checked(mask, "mask"), opened.size)
    return Parent(opened, record.prompt if record else "", record, changed)


def _changed(mask: bytes, size: tuple[int, int]) -> Image.Image:
    """White where the mask is transparent, black elsewhere."""
    try:
        with Image.open(io.BytesIO(mask)) as opened:
            if not opened.has_transparency_data:
                raise ValueError("it has no transparent pixels: those are what is drawn anew")
            alpha = opened.convert("RGBA").getchannel("A")
    except (OSError, SyntaxError, ValueError) as error:
        raise ApiError(400, f"mask: {error}", param="mask", code="invalid_image") from error
    if alpha.size != size:
        raise ApiError(
            400,
            f"mask: it has {alpha.width}x{alpha.height} pixels and the image {size[0]}x{size[1]}",
            param="mask",
            code="invalid_image",
        )
    return alpha.point(lambda value: 0 if value else 255)
