"""What was said and shown in a chat, kept once: people read it as it stands, the model as :func:`as_read` gives it, files as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from PIL.Image import Image as Picture

from minigemini.conversation import (
    CONTROL_MARKERS,
    IMAGE_MARKER,
    PROMPT_END,
    PROMPT_START,
    ROLES,
    Image,
    Message,
    Part,
    Text,
    ask_for_drawing,
    find_prompts,
    neutralise,
)
from minigemini.engine.local import picture
from minigemini.generation.generation_record import GenerationRecord
from minigemini.serving.assets import Asset, Assets
from minigemini.serving.picture_events import Parent


@dataclass(frozen=True)
class Drawing:
    """The source of an image part that the model drew.

    Attributes:
        written: what the model wrote, ``<h>prompt</h>``; empty for the second and later pictures of one prompt.
        image: None: it was not drawn.
        record: what drew it.
    """

    written: str
    image: Asset | Picture | None = None
    record: GenerationRecord | None = None


@dataclass(frozen=True)
class Turn:
    """One side's message, and what belongs to it but is not said.

    Attributes:
        message: pictures are assets (or whatever an engine can open), or a :class:`Drawing` where the model drew.
        asks_for_drawing: a user's message sent with the marker that asks for a picture.
        notices: what the user was told while this message was made: text changed, an answer cut, a picture not drawn.
    """

    message: Message
    asks_for_drawing: bool = False
    notices: list[str] = field(default_factory=list)

    @property
    def drawings(self) -> list[Drawing]:
        """Those that were drawn."""
        found = [part.source for part in self.message.parts if isinstance(part, Image)]
        return [source for source in found if isinstance(source, Drawing) and source.image is not None]

    @property
    def pictures(self) -> list[tuple[Asset, GenerationRecord | None]]:
        """Those that are kept as assets, with what drew them."""
        found = [part.source for part in self.message.parts if isinstance(part, Image)]
        both = [(one.image, one.record) if isinstance(one, Drawing) else (one, None) for one in found]
        return [(image, record) for image, record in both if isinstance(image, Asset)]

    @property
    def raw(self) -> str:
        """The text as the model read or wrote it, markers included."""
        return "".join(_written(part) for part in self._parts)

    @property
    def _parts(self) -> list[Part]:
        """With the marker that asks for a picture."""
        parts = list(self.message.parts)
        if not self.asks_for_drawing:
            return parts
        if parts and isinstance(parts[-1], Text):
            return [*parts[:-1], Text(ask_for_drawing(parts[-1].text))]
        return [*parts, Text(ask_for_drawing(""))]


@dataclass(frozen=True)
class Conversation:
    title: str
    turns: list[Turn] = field(default_factory=list)


def as_read(turns: Iterable[Turn]) -> list[Message]:
    """The messages that the model reads.

    An answer is the text that was written; the pictures drawn in it come at the start of the user's next message, so that the model sees
    what it drew when it is asked to change it. Words of an answer that would stand for a picture do not do so when they are read again.
    """
    messages: list[Message] = []
    drawn: list[Any] = []
    for turn in turns:
        if turn.message.role == "assistant":
            messages.append(Message("assistant", (Text(neutralise(turn.raw, [IMAGE_MARKER])[0]),)))
            drawn = [drawing.image for drawing in turn.drawings]
        else:
            messages.append(Message(turn.message.role, (*map(Image, drawn), *turn._parts)))
            drawn = []
    return messages


def as_typed(turn: Turn, special_tokens: Sequence[str]) -> Turn:
    """With the markers and special tokens in its words broken up, those of drawing prompts included, which a client may have written
    itself; and a notice if there were any."""
    parts: list[Part] = []
    for part in turn.message.parts:  # joined, so that no marker is made of two
        if isinstance(part, Text) and parts and isinstance(parts[-1], Text):
            part = Text(parts.pop().text + part.text)  # type: ignore[union-attr]
        parts.append(part)
    markers, found = [*CONTROL_MARKERS, *special_tokens], []
    for place, part in enumerate(parts):
        if isinstance(part, Text):
            text, here = neutralise(part.text, markers)
            parts[place] = Text(text)
            found += here
        elif isinstance(part.source, Drawing):
            prompt, here = neutralise(part.source.written.removeprefix(PROMPT_START).removesuffix(PROMPT_END), markers)
            if here:
                parts[place] = Image(replace(part.source, written=f"{PROMPT_START}{prompt}{PROMPT_END}"))
            found += here
    notices = [*turn.notices, broken_up(list(dict.fromkeys(found)))] if found else turn.notices
    return replace(turn, message=Message(turn.message.role, tuple(parts)), notices=notices)


def broken_up(markers: Sequence[str], where: str = "your text") -> str:
    """What the user is told of markers that are kept from acting."""
    named = ", ".join(f"{marker} as {marker[0]} {marker[1:]}" for marker in markers)
    return f"{where} holds words that steer the model; they are read as plain text: {named}"


def parents_in(turns: Iterable[Turn]) -> list[Parent]:
    """The pictures that were drawn, the earliest first; those of one prompt have that prompt."""
    parents = []
    for turn in turns:
        prompt = ""
        for part in turn.message.parts:
            if isinstance(part, Image) and isinstance(part.source, Drawing):
                prompt = "".join(span.prompt for span in find_prompts(part.source.written)) or prompt
                if part.source.image is not None:
                    parents.append(Parent(picture(part.source.image), prompt, part.source.record))
    return parents


def to_json(conversation: Conversation) -> dict[str, Any]:
    """``title`` and ``messages``: those are in the form of :func:`minigemini.conversation.to_json`, a picture being the hash of its
    :class:`Asset`, null where one was not drawn, with ``written`` beside it where the model drew; and have ``asks_for_drawing`` and
    ``notices``."""

    def part_json(part: Part) -> dict[str, Any]:
        if isinstance(part, Text):
            return {"type": "text", "text": part.text}
        if isinstance(part.source, Drawing):
            drawn = part.source.image
            return {"type": "image", "image": drawn and drawn.key, "written": part.source.written}  # type: ignore[union-attr]
        return {"type": "image", "image": part.source.key}

    messages = [
        {
            "role": turn.message.role,
            "content": [part_json(part) for part in turn.message.parts],
            "asks_for_drawing": turn.asks_for_drawing,
            "notices": [*turn.notices],
        }
        for turn in conversation.turns
    ]
    return {"title": conversation.title, "messages": messages}


def from_json(given: Any, assets: Assets) -> Conversation:
    """What :func:`to_json` wrote; records are read from the pictures.

    Raises:
        ValueError: it is of another form, or a picture is not among the assets, or was not drawn by us where it says so; the message
            and the part are named, from 0 on.
    """
    if not (
        isinstance(given, dict) and isinstance(given.get("title"), str) and isinstance(given.get("messages"), list)
    ):
        raise ValueError("expected a conversation: an object with 'title' and 'messages'")
    turns = []
    for number, one in enumerate(given["messages"]):
        where = f"message {number}"
        keys = {"role", "content", "asks_for_drawing", "notices"}
        if not (
            isinstance(one, dict)
            and set(one) == keys
            and one["role"] in ROLES
            and isinstance(one["content"], list)
            and isinstance(one["asks_for_drawing"], bool)
            and isinstance(one["notices"], list)
            and all(isinstance(notice, str) for notice in one["notices"])
        ):
            raise ValueError(f"{where}: expected an object with {', '.join(sorted(keys))}")
        parts = tuple(_part(part, assets, f"{where}, part {place}") for place, part in enumerate(one["content"]))
        turns.append(Turn(Message(one["role"], parts), one["asks_for_drawing"], one["notices"]))
    return Conversation(given["title"], turns)


def _part(given: Any, assets: Assets, where: str) -> Part:
    match given:
        case {"type": "text", "text": str(text), **rest} if not rest:
            return Text(text)
        case {"type": "image", "image": None, "written": str(written), **rest} if not rest:
            return Image(Drawing(written))
        case {"type": "image", "image": str(key), **rest} if set(rest) <= {"written"}:
            try:
                asset = assets.get(key)
                if "written" not in rest:
                    return Image(asset)
                record = asset.record()
                if record is None:
                    raise ValueError(f"the picture {key} was not drawn by minigemini")
                return Image(Drawing(str(rest["written"]), asset, record))
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error
    raise ValueError(f"{where}: expected a text, or a picture by its hash")


def _written(part: Part) -> str:
    if isinstance(part, Text):
        return part.text
    return part.source.written if isinstance(part.source, Drawing) else ""
