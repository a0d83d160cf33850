"""What a model is asked: messages, and how the answer is decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from minigemini.conversation import Message

Draw = Literal["auto"] | bool
"""Draw exactly one picture (True), none (False), or what the model thinks right ("auto")."""


@dataclass(frozen=True)
class DrawPolicy:
    """Drawing prompts are written well formed, or not at all.

    Attributes:
        max_prompt_tokens: the longest prompt the image generator reads, as ``count_prompt_tokens`` measures; None: any length.
        count_prompt_tokens: how long a prompt is for the generator; in tokens of the language model if not given.
    """

    draw: Draw
    max_prompt_tokens: int | None = None
    count_prompt_tokens: Callable[[str], int] | None = None


@dataclass(frozen=True)
class Decoding:
    """How an answer is written. Nothing is left to the checkpoint's generation config but the tokens that end an answer or must not be
    in it.

    Attributes:
        temperature: 0: the likeliest token each time; else sampled.
        top_p, top_k: when sampling, the likeliest tokens of this share or number; 1 and 0: all.
        stop: the answer ends before the first of these.
        drawing: None: decoding is free, drawing prompts are text like any other.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    num_beams: int = 1
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    drawing: DrawPolicy | None = None


@dataclass(frozen=True)
class Request:
    """
    Attributes:
        messages: a conversation, the user's message last; pictures are PIL images, files, or have an ``open()`` that gives one.
        seed: of sampling; the random state of the process is left as it was. None: chance is the process's.
    """

    messages: Sequence[Message]
    decoding: Decoding
    seed: int | None = None
