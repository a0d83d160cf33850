"""One reply, text and pictures, as a stream of events. Nothing is kept: whoever asks keeps the conversation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from threading import Event as Flag
from typing import TYPE_CHECKING

from PIL.Image import Image

from minigemini.conversation import GENERATION_MARKER, IMAGE_MARKER, Message, PromptSpan, images_of
from minigemini.engine.local import Answer, picture
from minigemini.engine.request import Decoding, Draw, DrawPolicy, Request
from minigemini.safety.refusal import Safety, refusal
from minigemini.serving.conversation import broken_up
from minigemini.serving.events import Done, Drawn, Event, Notice, TextDelta
from minigemini.serving.picture_events import Drawer, DrawingOptions, Parent, parent_of

if TYPE_CHECKING:  # diffusers takes seconds to import
    from minigemini.generation.image_generator import ImageGenerator

Answers = Callable[[Request, Flag], Iterator[str | PromptSpan | Answer]]
"""An engine: gives text, each drawing prompt when it is complete, and at last the whole, as
:meth:`~minigemini.engine.local.LocalEngine.stream` does."""


@dataclass(frozen=True)
class ReplyOptions:
    """
    Attributes:
        decoding: how the words are chosen; what it says of drawing is filled in.
        draw: True: exactly one prompt is written and drawn; False: none; "auto": the model decides.
        seed: of words that are sampled.
        drawing: how pictures are drawn.
    """

    decoding: Decoding
    draw: Draw = "auto"
    seed: int | None = None
    drawing: DrawingOptions = field(default_factory=DrawingOptions)


def reply_events(
    answers: Answers,
    generator: ImageGenerator | None,
    messages: Sequence[Message],
    options: ReplyOptions,
    *,
    parents: Sequence[Parent] = (),
    safety: Safety | None = None,
    cancelled: Flag | None = None,
    thread: Executor | None = None,
) -> Iterator[Event]:
    """Answer the last message.

    Args:
        answers: such as an engine's ``stream``.
        generator: draws the pictures; None: none can be drawn.
        messages: as the model reads them, markers that were typed broken up; the last one is the user's, with the marker that asks for a
            picture where ``draw`` is True.
        parents: the pictures that this reply may change, the earliest first; see :mod:`~minigemini.serving.picture_events`.
        safety: sees the last message, each prompt and each picture.
        cancelled: set from any thread, it ends the reply; it is set when nobody reads the events any more.
        thread: where pictures are drawn, of all replies that shall wait for one another; None: each in a thread of its own.

    Returns:
        The events as they happen, :class:`Done` at last.

    Raises:
        ValueError: at once; a picture is to be drawn and there is no generator, or edited and there is none, a number of the options
            cannot be, the filter refuses the message, or as of :meth:`~minigemini.engine.local.LocalEngine.stream`. What fails later in a
            drawing is an event.
    """
    if options.draw is True and generator is None:
        raise ValueError("there is no image generator to draw with")
    _check(options.drawing, parents)
    words = messages[-1].text.removesuffix(GENERATION_MARKER)
    contents: list[str | Image] = [words, *map(picture, images_of(messages[-1:]))] if safety else []
    for content in contents:
        if reason := refusal(safety, content):
            raise ValueError(reason)
    policy = DrawPolicy(False)
    if generator is not None and options.draw is not False:
        policy = DrawPolicy(options.draw, generator.max_prompt_tokens, generator.count_prompt_tokens)
    cancelled = cancelled or Flag()
    pieces = answers(Request(messages, replace(options.decoding, drawing=policy), options.seed), cancelled)
    drawer = Drawer(generator, words, options.drawing, parents, safety, cancelled, thread) if generator else None
    return _events(pieces, drawer, cancelled)


def _check(options: DrawingOptions, parents: Sequence[Parent]) -> None:
    if options.count < 1:
        raise ValueError(f"count={options.count}: at least one picture is drawn of a prompt")
    for seed in (options.seed, options.new_seed):
        if seed is not None and not 0 <= seed < 2**63:
            raise ValueError(f"seed={seed}: expected 0 to 2**63 - 1")
    if options.steps is not None and options.steps < 1:
        raise ValueError(f"steps={options.steps}: a picture takes at least one")
    if options.guidance is not None and not 0 <= options.guidance < math.inf:
        raise ValueError(f"guidance={options.guidance}: it must be a number of at least 0")
    if options.size is not None and min(options.size) < 1:
        raise ValueError(f"size={options.size}: a picture has at least one pixel on each side")
    if options.action == "edit":
        parent_of("", parents, options)


def _events(pieces: Iterator[str | PromptSpan | Answer], drawer: Drawer | None, cancelled: Flag) -> Iterator[Event]:
    started = time.monotonic()
    parts: list[str | Drawn] = []
    notices: list[str] = []
    whole: Answer | None = None
    try:
        for piece in pieces:
            if isinstance(piece, Answer):
                whole = piece
            elif isinstance(piece, str):
                if parts and isinstance(parts[-1], str):
                    parts[-1] += piece
                else:
                    parts.append(piece)
                yield TextDelta(piece)
            elif cancelled.is_set():
                parts.append(Drawn(piece.written))
            else:
                assert drawer is not None, "without a generator no prompt can be written"
                parts += yield from drawer.draw(piece, notices)
    except BaseException:  # something failed, or nobody listens any more
        cancelled.set()
        pieces.close()  # type: ignore[attr-defined]
        raise
    assert whole is not None, "a stream ends with the whole"

    final = len(notices)
    if whole.finish_reason == "length":
        notices.append(f"the answer was cut at {len(whole.token_ids)} tokens")
    if whole.shortened and any(isinstance(part, Drawn) and part.image is not None for part in parts):
        notices.append("the drawing prompt was ended early: the image generator reads no more")
    if IMAGE_MARKER in whole.text:
        notices.append(broken_up([IMAGE_MARKER], "the answer"))
    yield from map(Notice, notices[final:])
    yield Done(whole, tuple(parts), tuple(notices), time.monotonic() - started)
