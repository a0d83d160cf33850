"""A conversation with a model that reads and draws pictures: what was said, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from threading import Event as Flag
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError
from PIL import Image

from minigemini.attention.picture import draw_answer
from minigemini.conversation import Image as Shown
from minigemini.conversation import Message, Text, images_of, message
from minigemini.engine.local import Answer, LocalEngine, opened
from minigemini.engine.request import Decoding, Draw
from minigemini.safety.refusal import Safety
from minigemini.serving.assets import Asset, Assets
from minigemini.serving.conversation import (
    Conversation,
    Drawing,
    Turn,
    as_read,
    as_typed,
    from_json,
    parents_in,
    to_json,
)
from minigemini.serving.events import Done, Drawn, Event, Notice
from minigemini.serving.picture_events import DrawingOptions, Parent
from minigemini.serving.reply_events import ReplyOptions, reply_events

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
        assets: where the pictures are kept; None: in memory.
        safety: refuses what is said, shown and drawn; None: nothing is refused.

    Attributes:
        branches: the conversations that grew out of one. Texts and names of pictures only: see :meth:`to_json`.
        conversation: the branch that goes on.
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
        assets: Assets | None = None,
        safety: Safety | None = None,
    ) -> None:
        self.engine = engine
        self._generator = generator
        self.max_new_tokens = max_new_tokens or engine.model.generation_config.max_new_tokens or 256
        self.temperature = temperature
        self.seed = seed
        self.assets = assets or Assets()
        self.safety = safety
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
        told = [as_typed(Turn(message("system", text.strip())), self._special_tokens)] if text.strip() else []
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
        self.conversation = Conversation(f"Branch {len(self.branches)}", list(self.conversation.turns))
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

    def retry(
        self,
        draw: Draw = "auto",
        *,
        decoding: Decoding | None = None,
        seed: int | None = None,
        drawing: DrawingOptions | None = None,
    ) -> Iterator[Event]:
        """Answer the last message again; drawings get the next seed, words differ only where they are sampled.

        Args:
            draw: as for :meth:`reply`, and so the rest; a message that asked for a picture asks again.

        Returns:
            The events. The old answer stays if the new one fails, or is stopped before its first word.

        Raises:
            ValueError: when they are read; nothing was said yet, or as :meth:`reply`.
        """
        last = self._last
        asked, answered = self.undo()
        drawing = drawing or DrawingOptions()
        records = [one.record for one in answered.drawings if one.record is not None]
        if records and drawing.seed is None:
            drawing = replace(drawing, seed=(records[0].seed + 1) % 2**63)
        draw = True if asked.asks_for_drawing else draw
        before = len(self.conversation.turns)
        try:
            said = [part.text if isinstance(part, Text) else part.source for part in asked.message.parts]
            yield from self.reply(said, draw=draw, decoding=decoding, seed=seed, drawing=drawing)
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
        self,
        said: str | Sequence[str | Image.Image | Asset],
        images: Sequence[Image.Image] = (),
        draw: Draw = "auto",
        *,
        decoding: Decoding | None = None,
        seed: int | None = None,
        drawing: DrawingOptions | None = None,
        parent: Asset | None = None,
    ) -> Iterator[Event]:
        """Answer one message of the user.

        Pictures drawn in the answer before are shown to the model at the start of this message, before ``images``: so it
        sees what it drew when it is asked to change it. When a drawing changes an earlier one, and how, is told in
        :mod:`~minigemini.serving.picture_events`.

        Args:
            said: words, or words and pictures in their order; markers and special tokens in words are broken up, and a :class:`Notice`
                says so.
            images: pictures to look at, before the words.
            draw: True: ask for a picture, exactly one prompt is drawn; False: none; "auto": the model decides.
            decoding: how the words are chosen, instead of as the session was told.
            seed: of words that are sampled.
            drawing: how pictures are drawn; an ``"edit"`` is of a picture in this message, if there is one. Without a seed a new picture
                has one that no other of this conversation began with.
            parent: the picture to change, whatever the model writes.

        Returns:
            The events, as they happen. The message is part of the conversation when they have been read to the end. An answer
            that is cancelled before its first word leaves no trace.

        Raises:
            ValueError: nothing was said or shown, the conversation has outgrown the model's context, or as of
                :func:`~minigemini.serving.reply_events.reply_events`. The conversation is as before.
        """
        content = [*images, *([said] if isinstance(said, str) else said)]
        if all(isinstance(one, str) and not one.strip() for one in content):
            raise ValueError("there is nothing to answer: neither text nor a picture")
        if draw is True and self._generator is None:
            raise ValueError("this chat has no image generator to draw with; name one with --generator")
        parts = (Text(one) if isinstance(one, str) else Shown(self._kept_picture(one)) for one in content)
        asked = as_typed(Turn(Message("user", tuple(parts)), draw is True), self._special_tokens)
        parents = parents_in(self.conversation.turns)
        drawing = replace(drawing or DrawingOptions(), new_seed=(self.seed + len(parents)) % 2**63)
        if parent is not None:
            drawing = replace(drawing, action="edit")
            parents = [Parent(parent.open(), record=parent.record())]
        elif drawing.action == "edit" and asked.pictures:
            parents = [Parent(shown.open()) for shown, _ in asked.pictures]
        cancelled = Flag()
        events = reply_events(
            self.engine.stream,
            self.generator if draw is not False else None,
            as_read([*self.conversation.turns, asked]),
            ReplyOptions(decoding or Decoding(self.max_new_tokens, self.temperature), draw, seed, drawing),
            parents=parents,
            safety=self.safety,
            cancelled=cancelled,
        )
        self._cancelled = cancelled
        return self._kept(asked, events)

    def _kept(self, asked: Turn, events: Iterator[Event]) -> Iterator[Event]:
        """The events; at the end the message and its answer become part of the conversation."""
        yield from map(Notice, asked.notices)
        with closing(events):  # type: ignore[type-var]
            for event in events:
                if isinstance(event, Done) and (event.answer.strip() or event.finish_reason != "cancelled"):
                    parts = tuple(Text(one) if isinstance(one, str) else self._kept_drawing(one) for one in event.parts)
                    answered = Turn(Message("assistant", parts), notices=[*event.notices])
                    self.conversation.turns.extend([asked, answered])
                    self._last = event.whole
                elif isinstance(event, Done):
                    yield Notice("stopped before the first word; this message is not part of the conversation")
                yield event

    def _kept_picture(self, shown: Image.Image | Asset) -> Asset:
        return shown if isinstance(shown, Asset) else self.assets.put(shown)

    def _kept_drawing(self, drawn: Drawn) -> Shown:
        asset = None if drawn.image is None else self.assets.put(drawn.image, drawn.record)
        return Shown(Drawing(drawn.written, asset, drawn.record))

    @property
    def _special_tokens(self) -> list[str]:
        return list(self.engine.processor.tokenizer.all_special_tokens)

    def to_json(self) -> dict[str, Any]:
        """All branches, each as :func:`minigemini.serving.conversation.to_json` gives it, and which one goes on (``current``). Pictures
        are named by their hash; :attr:`assets` has them."""
        current = next(number for number, one in enumerate(self.branches) if one is self.conversation)
        return {"current": current, "branches": [to_json(one) for one in self.branches]}

    def load(self, given: Any, assets: Assets) -> None:
        """Go on with the branches of :meth:`to_json`, instead of those that are here.

        Args:
            assets: have their pictures, and get those that come.

        Raises:
            ValueError: as of :func:`minigemini.serving.conversation.from_json`. All is as before.
        """
        branches = given.get("branches") if isinstance(given, dict) else None
        if not isinstance(branches, list) or given.get("current") not in range(len(branches)):
            raise ValueError("expected a session: an object with 'branches' and the number of the 'current' one")
        loaded = [from_json(one, assets) for one in branches]
        for one in loaded:  # a file of somebody else's may hold markers
            one.turns[:] = [
                t if t.message.role == "assistant" else as_typed(t, self._special_tokens) for t in one.turns
            ]
        self.branches, self.assets, self._last = loaded, assets, None
        self.conversation = loaded[given["current"]]
