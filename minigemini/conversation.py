"""The one form of a conversation: messages of text and pictures, shared by training data, benchmarks, chat and engines; and the plain-text
markers in them.

A user's message that wants a picture ends with `` <GEN>``; an answer holds the prompt of each picture as ``<h>prompt</h>``.
``<image>`` stands where a picture is read. The first two are ordinary text to the tokenizer (the released weights were
trained so), hence everything here is about strings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

IMAGE_MARKER = "<image>"
GENERATION_MARKER = " <GEN>"
PROMPT_START = "<h>"
PROMPT_END = "</h>"
CONTROL_MARKERS = (IMAGE_MARKER, GENERATION_MARKER.strip(), PROMPT_START, PROMPT_END)

Role = Literal["system", "user", "assistant"]
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """``source`` is a PIL picture, or what one can be opened from: a path, a ``StoredImage``."""

    source: Any


Part = Text | Image


@dataclass(frozen=True, slots=True)
class Message:
    """One side's turn: parts in reading order."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The words, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


def message(role: Role, text: str, images: Iterable[Any] = ()) -> Message:
    """Pictures, then words."""
    return Message(role, (*map(Image, images), Text(text)))


def images_of(messages: Iterable[Message]) -> list[Any]:
    """The sources of all pictures in reading order."""
    return [part.source for one in messages for part in one.parts if isinstance(part, Image)]


def with_images(messages: Iterable[Message], change: Callable[[Any], Any]) -> list[Message]:
    """The same messages with ``change(source)`` in each picture's place; where that is None the part is left out."""
    changed = []
    for one in messages:
        parts = [Image(change(part.source)) if isinstance(part, Image) else part for part in one.parts]
        changed.append(Message(one.role, tuple(p for p in parts if not (isinstance(p, Image) and p.source is None))))
    return changed


def for_template(messages: Iterable[Message], images: Iterable[Any] | None = None) -> list[dict[str, Any]]:
    """As chat templates take them: ``{"role", "content": [{"type": "text", "text"} | {"type": "image", "image"}]}``.

    Args:
        images: the pictures in reading order; without them image parts are bare ``{"type": "image"}``.
    """
    waiting = None if images is None else iter(images)

    def plain(part: Part) -> dict[str, Any]:
        if isinstance(part, Text):
            return {"type": "text", "text": part.text}
        return {"type": "image"} if waiting is None else {"type": "image", "image": next(waiting)}

    return [{"role": one.role, "content": [plain(part) for part in one.parts]} for one in messages]


def to_json(messages: Iterable[Message], name: Callable[[Any], str] = str) -> list[dict[str, Any]]:
    """As plain JSON, in the form of :func:`for_template`.

    Args:
        name: what is written for the source of a picture, such as its path.
    """
    messages = list(messages)
    return for_template(messages, map(name, images_of(messages)))


def from_json(messages: Any) -> list[Message]:
    """What :func:`to_json` wrote, or messages in OpenAI's form: content may be a string, ``input_text`` is text.

    Raises:
        ValueError: they are of another form, or a part is neither text nor a picture; the message's and the part's number are
            named, from 0 on.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise ValueError("a conversation is a list of at least one message")
    return [_message_from_json(one, f"message {number}") for number, one in enumerate(messages)]


def _message_from_json(given: Any, where: str) -> Message:
    if not isinstance(given, Mapping) or given.get("role") not in ROLES:
        raise ValueError(f"{where}: expected 'role' ({', '.join(ROLES)}) and 'content', got {_short(given)}")
    content = given.get("content")
    if isinstance(content, str):
        return Message(given["role"], (Text(content),))
    if not isinstance(content, Sequence):
        raise ValueError(f"{where}: 'content' must be a text or a list of parts, got {_short(content)}")
    parts = (_part_from_json(part, f"{where}, part {number}") for number, part in enumerate(content))
    return Message(given["role"], tuple(parts))


def _part_from_json(given: Any, where: str) -> Part:
    kind = given.get("type") if isinstance(given, Mapping) else None
    if kind in ("text", "input_text") and isinstance(given.get("text"), str):
        return Text(given["text"])
    if kind == "image" and given.get("image") is not None:
        return Image(given["image"])
    raise ValueError(
        f"{where}: expected {{'type': 'text', 'text': ...}} or {{'type': 'image', 'image': ...}}, got {_short(given)}"
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def ask_for_drawing(user_text: str) -> str:
    """The user's text with the marker that asks for a picture at its end, once."""
    text = user_text.rstrip()
    return text if text.endswith(GENERATION_MARKER) else text + GENERATION_MARKER


@dataclass(frozen=True, slots=True)
class PromptSpan:
    """One ``<h>prompt</h>`` of an answer: ``answer[start:end]`` is ``written``, markers included; ``prompt`` is what is between them,
    stripped."""

    prompt: str
    start: int
    end: int
    written: str


def find_prompts(answer: str) -> list[PromptSpan]:
    """Every non-empty ``<h>prompt</h>`` of an answer in reading order.

    A ``<h>`` that is opened again before it is closed starts anew; what is never closed is no prompt. Prompts are stripped.
    """
    spans = []
    end = answer.find(PROMPT_END)
    position = 0
    while end >= 0:
        start = answer.rfind(PROMPT_START, position, end)
        prompt = answer[start + len(PROMPT_START) : end].strip() if start >= 0 else ""
        position = end + len(PROMPT_END)
        if prompt:
            spans.append(PromptSpan(prompt, start, position, answer[start:position]))
        end = answer.find(PROMPT_END, position)
    return spans


def neutralise(text: str, markers: Iterable[str] = CONTROL_MARKERS) -> tuple[str, list[str]]:
    """Keep literal markers in somebody's own text from acting as markers, so that anyone can see it was done.

    A space after the first character breaks each of them: ``<image>`` becomes ``< image>``.

    Args:
        text: what was typed.
        markers: the strings that must not act; with the tokenizer's special tokens added, ``</s>`` cannot end a turn either.

    Returns:
        The text as the model will read it, and the markers that were found in it (empty: the text is unchanged).
    """
    found = []
    # Longest first: a marker inside a longer one must not be broken in a way that leaves the longer one standing.
    for marker in sorted({m.strip() for m in markers if len(m.strip()) > 1}, key=lambda m: (-len(m), m)):
        if marker in text:
            found.append(marker)
        while marker in text:  # again, should the end of one be the beginning of the next
            text = text.replace(marker, f"{marker[0]} {marker[1:]}")
    return text, found
