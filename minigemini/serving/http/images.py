"""``/v1/images/generations``: pictures of a prompt, without a conversation."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from threading import Event as Flag
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from minigemini.conversation import PromptSpan
from minigemini.safety.refusal import refusal
from minigemini.serving.events import Event, ImageDrawn, ImageFailed
from minigemini.serving.http.answer import own_seed
from minigemini.serving.http.chat_completions import ImageConfig
from minigemini.serving.http.errors import ApiError
from minigemini.serving.http.feed import unless_gone
from minigemini.serving.http.pictures import as_base64, png
from minigemini.serving.http.served import Served, served_by
from minigemini.serving.picture_events import Drawer, DrawingOptions, Parent

if TYPE_CHECKING:
    from minigemini.generation.image_generator import ImageGenerator

router = APIRouter()


class ImageRequest(ImageConfig):
    """What of OpenAI's request is honoured; seed, steps, guidance and negative_prompt are ours.

    Attributes:
        model: the one that this server has; the pictures are its generator's.
        n: pictures, each with the next seed.
        response_format: nothing is kept here that a URL could lead to.
    """

    prompt: Annotated[str, Field(min_length=1, max_length=32_000)]
    model: str | None = None
    n: Annotated[int, Field(ge=1, le=10)] = 1
    response_format: Literal["b64_json"] = "b64_json"
    output_format: Literal["png"] = "png"


@router.post("/v1/images/generations", response_model=None)
async def generate(asked: ImageRequest, request: Request) -> dict[str, Any]:
    served = served_by(request)
    generator = generator_of(served, asked.model)
    cancelled = Flag()
    options = own_seed(replace(asked.options(), count=asked.n))
    events = served.feed.items(lambda: drawing_events(served, generator, asked.prompt, options, cancelled), cancelled)
    return await unless_gone(request, drawn(events, "prompt"))


def generator_of(served: Served, model: str | None) -> ImageGenerator:
    """
    Raises:
        ApiError: the model is another, or this server draws nothing.
    """
    if model is not None:
        served.check_model(model)
    if served.generator is None:
        raise ApiError(400, "this server has no image generator", code="no_image_generator")
    return served.generator


def drawing_events(
    served: Served,
    generator: ImageGenerator,
    prompt: str,
    options: DrawingOptions,
    cancelled: Flag,
    parents: Sequence[Parent] = (),
) -> Iterator[Event]:
    """Of a prompt that nobody's model has written.

    Raises:
        ValueError: the safety filter refuses the picture to change.
    """
    for parent in parents:
        if reason := refusal(served.safety, parent.image):
            raise ValueError(f"image: {reason}")
    drawer = Drawer(generator, prompt, options, parents, served.safety, cancelled, served.drawing)
    yield from drawer.draw(PromptSpan(prompt, 0, len(prompt), prompt), [])


async def drawn(events: AsyncIterator[Event], param: str | None = None) -> dict[str, Any]:
    """
    Args:
        param: what is to blame where nothing could be drawn.

    Raises:
        ApiError: a picture was not drawn.
    """
    data = []
    async for event in events:
        if isinstance(event, ImageFailed):
            raise ApiError(400, f"{param}: {event.reason}" if param else event.reason, param=param)
        if isinstance(event, ImageDrawn):
            file = as_base64(png(event.image, event.record))
            data.append({"b64_json": file, "revised_prompt": event.record.prompt})
    return {"created": int(time.time()), "data": data}
