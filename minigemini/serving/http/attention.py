"""``/v1/attention``: where an answer looked in the pictures of its conversation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Event as Flag
from typing import Annotated, Any

import torch
from fastapi import APIRouter, Request
from jinja2 import TemplateError
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from minigemini.attention.maps import answer_attention, seen_square
from minigemini.attention.overlay import Overlay, overlays
from minigemini.attention.picture import pictures_of
from minigemini.conversation import Message
from minigemini.engine.local import LocalEngine, opened
from minigemini.engine.request import Decoding
from minigemini.serving.conversation import as_read, as_typed
from minigemini.serving.http.errors import ApiError
from minigemini.serving.http.feed import unless_gone
from minigemini.serving.http.messages import ChatMessage, Given, turns_of
from minigemini.serving.http.pictures import data_url, png
from minigemini.serving.http.served import Served, served_by

router = APIRouter()

MOST_WORDS = 1024
"""Tokens of an answer: the weights of each of them to the whole conversation are in memory at once, for every head and layer."""


class AttentionRequest(Given):
    """
    Attributes:
        messages: as of ``/v1/chat/completions``, but the last one is the answer, as it was given there.
    """

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=2)]


@router.post("/v1/attention", response_model=None)
async def look(asked: AttentionRequest, request: Request) -> dict[str, Any]:
    """One of ``data`` for each picture, in the order of the messages: ``image_url``, and its overlay's ``share`` and ``brightest``."""
    served = served_by(request)
    served.check_model(asked.model)
    turns = await run_in_threadpool(turns_of, asked.messages, served.pictures(), "assistant")
    special = served.engine.engine.processor.tokenizer.all_special_tokens
    messages = as_read([as_typed(turn, special) for turn in turns])
    if not messages[-1].text.strip():
        raise ApiError(400, "messages: the answer has no words, so they looked nowhere", param="messages")

    async def found() -> dict[str, Any]:
        looked = [one async for one in served.feed.items(lambda: _looked(served, messages), Flag())]
        return {"object": "list", "data": [_json(one) for one in looked]}

    return await unless_gone(request, found())


def _looked(served: Served, messages: Sequence[Message]) -> Iterator[Overlay]:
    engine = served.engine.engine
    shown = opened(messages)
    pictures = pictures_of(shown[:-1])
    try:
        inputs = engine.read([messages[:-1]])
        answer = answer_tokens(engine, shown, inputs["input_ids"][0])
    except TemplateError as error:
        raise ValueError(f"the model's chat template does not take this conversation: {error}") from error
    engine.room(Decoding(1), inputs["input_ids"].shape[1] + len(answer))
    if len(answer) > MOST_WORDS:
        raise ApiError(400, f"messages: the answer has {len(answer)} tokens, and {MOST_WORDS} may be looked into")
    with engine.alone():  # the model gives weights only with eager attention, to which it is set
        attentions = answer_attention(engine.model, inputs, answer)
    squares = [seen_square(picture.size, engine.processor.image_processor) for picture in pictures]
    yield from overlays(attentions, pictures, squares)


def answer_tokens(engine: LocalEngine, shown: list[dict[str, Any]], prompt: torch.Tensor) -> torch.Tensor:
    """[A], the tokens of the last message up to the one that ends it, as the model has learnt to write them.

    Args:
        shown: the whole conversation as the chat template takes it.
        prompt: [L], the tokens of all before, up to where an answer begins.

    Raises:
        ValueError: the template does not write an answer behind what it writes where one begins.
    """
    whole = engine.processor.apply_chat_template(shown, tokenize=True, return_dict=True, return_tensors="pt")
    ids = whole["input_ids"][0]
    if not torch.equal(ids[: len(prompt)], prompt.cpu()):
        raise ValueError("this model's chat template writes a conversation otherwise once it is answered")
    answer = ids[len(prompt) :]
    ends = torch.isin(answer, torch.tensor(engine.end_token_ids)).nonzero()
    return answer[: int(ends[0])] if len(ends) else answer


def _json(overlay: Overlay) -> dict[str, Any]:
    url = {"url": data_url(png(overlay.image, None))}
    return {
        "image_url": url,
        "share": round(overlay.share, 4),
        "brightest": [round(one, 4) for one in overlay.brightest],
    }
