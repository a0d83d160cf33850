"""``/v1/responses``: a conversation that the server may keep, with pictures drawn by its tool ``image_generation``."""

from __future__ import annotations

import time
import uuid
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event as Flag
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Discriminator, Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError
from starlette.concurrency import run_in_threadpool

from minigemini.conversation import Image, Message, Part, Text
from minigemini.engine.request import Decoding, Draw
from minigemini.serving.assets import Assets
from minigemini.serving.conversation import Drawing, Turn
from minigemini.serving.events import Done, Event
from minigemini.serving.http.answer import answer_events
from minigemini.serving.http.chat_completions import ImageConfig, PlainText, finish_reason
from minigemini.serving.http.errors import ApiError, as_api_error
from minigemini.serving.http.feed import unless_gone
from minigemini.serving.http.messages import Given
from minigemini.serving.http.metrics import tell_failed
from minigemini.serving.http.response_input import Item, turns_of_items
from minigemini.serving.http.response_output import Output
from minigemini.serving.http.served import Served, served_by
from minigemini.serving.http.server_sent import server_sent
from minigemini.serving.picture_events import DrawingOptions
from minigemini.serving.reply_events import ReplyOptions

router = APIRouter()


class ImageTool(ImageConfig):
    """Lets the model draw; count, seed, steps, guidance and negative_prompt are ours.

    Attributes:
        partial_images: a stream shows each picture so many times, at most, while it is drawn.
    """

    type: Literal["image_generation"]
    partial_images: Annotated[int, Field(ge=0, le=3)] = 0
    # those that every client may send, at the value that they have here
    output_format: Literal["png"] = "png"
    quality: Literal["auto"] = "auto"
    background: Literal["auto"] = "auto"


class ImageChoice(Given):
    type: Literal["image_generation"]


def _choice(given: Any) -> str | None:
    if given in ("auto", "none", "required"):
        return "word"
    return "tool" if isinstance(given, ImageChoice) or given == {"type": "image_generation"} else None


ToolChoice = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag("word")] | Annotated[ImageChoice, Tag("tool")],
    Discriminator(
        _choice,
        custom_error_type="tool_choice",
        custom_error_message='expected "auto", "none", "required" or {"type": "image_generation"}',
    ),
]


class TextSettings(Given):
    format: PlainText = PlainText(type="text")


class ResponseRequest(Given):
    """What of OpenAI's request is honoured, and one field of ours.

    Attributes:
        instructions: the system's message; of this answer alone, as it is not kept.
        temperature: 0 unless given: the likeliest token each time. OpenAI's is 1.
        tools: without the tool nothing is drawn.
        tool_choice: ``required``, or the tool itself: exactly one prompt is drawn; ``none``: nothing is.
        store: whether the answer is kept in this server's memory, for ``previous_response_id``.
        seed: of ours: of words that are sampled.
    """

    model: str
    input: Annotated[list[Item], Field(min_length=1)]
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool = True
    stream: bool = False
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    tools: Annotated[list[ImageTool], Field(max_length=1)] = []
    tool_choice: ToolChoice = "auto"
    metadata: dict[str, str] = {}
    # those that every client may send, at the value that they have here
    background: Literal[False] = False
    include: Annotated[list[Any], Field(max_length=0)] = []
    parallel_tool_calls: Literal[True] = True
    text: TextSettings = TextSettings()
    truncation: Literal["disabled"] = "disabled"

    @model_validator(mode="before")
    @classmethod
    def _as_items(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("input"), str):
            return given | {"input": [{"role": "user", "content": given["input"]}]}
        return given

    @field_validator("metadata")
    @classmethod
    def _as_notes(cls, given: dict[str, str]) -> dict[str, str]:
        """OpenAI's limits."""
        if len(given) > 16 or any(len(key) > 64 or len(value) > 512 for key, value in given.items()):
            raise PydanticCustomError("metadata", "at most 16 pairs, keys of 64 and values of 512 characters")
        return given

    @property
    def draw(self) -> Draw:
        if not self.tools or self.tool_choice == "none":
            return False
        return "auto" if self.tool_choice == "auto" else True

    def told(self) -> dict[str, Any]:
        """What of the request stands in the response."""
        tools = [tool.model_dump(exclude_none=True) for tool in self.tools]
        return self.model_dump(exclude={"model", "input", "stream", "seed"}) | {"tools": tools}


@router.post("/v1/responses", response_model=None)
async def respond(asked: ResponseRequest, request: Request) -> Response | dict[str, Any]:
    served = served_by(request)
    served.check_model(asked.model)
    options = _options(asked, served)
    owner = request.scope["key"]
    kept = partial(served.responses.picture, owner)
    turns = await run_in_threadpool(turns_of_items, asked.input, served.pictures(), kept)
    if asked.previous_response_id is not None:
        before = served.responses.get(owner, asked.previous_response_id, "previous_response_id")
        turns = [*before.turns, *turns]
    read = [Turn(Message("system", (Text(asked.instructions),))), *turns] if asked.instructions else turns
    cancelled = Flag()
    events = served.feed.items(lambda: answer_events(served, read, options, cancelled), cancelled)
    answer = Answering(asked, served, owner, turns)
    if asked.stream:
        return await unless_gone(request, server_sent(answer.streamed(events)))
    return await unless_gone(request, answer.whole(events))


@router.get("/v1/responses/{name}", response_model=None)
async def retrieve(name: str, request: Request) -> dict[str, Any]:
    for option in request.query_params:
        message = f"{option}: this server has no such option of a kept response"
        raise ApiError(400, message, param=option, code="unsupported_parameter")
    return served_by(request).responses.get(request.scope["key"], name, "response_id").response


@router.delete("/v1/responses/{name}", response_model=None)
async def delete(name: str, request: Request) -> dict[str, Any]:
    served_by(request).responses.delete(request.scope["key"], name, "response_id")
    return {"id": name, "object": "response.deleted", "deleted": True}


def _options(asked: ResponseRequest, served: Served) -> ReplyOptions:
    if asked.tools and served.generator is None:
        raise ApiError(400, "tools: this server has no image generator", param="tools", code="no_image_generator")
    if not asked.tools and asked.tool_choice not in ("auto", "none"):
        raise ApiError(400, "tool_choice: there is no tool to choose", param="tool_choice")
    drawing = DrawingOptions()
    for tool in asked.tools:
        if tool.partial_images and not asked.stream:
            param = "tools[0].partial_images"
            raise ApiError(400, f"{param}: come in a stream; there is none without stream: true", param=param)
        drawing = replace(tool.options(), previews=tool.partial_images)
    decoding = Decoding(asked.max_output_tokens or served.max_new_tokens, asked.temperature, asked.top_p)
    return ReplyOptions(decoding, asked.draw, asked.seed, drawing)


@dataclass
class Answering:
    """One answer, as it is made.

    Attributes:
        owner: the key that asked.
        turns: the conversation that it answers, without instructions.
    """

    asked: ResponseRequest
    served: Served
    owner: str
    turns: list[Turn]
    output: Output = field(default_factory=Output)
    id: str = field(default_factory=lambda: f"resp_{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    async def whole(self, events: AsyncIterator[Event]) -> dict[str, Any]:
        async for event in events:
            for _ in self._told(event):
                pass
            if isinstance(event, Done):
                done = event
        return self._ended(done)

    async def streamed(self, events: AsyncIterator[Event]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Name and JSON of each event. What is raised before the first is raised; later it is told: ``response.failed``."""
        number = 0

        def numbered(told: dict[str, Any]) -> tuple[str, dict[str, Any]]:
            nonlocal number
            number += 1
            return told["type"], told | {"sequence_number": number - 1}

        begun = False
        try:
            async for event in events:
                if not begun:
                    begun = True
                    for kind in ("response.created", "response.in_progress"):
                        yield numbered({"type": kind, "response": self._response("in_progress")})
                for told in self._told(event):
                    yield numbered(told)
                if isinstance(event, Done):
                    response = self._ended(event)
                    yield numbered({"type": f"response.{response['status']}", "response": response})
        except Exception as error:
            if not begun:
                raise
            tell_failed()
            why = {"code": "server_error", "message": as_api_error(error).detail}
            yield numbered({"type": "response.failed", "response": self._response("failed") | {"error": why}})

    def _told(self, event: Event) -> Iterator[dict[str, Any]]:
        if not isinstance(event, Done):
            yield from self.output.add(event)
            return
        yield from self.output.finish("incomplete" if finish_reason(event) == "length" else "completed")

    def _ended(self, done: Done) -> dict[str, Any]:
        """The response, kept if it is to be."""
        cut = finish_reason(done) == "length"
        response = self._response("incomplete" if cut else "completed") | {"usage": usage(done)}
        if cut:
            response["incomplete_details"] = {"reason": "max_output_tokens"}
        else:
            response["completed_at"] = int(time.time())
        if self.asked.store and not self.served.responses.keep(self.owner, response, [*self.turns, self._turn(done)]):
            response["store"] = False
            response["notices"] = [*response["notices"], "this conversation is too large to be kept"]
        return response

    def _turn(self, done: Done) -> Turn:
        """The answer as it is read again; pictures as the PNGs that were sent."""
        calls = (item for item in self.output.items if item["type"] == "image_generation_call")
        parts: list[Part] = []
        for one in done.parts:
            if isinstance(one, str):
                parts.append(Text(one))
            else:
                result = next(calls)["result"]
                png = None if result is None else Assets().put_png(b64decode(result))
                parts.append(Image(Drawing(one.written, png, one.record)))
        return Turn(Message("assistant", tuple(parts)))

    def _response(self, status: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self.served.name,
            **self.asked.told(),
            "output": [*self.output.items],
            "usage": None,
            "notices": [*self.output.notices],
        }


def usage(done: Done) -> dict[str, Any]:
    """Nothing is cached from one answer to the next, and nothing is written that is not told."""
    return {
        "input_tokens": done.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": done.new_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": done.prompt_tokens + done.new_tokens,
    }
