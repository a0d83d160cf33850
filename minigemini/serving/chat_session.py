"""A conversation with a model that reads and draws pictures: the one place that mixes modalities."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event as Flag
from typing import TYPE_CHECKING, Literal

from jinja2 import TemplateError
from PIL import Image

from minigemini.attention.picture import draw_answer
from minigemini.conversation import (
    CONTROL_MARKERS,
    IMAGE_MARKER,
    Message,
    Part,
    PromptSpan,
    Text,
    images_of,
    message,
    neutralise,
)
from minigemini.conversation import Image as Shown
from minigemini.engine.local import Answer, LocalEngine, opened
from minigemini.engine.request import Decoding, Draw, DrawPolicy, Request
from minigemini.generation.generation_record import GenerationRecord, pixel_hash
from minigemini.serving.conversation import Conversation, Drawing, Turn, as_read

if TYPE_CHECKING:  # diffusers takes seconds to import
    from minigemini.generation.image_generator import ImageGenerator


@dataclass(frozen=True)
class TextDelta:
    """More of the answer's text; drawing prompts are not in it."""

    text: str


@dataclass(frozen=True)
class ImageStarted:
    """A prompt is complete and its drawing begins, at this place of the answer."""

    prompt: str
    seed: int


@dataclass(frozen=True)
class ImageProgress:
    step: int
    steps: int


@dataclass(frozen=True)
class ImageDrawn:
    image: Image.Image
    record: GenerationRecord


@dataclass(frozen=True)
class Notice:
    """Something the user should know: text that was changed, an answer or a prompt that was cut, a picture not drawn."""

    text: str


@dataclass(frozen=True)
class Done:
    """The end of a reply.

    Attributes:
        answer: the whole text as the model wrote it, drawing prompts included.
        finish_reason: ``"stop"`` by the model, ``"length"`` at the token limit, ``"cancelled"`` by the user.
        new_tokens: tokens of the answer.
        seconds: from the call to the end, drawing included.
    """

    answer: str
    finish_reason: Literal["stop", "length", "cancelled"]
    new_tokens: int
    seconds: float


Event = TextDelta | ImageStarted | ImageProgress | ImageDrawn | Notice | Done


class ChatSession:
    """One conversation. Sessions may share an engine and a generator; one session answers one message at a time.

    Args:
        engine: the model that answers.
        generator: draws the pictures, or the promise of one that is still being loaded; None: this chat cannot draw.
        max_new_tokens: most tokens of an answer; None: as the checkpoint's generation config says, else 256.
        temperature: 0: the likeliest token each time; else sampled.
        system: what the model is told before everything else; empty: what its template says.
        seed: of the first drawing; each conversation after a :meth:`reset` begins with the next one.
    """

    def __init__(
        self,
        engine: LocalEngine,
        generator: ImageGenerator | Future[ImageGenerator] | None = None,
        *,
        max_new_tokens: int | None = None,
        temperature: float = 0.0,
        system: str = "",
        seed: int = 0,
    ) -> None:
        self.engine = engine
        self._generator = generator
        self.max_new_tokens = max_new_tokens or engine.model.generation_config.max_new_tokens or 256
        self.temperature = temperature
        self.seed = seed
        self._cancelled = Flag()
        self._begin([])
        if system:
            self.set_system(system)

    def _begin(self, turns: list[Turn]) -> None:
        self.branches = [Conversation("Conversation", turns)]
        self.conversation = self.branches[0]
        self._last: Answer | None = None

    def set_system(self, text: str) -> None:
        """Tell the model something before everything else, instead of what it was told so before; empty: nothing.

        Raises:
            ValueError: the model's chat template takes no system turn. The conversation is as before.
        """
        tokenizer = self.engine.processor.tokenizer
        text, found = neutralise(text.strip(), [*CONTROL_MARKERS, *tokenizer.all_special_tokens])
        told = [Turn(message("system", text), notices=[_broken_up(found)] if found else [])] if text else []
        try:
            self.engine.read([[*as_read(told), message("user", "?")]])
        except TemplateError as error:
            raise ValueError(f"this model takes no system message: {error}") from error
        turns = self.conversation.turns
        turns[:] = [*told, *(turn for turn in turns if turn.message.role != "system")]
        self._last = None

    def undo(self) -> tuple[Turn, Turn]:
        """Take back the last message and its answer, and give them.

        Raises:
            ValueError: there is none.
        """
        turns = self.conversation.turns
        if not turns or turns[-1].message.role != "assistant":
            raise ValueError("nothing was said yet")
        answered, asked = turns.pop(), turns.pop()
        self._last = None
        return asked, answered

    def branch(self) -> int:
        """Keep the conversation as it is and go on in a copy; its number among :attr:`branches`, from 0 on."""
        self.conversation = Conversation(self.conversation.title, list(self.conversation.turns))
        self.branches.append(self.conversation)
        return len(self.branches) - 1

    def switch(self, number: int) -> None:
        """Go on in another branch.

        Raises:
            ValueError: there is none of that number.
        """
        if not 0 <= number < len(self.branches):
            raise ValueError(f"there is no branch {number}; the last one is {len(self.branches) - 1}")
        self.conversation = self.branches[number]
        self._last = None

    def retry(self, draw: Draw = "auto") -> Iterator[Event]:
        """Answer the last message again; drawings get the next seed, words differ only where they are sampled.

        Args:
            draw: as for :meth:`reply`; a message that asked for a picture asks again.

        Returns:
            The events. The old answer stays if the new one fails, or is stopped before its first word.

        Raises:
            ValueError: when they are read; nothing was said yet, or as :meth:`reply`.
        """
        last = self._last
        asked, answered = self.undo()
        records = [drawing.record for drawing in answered.drawings if drawing.record is not None]
        seed = (records[0].seed + 1) % 2**63 if records else None
        before = len(self.conversation.turns)
        try:
            pictures = images_of([asked.message])
            yield from self.reply(asked.message.text, pictures, True if asked.asks_for_drawing else draw, seed)
        finally:
            if len(self.conversation.turns) == before:
                self.conversation.turns.extend([asked, answered])
                self._last = last

    def reset(self) -> None:
        """Forget the conversation and its branches, but not what the model is told as its system.

        The next one's first drawing has the next seed, else all would look alike.
        """
        self.seed += 1
        self._begin([turn for turn in self.conversation.turns if turn.message.role == "system"])

    def cancel(self) -> None:
        """Stop the reply that is being made, from any thread or signal handler. Its events end with :class:`Done`."""
        self._cancelled.set()

    @property
    def messages(self) -> list[Message]:
        """The conversation as the model reads it."""
        return as_read(self.conversation.turns)

    @property
    def has_pictures(self) -> bool:
        """Whether the model has seen a picture in this conversation."""
        return bool(images_of(self.messages))

    def attention_picture(self) -> Image.Image:
        """Where the last answer looked in the pictures of the conversation, see ``attention.picture.draw_attention``.

        Raises:
            ValueError: nothing was answered yet, or without a word, or no picture was shown.
        """
        if self._last is None:
            raise ValueError("nothing was answered yet, so there is no attention to show")
        asked = self.messages[:-1]
        with self.engine.alone():  # the model gives weights only with eager attention, to which it is set
            inputs = self.engine.read([asked])
            return draw_answer(self.engine.model, self.engine.processor, opened(asked), inputs, self._last.token_ids)

    @property
    def generator(self) -> ImageGenerator | None:
        """The image generator, waited for if it is still being loaded.

        Raises:
            ValueError: it could not be loaded; from then on it is None.
        """
        if isinstance(self._generator, Future):
            promised, self._generator = self._generator, None
            self._generator = promised.result()
        return self._generator

    def reply(
        self, text: str, images: Sequence[Image.Image] = (), draw: Draw = "auto", seed: int | None = None
    ) -> Iterator[Event]:
        """Answer one message of the user.

        Pictures drawn in the answer before are shown to the model at the start of this message, before ``images``: so it
        sees what it drew when it is asked to change it. A new drawing begins from the same noise as the one before, which
        keeps in place what the prompt does not change.

        Args:
            text: markers and special tokens in it are broken up, and a :class:`Notice` says so.
            images: RGB pictures to look at.
            draw: True: ask for a picture, exactly one is drawn; False: none; "auto": the model decides.
            seed: of the drawings in this answer, instead of the one before.

        Returns:
            The events, as they happen. The message is part of the conversation when they have been read to the end. An answer
            that is cancelled before its first word leaves no trace.

        Raises:
            ValueError: nothing was said or shown, the conversation has outgrown the model's context, or a drawing is
                wanted and there is no generator. The conversation is as before.
        """
        if not text.strip() and not images:
            raise ValueError("there is nothing to answer: neither text nor a picture")
        if draw is True and self._generator is None:
            raise ValueError("this chat has no image generator to draw with; name one with --generator")
        generator = self.generator if draw is not False else None
        policy = DrawPolicy(False)
        if generator is not None:
            policy = DrawPolicy(draw, generator.max_prompt_tokens, generator.count_prompt_tokens)
        text, found = neutralise(text, [*CONTROL_MARKERS, *self.engine.processor.tokenizer.all_special_tokens])
        asked = Turn(message("user", text, images), draw is True, [_broken_up(found)] if found else [])
        request = Request(
            as_read([*self.conversation.turns, asked]),
            Decoding(self.max_new_tokens, self.temperature, drawing=policy),
        )
        cancelled = Flag()
        return self._events(asked, self.engine.stream(request, cancelled), cancelled, seed)

    def _events(
        self, asked: Turn, pieces: Iterator[str | PromptSpan | Answer], cancelled: Flag, seed: int | None
    ) -> Iterator[Event]:
        started = time.monotonic()
        self._cancelled = cancelled
        yield from map(Notice, asked.notices)
        parts: list[Part] = []
        notices: list[str] = []
        answer: Answer | None = None
        try:
            for piece in pieces:
                if isinstance(piece, Answer):
                    answer = piece
                elif isinstance(piece, str):
                    _append(parts, piece)
                    yield TextDelta(piece)
                else:
                    drawing = Drawing(piece.written)
                    for event in [] if cancelled.is_set() else self._draw(piece, _drawn(parts), seed):
                        yield event
                        if isinstance(event, ImageDrawn):
                            drawing = Drawing(piece.written, event.image, event.record)
                        elif isinstance(event, Notice):
                            notices.append(event.text)
                    parts.append(Shown(drawing))
        except BaseException:  # a drawing failed, or nobody listens any more
            cancelled.set()
            pieces.close()  # type: ignore[attr-defined]
            raise
        assert answer is not None, "a stream ends with the whole"

        final = len(notices)
        if answer.finish_reason == "length":
            notices.append(f"the answer was cut at {len(answer.token_ids)} tokens")
        if answer.shortened and _drawn(parts):
            notices.append("the drawing prompt was ended early: the image generator reads no more")
        if answer.text.strip() or answer.finish_reason != "cancelled":
            if IMAGE_MARKER in answer.text:
                notices.append(_broken_up([IMAGE_MARKER], "the answer"))
            self.conversation.turns.extend([asked, Turn(Message("assistant", tuple(parts)), notices=notices)])
            self._last = answer
        else:
            notices.append("stopped before the first word; this message is not part of the conversation")
        yield from map(Notice, notices[final:])
        yield Done(answer.text, answer.finish_reason, len(answer.token_ids), time.monotonic() - started)

    def _draw(self, span: PromptSpan, index: int, seed: int | None) -> Iterator[Event]:
        """Draw one prompt, the ``index``-th picture of this answer."""
        before = self._last_drawings()
        if seed is None and index < len(before):
            seed = before[index][1].seed
        elif seed is None:
            first = before[0][1].seed if before else self.seed
            seed = (first + index) % 2**63
        generator = self.generator
        assert generator is not None, "without a generator no prompt can be written"
        yield ImageStarted(span.prompt, seed)

        steps: SimpleQueue[ImageProgress | None] = SimpleQueue()
        with ThreadPoolExecutor(1) as thread:
            job = thread.submit(
                generator.draw,
                span.prompt,
                seed=seed,
                parents=[pixel_hash(image) for image, _ in before],
                on_step=self._reporting_to(steps),
            )
            job.add_done_callback(lambda _: steps.put(None))
            try:
                while (progress := steps.get()) is not None:
                    yield progress
            except GeneratorExit:  # nobody listens any more: do not wait for the rest of the drawing
                self._cancelled.set()
                raise
        try:
            yield ImageDrawn(*job.result())
        except _Stopped:
            yield Notice("the drawing was stopped")
        except ValueError as error:
            yield Notice(f"not drawn: {error}")

    def _last_drawings(self) -> list[tuple[Image.Image, GenerationRecord]]:
        """Of the last answer that has some."""
        drawn = (turn.drawings for turn in reversed(self.conversation.turns))
        last = next((drawings for drawings in drawn if drawings), [])
        return [(one.image, one.record) for one in last if one.image is not None and one.record is not None]

    def _reporting_to(self, steps: SimpleQueue[ImageProgress | None]) -> Callable[[int, int], None]:
        def on_step(done: int, total: int) -> None:
            steps.put(ImageProgress(done, total))
            if self._cancelled.is_set() and done < total:
                raise _Stopped

        return on_step


class _Stopped(Exception):
    """Raised inside a drawing that the user cancelled."""


def _append(parts: list[Part], text: str) -> None:
    if parts and isinstance(parts[-1], Text):
        parts[-1] = Text(parts[-1].text + text)
    else:
        parts.append(Text(text))


def _drawn(parts: Sequence[Part]) -> int:
    """How many pictures were drawn."""
    return len(Turn(Message("assistant", tuple(parts))).drawings)


def _broken_up(markers: list[str], where: str = "your text") -> str:
    named = ", ".join(f"{marker} as {marker[0]} {marker[1:]}" for marker in markers)
    return f"{where} holds words that steer the model; they are read as plain text: {named}"
