"""A conversation with a model that reads and draws pictures: the one place that mixes modalities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from threading import Event as Flag
from typing import TYPE_CHECKING

from jinja2 import TemplateError
from PIL import Image

from minigemini.attention.picture import draw_answer
from minigemini.conversation import CONTROL_MARKERS, Message, Text, find_prompts, images_of, message, neutralise
from minigemini.conversation import Image as Shown
from minigemini.engine.local import Answer, LocalEngine, opened
from minigemini.engine.request import Decoding, Draw
from minigemini.serving.conversation import Conversation, Drawing, Turn, as_read
from minigemini.serving.events import Done, Event, Notice
from minigemini.serving.picture_events import DrawingOptions, Parent
from minigemini.serving.reply_events import ReplyOptions, broken_up, reply_events

if TYPE_CHECKING:  # diffusers takes seconds to import
    from minigemini.generation.image_generator import ImageGenerator


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
        told = [Turn(message("system", text), notices=[broken_up(found)] if found else [])] if text else []
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
        text, found = neutralise(text, [*CONTROL_MARKERS, *self.engine.processor.tokenizer.all_special_tokens])
        asked = Turn(message("user", text, images), draw is True, [broken_up(found)] if found else [])
        options = ReplyOptions(
            Decoding(self.max_new_tokens, self.temperature),
            draw,
            drawing=DrawingOptions(seed=seed, new_seed=(self.seed + len(self._parents())) % 2**63),
        )
        cancelled = Flag()
        messages = as_read([*self.conversation.turns, asked])
        events = reply_events(
            self.engine.stream, generator, messages, options, parents=self._parents(), cancelled=cancelled
        )
        return self._kept(asked, events, cancelled)

    def _kept(self, asked: Turn, events: Iterator[Event], cancelled: Flag) -> Iterator[Event]:
        """The events; at the end the message and its answer become part of the conversation."""
        self._cancelled = cancelled
        yield from map(Notice, asked.notices)
        with closing(events):  # type: ignore[type-var]
            for event in events:
                if not isinstance(event, Done):
                    yield event
                elif event.answer.strip() or event.finish_reason != "cancelled":
                    parts = (Text(one) if isinstance(one, str) else Shown(Drawing(**vars(one))) for one in event.parts)
                    answered = Turn(Message("assistant", tuple(parts)), notices=[*event.notices])
                    self.conversation.turns.extend([asked, answered])
                    self._last = event.whole
                    yield event
                else:
                    yield Notice("stopped before the first word; this message is not part of the conversation")
                    yield event

    def _parents(self) -> list[Parent]:
        """The pictures that were drawn, the earliest first."""
        return [
            Parent(one.image, "".join(span.prompt for span in find_prompts(one.written)), one.record)
            for turn in self.conversation.turns
            for one in turn.drawings
            if one.image is not None
        ]
