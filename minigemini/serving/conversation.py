"""What was said and shown in a chat, kept once: people read it as it stands, the model as :func:`as_read` gives it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from PIL.Image import Image as Picture

from minigemini.conversation import IMAGE_MARKER, Image, Message, Part, Text, ask_for_drawing, neutralise
from minigemini.generation.generation_record import GenerationRecord


@dataclass(frozen=True)
class Drawing:
    """The source of an image part that the model drew.

    Attributes:
        written: what the model wrote, ``<h>prompt</h>``.
        image: RGB; None: it was not drawn.
        record: what drew it.
    """

    written: str
    image: Picture | None = None
    record: GenerationRecord | None = None


@dataclass(frozen=True)
class Turn:
    """One side's message, and what belongs to it but is not said.

    Attributes:
        message: pictures are PIL images, or a :class:`Drawing` where the model drew.
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
    def raw(self) -> str:
        """The text as the model read or wrote it, markers included."""
        written = "".join(_written(part) for part in self.message.parts)
        return ask_for_drawing(written) if self.asks_for_drawing else written


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
    drawn: list[Picture | None] = []
    for turn in turns:
        if turn.message.role == "assistant":
            messages.append(Message("assistant", (Text(neutralise(turn.raw, [IMAGE_MARKER])[0]),)))
            drawn = [drawing.image for drawing in turn.drawings]
        else:
            shown = [part for part in turn.message.parts if isinstance(part, Image)]
            messages.append(Message(turn.message.role, (*map(Image, drawn), *shown, Text(turn.raw))))
            drawn = []
    return messages


def _written(part: Part) -> str:
    if isinstance(part, Text):
        return part.text
    return part.source.written if isinstance(part.source, Drawing) else ""
