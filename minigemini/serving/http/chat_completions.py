"""``/v1/chat/completions``: pictures and text in, text and pictures out, whole or as a stream."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from threading import Event as Flag
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from minigemini.engine.many import Closed
from minigemini.engine.request import Decoding, Draw
from minigemini.serving.events import (
    Done,
    Event,
    ImageDrawn,
    ImageFailed,
    ImagePreview,
    ImageProgress,
    ImageStarted,
    Notice,
    TextDelta,
)
from minigemini.serving.http.answer import answer_events
from minigemini.serving.http.errors import ApiError
from minigemini.serving.http.feed import unless_gone
from minigemini.serving.http.messages import ChatMessage, Given, turns_of
from minigemini.serving.http.picture_size import MAX_STEPS, Size, as_size
from minigemini.serving.http.pictures import data_url, png
from minigemini.serving.http.served import Served, served_by
from minigemini.serving.http.server_sent import server_sent
from minigemini.serving.picture_events import DrawingOptions
from minigemini.serving.reply_events import ReplyOptions

router = APIRouter()

Stop = Annotated[str, Field(min_length=1, max_length=100)]


class StreamOptions(Given):
    include_usage: bool = False


class PlainText(Given):
    type: Literal["text"]


class ImageConfig(Given):
    """How pictures are drawn; see :class:`DrawingOptions`."""

    action: Literal["auto", "generate", "edit"] = "auto"
    count: Annotated[int, Field(ge=1, le=4)] = 1
    size: Size | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    guidance: Annotated[float, Field(ge=0, le=100)] | None = None
    negative_prompt: str | None = None
    strength: Annotated[float, Field(gt=0, le=1)] | None = None

    def options(self) -> DrawingOptions:
        return DrawingOptions(
            self.action,
            self.count,
            as_size(self.size),
            self.seed,
            steps=self.steps,
            guidance=self.guidance,
            negative_prompt=self.negative_prompt,
            strength=self.strength,
        )


class ChatRequest(Given):
    """What of OpenAI's request is honoured, and four fields of ours.

    Attributes:
        temperature: 0 unless given: the likeliest token each time. OpenAI's is 1.
        modalities: ``["text"]``: no drawing. ``["text", "image"]``: as the model thinks right, as when nothing is said.
        draw: of ours: exactly one picture, none, or what the model thinks right.
        image_config: of ours: how pictures are drawn.
        progress: of ours: a stream says in ``delta.drawing`` how far a picture is: ``{prompt}`` first, then ``{step, steps}``.
        partial_images: named as in OpenAI's image API: a stream shows each picture so many times, at most, while it is drawn. It comes in
            ``delta.partial_images``, of the form of ``images`` with ``partial_image_index``, 0 first, instead of a prompt.
    """

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] = []
    modalities: list[Literal["text", "image"]] = ["text", "image"]
    draw: Literal["auto", "always", "never"] = "auto"
    image_config: ImageConfig = ImageConfig()
    progress: bool = False
    partial_images: Annotated[int, Field(ge=0, le=3)] = 0
    # those that every client may send, at the value that they have here
    n: Literal[1] = 1
    logprobs: Literal[False] = False
    presence_penalty: Annotated[float, Field(ge=0, le=0)] = 0.0
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] = 0.0
    response_format: PlainText = PlainText(type="text")


@router.post("/v1/chat/completions", response_model=None)
async def complete(asked: ChatRequest, request: Request) -> Response | dict[str, Any]:
    served = served_by(request)
    served.check_model(asked.model)
    for param in ("progress", "partial_images"):
        if getattr(asked, param) and not asked.stream:
            raise ApiError(400, f"{param}: comes in a stream; there is none without stream: true", param=param)
    answered = Completion(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), served.name, asked.progress)
    cancelled = Flag()
    options = _options(asked, served)
    turns = await run_in_threadpool(turns_of, asked.messages, served.pictures())
    events = served.feed.items(lambda: answer_events(served, turns, options, cancelled), cancelled)
    if asked.stream:
        return await unless_gone(request, server_sent(answered.chunks(events, asked.stream_options.include_usage)))
    return await unless_gone(request, answered.whole(events))


def _options(asked: ChatRequest, served: Served) -> ReplyOptions:
    if asked.max_tokens is not None and asked.max_completion_tokens is not None:
        raise ApiError(400, "max_tokens: the old name of max_completion_tokens; give one of them", param="max_tokens")
    draws = "image" in asked.modalities
    if asked.draw == "always" and not draws:
        raise ApiError(400, "draw: always, and modalities has no image", param="draw")
    draw: dict[str, Draw] = {"auto": "auto", "always": True, "never": False}
    decoding = Decoding(
        asked.max_completion_tokens or asked.max_tokens or served.max_new_tokens,
        asked.temperature,
        asked.top_p,
        stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop),
    )
    drawing = replace(asked.image_config.options(), previews=asked.partial_images)
    return ReplyOptions(decoding, draw[asked.draw] if draws else False, asked.seed, drawing)


@dataclass
class Completion:
    """One answer, as it is made."""

    id: str
    created: int
    model: str
    progress: bool = False
    text: str = ""
    images: list[dict[str, Any]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    partial: int = 0
    """pictures of the drawing that is being made"""

    async def whole(self, events: AsyncIterator[Event]) -> dict[str, Any]:
        async for event in events:
            self._delta(event)
            if isinstance(event, Done):
                done = event
        message = {"role": "assistant", "content": self.text, "refusal": None, "images": self.images}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason(done), "logprobs": None}
        return self._head("chat.completion") | {"choices": [choice], "usage": usage(done), "notices": self.notices}

    async def chunks(self, events: AsyncIterator[Event], with_usage: bool) -> AsyncIterator[tuple[None, Any]]:
        """The JSON of each event of the stream."""
        head = self._head("chat.completion.chunk")

        def chunk(delta: dict[str, Any], reason: str | None = None) -> tuple[None, Any]:
            choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
            return None, head | {"choices": [choice]} | ({"usage": None} if with_usage else {})

        begun = False
        async for event in events:
            if not begun:
                yield chunk({"role": "assistant", "content": ""})
                begun = True
            if delta := self._delta(event):
                yield chunk(delta)
            if isinstance(event, Done):
                yield chunk({}, finish_reason(event))
                if with_usage:
                    yield None, head | {"choices": [], "usage": usage(event)}
        yield None, "[DONE]"

    def _delta(self, event: Event) -> dict[str, Any] | None:
        """What an event adds to the message; nothing, if it only tells how far something is."""
        if isinstance(event, TextDelta):
            text = event.text if self.text else event.text.lstrip()  # models write a blank before their first word
            self.text += text
            return {"content": text} if text else None
        if isinstance(event, ImageDrawn):
            image = self._placed(png(event.image, event.record)) | {"revised_prompt": event.record.prompt}
            self.images.append(image)
            return {"images": [image]}
        if isinstance(event, ImagePreview):
            self.partial += 1
            return {
                "partial_images": [self._placed(png(event.image, None)) | {"partial_image_index": self.partial - 1}]
            }
        if isinstance(event, ImageFailed | Notice):
            notice = event.text if isinstance(event, Notice) else f"not drawn: {event.reason}"
            self.notices.append(notice)
            return {"notices": [notice]}
        if isinstance(event, ImageStarted):
            self.partial = 0
            return {"drawing": {"prompt": event.prompt}} if self.progress else None
        if self.progress and isinstance(event, ImageProgress):
            return {"drawing": {"step": event.step, "steps": event.steps}}
        return None

    def _placed(self, file: bytes) -> dict[str, Any]:
        """The next picture of the message, at its place."""
        url = {"url": data_url(file)}
        return {"type": "image_url", "image_url": url, "index": len(self.images), "offset": len(self.text)}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def finish_reason(done: Done) -> str:
    """
    Raises:
        Closed: it was ended by the server, not by the model.
    """
    if done.finish_reason == "cancelled":
        raise Closed("the server is shutting down")
    return done.finish_reason


def usage(done: Done) -> dict[str, int]:
    read, written = done.prompt_tokens, done.new_tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
