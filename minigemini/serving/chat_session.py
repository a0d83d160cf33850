"""A conversation with a model that reads and draws pictures: the one place that mixes modalities."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event as Flag
from typing import TYPE_CHECKING, Any, Literal

import torch
from PIL import Image
from transformers import (
    LogitsProcessorList,
    PreTrainedModel,
    ProcessorMixin,
    StoppingCriteria,
    StoppingCriteriaList,
    TextIteratorStreamer,
)

from minigemini.attention.picture import draw_answer
from minigemini.generation.constrained import Draw, WellFormedPrompt, well_formed_prompt
from minigemini.generation.generation_record import GenerationRecord, pixel_hash
from minigemini.generation.prompt_markers import (
    CONTROL_MARKERS,
    IMAGE_MARKER,
    PROMPT_START,
    AnswerStream,
    PromptSpan,
    ask_for_drawing,
    neutralise,
)
from minigemini.serving.conversation import Conversation, Message, Picture

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
    """One conversation. Sessions may share a model, a processor and a generator; one session answers one message at a time.

    Args:
        model: a ``MiniGeminiForConditionalGeneration`` in eval mode (any model whose processor has a chat template will do).
        processor: its processor.
        generator: draws the pictures, or the promise of one that is still being loaded; None: this chat cannot draw.
        max_new_tokens: most tokens of an answer; None: as the checkpoint's generation config says, else 256.
        temperature: 0: the likeliest token each time; else sampled.
        seed: of the first drawing; each conversation after a :meth:`reset` begins with the next one.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processor: ProcessorMixin,
        generator: ImageGenerator | Future[ImageGenerator] | None = None,
        *,
        max_new_tokens: int | None = None,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.model: Any = model
        self.processor: Any = processor
        self._generator = generator
        self.max_new_tokens = max_new_tokens or self.model.generation_config.max_new_tokens or 256
        self.temperature = temperature
        self.seed = seed
        self._cancelled = Flag()
        self._begin()

    def _begin(self) -> None:
        self.messages: list[dict[str, Any]] = []
        """The conversation as the model sees it: roles, and parts of text and pictures."""
        self.conversation = Conversation("Conversation")
        self._unseen: list[Image.Image] = []  # drawn in the last answer; shown to the model with the next message
        self._drawn: list[GenerationRecord] = []  # of the last answer with drawings
        self._drawn_hashes: list[str] = []
        self._last: tuple[dict[str, Any], torch.Tensor] | None = (
            None  # what the model read, and the tokens of its answer
        )

    def reset(self) -> None:
        """Forget the conversation. The next one's first drawing has the next seed, else all would look alike."""
        self.seed += 1
        self._begin()

    def cancel(self) -> None:
        """Stop the reply that is being made, from any thread or signal handler. Its events end with :class:`Done`."""
        self._cancelled.set()

    @property
    def has_pictures(self) -> bool:
        """Whether the model has seen a picture in this conversation."""
        return any(part["type"] == "image" for message in self.messages for part in message["content"])

    def attention_picture(self) -> Image.Image:
        """Where the last answer looked in the pictures of the conversation, see ``attention.picture.draw_attention``.

        No other session may use the model meanwhile: it gives weights only with eager attention, to which it is set.

        Raises:
            ValueError: nothing was answered yet, or without a word, or no picture was shown.
        """
        if self._last is None:
            raise ValueError("nothing was answered yet, so there is no attention to show")
        return draw_answer(self.model, self.processor, self.messages[:-1], *self._last)

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
            raise ValueError("this chat has no image generator to draw with")
        if self._generator is None:
            draw = False
        text, found = neutralise(text, [*CONTROL_MARKERS, *self.processor.tokenizer.all_special_tokens])
        said = ask_for_drawing(text) if draw is True else text
        pictures = [*self._unseen, *images]
        user = {
            "role": "user",
            "content": [
                *({"type": "image", "image": picture} for picture in pictures),
                {"type": "text", "text": said},
            ],
        }
        inputs = self.processor.apply_chat_template(
            [*self.messages, user], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        ).to(self.model.device, dtype=self.model.dtype)

        length = inputs["input_ids"].shape[1]
        context = self.model.config.get_text_config().max_position_embeddings
        if length >= context:
            raise ValueError(f"the conversation has grown to {length} tokens and the model reads {context}: start anew")
        room = min(self.max_new_tokens, context - length)
        ends = self.model.generation_config.eos_token_id or self.processor.tokenizer.eos_token_id
        ends = [ends] if isinstance(ends, int) else list(ends)
        generator = self.generator if draw is not False else None
        budget: dict[str, Any] = {}
        if generator is not None and generator.max_prompt_tokens is not None:
            budget["max_prompt_tokens"] = generator.max_prompt_tokens
            budget["count_prompt_tokens"] = generator.count_prompt_tokens
        constraint = well_formed_prompt(self.processor.tokenizer, length, room, draw=draw, end_token_ids=ends, **budget)
        settings = {
            **inputs,
            "max_new_tokens": room,
            "eos_token_id": ends,
            "pad_token_id": ends[0] if self.processor.tokenizer.pad_token_id is None else None,
            "logits_processor": LogitsProcessorList([constraint]),
            "do_sample": self.temperature > 0,
            "temperature": self.temperature or None,
        }
        settings = {key: value for key, value in settings.items() if value is not None}
        changed = [_broken_up(found)] if found else []
        asked = Message("user", [*(Picture(image) for image in images), text], said, draw is True, changed)
        return self._events(user, asked, settings, constraint, seed)

    def _events(
        self,
        user: dict[str, Any],
        asked: Message,
        settings: dict[str, Any],
        constraint: WellFormedPrompt,
        seed: int | None,
    ) -> Iterator[Event]:
        started = time.monotonic()
        self._cancelled.clear()
        yield from map(Notice, asked.notices)
        length = settings["input_ids"].shape[1]
        streamer = TextIteratorStreamer(
            self.processor.tokenizer, skip_prompt=True, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        stream = AnswerStream()
        parts: list[str | Picture] = []
        drawn: list[tuple[Image.Image, GenerationRecord]] = []
        notices: list[str] = []
        with ThreadPoolExecutor(1) as thread:
            criteria = StoppingCriteriaList([_StopWhenSet(self._cancelled)])
            tokens = thread.submit(self.model.generate, **settings, streamer=streamer, stopping_criteria=criteria)
            # Also when it fails: else we would wait for the end of the text for ever.
            tokens.add_done_callback(lambda _: streamer.text_queue.put(streamer.stop_signal))
            try:
                for text in streamer:
                    for piece in stream.feed(text):
                        if isinstance(piece, str):
                            _append(parts, piece)
                            yield TextDelta(piece)
                        elif not self._cancelled.is_set():
                            for event in self._draw(piece, len(drawn), seed):
                                yield event
                                if isinstance(event, ImageDrawn):
                                    drawn.append((event.image, event.record))
                                    parts.append(Picture(event.image, event.record))
                                elif isinstance(event, Notice):
                                    notices.append(event.text)
            except BaseException:  # a drawing failed, or nobody listens any more: do not wait for the rest of the text
                self._cancelled.set()
                raise
            written = tokens.result()[0, length:]

        answer = stream.answer
        reason: Literal["stop", "length", "cancelled"] = "length"
        if self._cancelled.is_set():
            reason = "cancelled"
        elif int(written[-1]) in settings["eos_token_id"]:
            reason = "stop"
        for rest in stream.finish():
            unfinished = rest.find(PROMPT_START)
            if unfinished >= 0:  # only when cancelled: the constraint closes what it opens
                answer = answer[: len(answer) - len(rest) + unfinished]
                rest = rest[:unfinished]
            if rest:
                _append(parts, rest)
                yield TextDelta(rest)
        final = len(notices)
        if reason == "length":
            notices.append(f"the answer was cut at {len(written)} tokens")
        if constraint.shortened and drawn:
            notices.append("the drawing prompt was ended early: the image generator reads no more")

        if answer.strip() or reason != "cancelled":
            # Words that would stand for a picture must not do so when they are read again.
            again, found = neutralise(answer, [IMAGE_MARKER])
            if found:
                notices.append(_broken_up(found, "the answer"))
            self.messages += [user, {"role": "assistant", "content": [{"type": "text", "text": again}]}]
            self.conversation.messages.extend([asked, Message("assistant", parts, answer, notices=notices)])
            self._last = settings, written
            self._unseen = [image for image, _ in drawn]
            if drawn:
                self._drawn = [record for _, record in drawn]
                self._drawn_hashes = [pixel_hash(image) for image, _ in drawn]
        else:
            notices.append("stopped before the first word; this message is not part of the conversation")
        yield from map(Notice, notices[final:])
        yield Done(answer, reason, len(written), time.monotonic() - started)

    def _draw(self, span: PromptSpan, index: int, seed: int | None) -> Iterator[Event]:
        """Draw one prompt, the ``index``-th picture of this answer."""
        if seed is None and index < len(self._drawn):
            seed = self._drawn[index].seed
        elif seed is None:
            first = self._drawn[0].seed if self._drawn else self.seed
            seed = (first + index) % 2**63
        generator = self.generator
        assert generator is not None, "without a generator no prompt can be written"
        yield ImageStarted(span.prompt, seed)

        steps: SimpleQueue[ImageProgress | None] = SimpleQueue()
        with ThreadPoolExecutor(1) as thread:
            job = thread.submit(
                generator.draw, span.prompt, seed=seed, parents=self._drawn_hashes, on_step=self._reporting_to(steps)
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

    def _reporting_to(self, steps: SimpleQueue[ImageProgress | None]) -> Callable[[int, int], None]:
        def on_step(done: int, total: int) -> None:
            steps.put(ImageProgress(done, total))
            if self._cancelled.is_set() and done < total:
                raise _Stopped

        return on_step


class _Stopped(Exception):
    """Raised inside a drawing that the user cancelled."""


class _StopWhenSet(StoppingCriteria):
    def __init__(self, flag: Flag) -> None:
        self.flag = flag

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any) -> torch.BoolTensor:
        rows = input_ids.shape[:1]
        return torch.full(rows, self.flag.is_set(), dtype=torch.bool, device=input_ids.device)  # type: ignore[return-value]


def _append(parts: list[str | Picture], text: str) -> None:
    if parts and isinstance(parts[-1], str):
        parts[-1] += text
    else:
        parts.append(text)


def _broken_up(markers: list[str], where: str = "your text") -> str:
    named = ", ".join(f"{marker} as {marker[0]} {marker[1:]}" for marker in markers)
    return f"{where} holds words that steer the model; they are read as plain text: {named}"
