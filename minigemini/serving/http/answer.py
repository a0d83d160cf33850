"""A conversation without a session -> the events of its answer."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import asdict, dataclass, replace
from queue import SimpleQueue
from threading import Event as Flag

from jinja2 import TemplateError
from PIL.Image import Image

from minigemini.conversation import CONTROL_MARKERS, Message, Part, PromptSpan, Text, neutralise
from minigemini.engine.local import Answer
from minigemini.engine.reply import Failed
from minigemini.engine.request import Decoding, Draw, DrawPolicy, Request
from minigemini.generation.generation_record import GenerationRecord, pixel_hash
from minigemini.serving.chat_session import (
    ImageDrawn,
    ImageProgress,
    ImageStarted,
    Notice,
    TextDelta,
)
from minigemini.serving.conversation import Turn, as_read
from minigemini.serving.http.served import Served


@dataclass(frozen=True)
class ImageFailed:
    """A prompt was written and its picture could not be drawn."""

    reason: str


@dataclass(frozen=True)
class Done:
    """The end of an answer.

    Attributes:
        answer: as the model wrote it, drawing prompts included.
        prompt_tokens, answer_tokens: read and written, those of pictures included.
    """

    answer: Answer
    prompt_tokens: int
    answer_tokens: int


Event = TextDelta | ImageStarted | ImageProgress | ImageDrawn | ImageFailed | Notice | Done


@dataclass(frozen=True)
class ImageSettings:
    """How pictures are drawn; None: as the generator's family is."""

    size: tuple[int, int] | None = None
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    negative_prompt: str | None = None


def answer_events(
    served: Served,
    turns: Sequence[Turn],
    decoding: Decoding,
    seed: int | None,
    draw: Draw,
    settings: ImageSettings,
    cancelled: Flag,
) -> Iterator[Event]:
    """The answer to the last of ``turns``, each picture at its place. Markers in texts are broken up, and a :class:`Notice` says so.

    Pictures are drawn one at a time in a thread of their own, so nobody's text waits for them.

    Args:
        decoding: its ``drawing`` is set here.
        cancelled: ends the answer and its drawing; from any thread.

    Raises:
        ValueError: the conversation is none that the model takes, or a picture is wanted and this server draws none.
        Busy, Closed, TimeoutError: of the engine.
    """
    generator = served.generator
    if draw is True and generator is None:
        raise ValueError("this server has no image generator to draw with")
    policy = DrawPolicy(False)
    if generator is not None and draw is not False:
        policy = DrawPolicy(draw, generator.max_prompt_tokens, generator.count_prompt_tokens)
    markers = [*CONTROL_MARKERS, *served.engine.engine.processor.tokenizer.all_special_tokens]
    turns, found = _neutralised(turns, markers)
    if draw is True:
        turns[-1] = replace(turns[-1], asks_for_drawing=True)
    request = Request(as_read(turns), replace(decoding, drawing=policy), seed)
    try:
        reply = served.engine.submit(request, served.seconds, cancelled)
    except TemplateError as error:
        raise ValueError(f"the model's chat template does not take this conversation: {error}") from error
    if found:
        named = ", ".join(f"{marker} as {marker[0]} {marker[1:]}" for marker in found)
        yield Notice(f"words that steer the model are read as plain text: {named}")

    before = _last_drawings(turns)
    drawn = 0
    for event in reply:
        if isinstance(event, str):
            yield TextDelta(event)
        elif isinstance(event, PromptSpan):
            yield from draw_events(
                served,
                event.prompt,
                replace(settings, seed=_seed_of(drawn, settings, before)),
                cancelled,
                parents=[pixel_hash(image) for image, _ in before],
            )
            drawn += 1
        elif isinstance(event, Failed):
            raise event.error
        else:
            if event.answer.shortened and drawn:
                yield Notice("the drawing prompt was ended early: the image generator reads no more")
            yield Done(event.answer, event.prompt_tokens, event.answer_tokens)


def draw_events(
    served: Served, prompt: str, settings: ImageSettings, cancelled: Flag, parents: Sequence[str] = ()
) -> Iterator[Event]:
    """One picture, in the thread in which all are drawn one after another."""
    generator = served.generator
    assert generator is not None, "without a generator no prompt can be written"
    assert settings.seed is not None
    yield ImageStarted(prompt, settings.seed)
    ends = time.monotonic() + served.seconds
    steps: SimpleQueue[ImageProgress | None] = SimpleQueue()

    def on_step(done: int, total: int) -> None:
        steps.put(ImageProgress(done, total))
        if cancelled.is_set() and done < total:
            raise CancelledError
        if time.monotonic() > ends:
            raise TimeoutError(f"no picture within {served.seconds:g} seconds")

    def draw() -> tuple[Image, GenerationRecord]:
        if cancelled.is_set():
            raise CancelledError
        return generator.draw(prompt, **asdict(settings), parents=parents, on_step=on_step)

    job = served.drawing.submit(draw)
    job.add_done_callback(lambda _: steps.put(None))
    while (progress := steps.get()) is not None:
        yield progress
    try:
        yield ImageDrawn(*job.result())
    except CancelledError:
        yield ImageFailed("the drawing was stopped")
    except (ValueError, TimeoutError) as error:
        yield ImageFailed(str(error))


def _neutralised(turns: Sequence[Turn], markers: Sequence[str]) -> tuple[list[Turn], list[str]]:
    """The turns with the markers in their texts broken up, and those that were found. What a drawing was made of is not typed."""
    changed, found = [], []
    for turn in turns:
        parts: list[Part] = []
        for part in turn.message.parts:
            if isinstance(part, Text):
                text, here = neutralise(part.text, markers)
                found += here
                part = Text(text)
            parts.append(part)
        changed.append(replace(turn, message=Message(turn.message.role, tuple(parts))))
    return changed, sorted(set(found))


def _last_drawings(turns: Sequence[Turn]) -> list[tuple[Image, GenerationRecord]]:
    """Of the last answer that has some."""
    drawings = next((turn.drawings for turn in reversed(turns) if turn.drawings), [])
    return [(one.image, one.record) for one in drawings if one.image is not None and one.record is not None]


def _seed_of(number: int, settings: ImageSettings, before: Sequence[tuple[Image, GenerationRecord]]) -> int:
    """A change begins from the noise of the picture before: what the new prompt does not change stays where it is."""
    if settings.seed is not None:
        return (settings.seed + number) % 2**63
    return before[number][1].seed if number < len(before) else secrets.randbelow(2**31)
