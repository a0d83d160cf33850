"""The one stream of events that every surface shows of a reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PIL import Image

from minigemini.engine.local import Answer
from minigemini.generation.generation_record import GenerationRecord


@dataclass(frozen=True)
class TextDelta:
    """More of the answer's text; drawing prompts are not in it."""

    text: str


@dataclass(frozen=True)
class ImageStarted:
    """A picture begins at this place of the answer; :class:`ImageDrawn` or :class:`ImageFailed` follows."""

    prompt: str


@dataclass(frozen=True)
class ImageProgress:
    step: int
    steps: int


@dataclass(frozen=True)
class ImagePreview:
    """What the picture looks like so far, small; only where it was asked for."""

    image: Image.Image


@dataclass(frozen=True)
class ImageDrawn:
    image: Image.Image
    record: GenerationRecord


@dataclass(frozen=True)
class ImageFailed:
    """The picture that was begun will not be there."""

    reason: str


@dataclass(frozen=True)
class Notice:
    """Something the user should know: text that was changed, an answer or a prompt that was cut."""

    text: str


@dataclass(frozen=True)
class Drawn:
    """A picture in an answer.

    Attributes:
        written: what the model wrote, ``<h>prompt</h>``; empty for the second and later pictures of one prompt.
        image: RGB; None: it was not drawn.
        record: what drew it.
    """

    written: str
    image: Image.Image | None = None
    record: GenerationRecord | None = None


@dataclass(frozen=True)
class Done:
    """The end of a reply.

    Attributes:
        whole: as the model wrote it.
        parts: text and pictures in reading order.
        notices: what was told of it, pictures that failed included.
        seconds: from the call to the end, drawing included.
    """

    whole: Answer
    parts: tuple[str | Drawn, ...]
    notices: tuple[str, ...]
    seconds: float

    @property
    def answer(self) -> str:
        """The text, drawing prompts included."""
        return self.whole.text

    @property
    def finish_reason(self) -> Literal["stop", "length", "cancelled"]:
        """By the model or a stop string, at the token limit, or by the user."""
        return self.whole.finish_reason

    @property
    def prompt_tokens(self) -> int:
        """That were read."""
        return self.whole.prompt_tokens

    @property
    def new_tokens(self) -> int:
        """That were written."""
        return len(self.whole.token_ids)


Event = TextDelta | ImageStarted | ImageProgress | ImagePreview | ImageDrawn | ImageFailed | Notice | Done
