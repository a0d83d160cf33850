"""``/v1/chat/completions``: pictures and text in, text and pictures out, whole or as a stream."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from minigemini.serving.http.errors import ApiError
from minigemini.serving.http.feed import unless_gone
from minigemini.serving.http.messages import ChatMessage, Given, turns_of
from minigemini.serving.http.server_sent import server_sent

router = APIRouter()

Stop = Annotated[str, Field(min_length=1, max_length=100)]


class StreamOptions(Given):
    include_usage: bool = False


class PlainText(Given):
    type: Literal["text"]


class ChatRequest(Given):
    """What of OpenAI's request is honoured, and two fields of ours.

    Attributes:
        temperature: 0 unless given: the likeliest token each time. OpenAI's is 1.
        modalities: ``["text"]``: no drawing. ``["text", "image"]``: as the model thinks right, as when nothing is said.
        draw: of ours: exactly one picture, none, or what the model thinks right.
        image_config: of ours: how pictures are drawn.
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
    # those that every client may send, at the value that they have here
    n: Literal[1] = 1
    logprobs: Literal[False] = False
    presence_penalty: Annotated[float, Field(ge=0, le=0)] = 0.0
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] = 0.0
    response_format: PlainText = PlainText(type="text")
