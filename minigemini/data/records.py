"""The record format of LLaVA and Mini-Gemini, and the conversation in it.

A data file is a JSON list of ``{"id": ..., "image": path or list of paths (optional), "conversations": [{"from":
"human" or "gpt", "value": text}, ...]}``. ``<image>`` in a human turn stands for the next image, anywhere in the
text. `` <GEN>`` and ``<h>...</h>`` are plain text to this layer.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigemini.conversation import IMAGE_MARKER, Image, Message, Part, Role, Text, images_of

ROLES: dict[str, Role] = {"human": "user", "gpt": "assistant", "system": "system"}


@dataclass(frozen=True, slots=True)
class Record:
    """One sample: who said what, and the image files in reading order."""

    name: str  # file, position and id, for messages to the user
    messages: tuple[Message, ...]  # pictures are paths

    @property
    def images(self) -> tuple[str, ...]:
        """The files in reading order."""
        return tuple(images_of(self.messages))


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that cannot be trained on, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def read_records(file: str | Path, image_folder: str | Path | None = None) -> list[Record | BadRecord]:
    """Every record of a data file, in order, each parsed or with the reason why it cannot be.

    Args:
        image_folder: what image paths are relative to; the folder of ``file`` if not given.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a JSON list.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such data file")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise ValueError(f"{file}: not valid JSON: {error}") from error
    if not isinstance(content, list):
        raise ValueError(f"{file}: expected a JSON list of records, got a {type(content).__name__}")
    folder = Path(image_folder) if image_folder is not None else file.parent
    records: list[Record | BadRecord] = []
    for position, raw in enumerate(content):
        identity = f" (id {raw['id']!r})" if isinstance(raw, dict) and "id" in raw else ""
        name = f"{file}: record {position}{identity}"
        try:
            records.append(parse_record(raw, name, folder))
        except ValueError as error:
            records.append(BadRecord(name, str(error)))
    return records


def parse_record(raw: Any, name: str, image_folder: Path) -> Record:
    """The record of one JSON item.

    Raises:
        ValueError: it is not of the format; the message says what is wrong, without ``name``.
    """
    if not isinstance(raw, dict):
        raise ValueError(f"expected an object with 'conversations', got {_short(raw)}")
    turns = _turns(raw.get("conversations"))
    paths = raw.get("image", [])
    paths = [paths] if isinstance(paths, str) else paths
    if not isinstance(paths, list) or not all(isinstance(path, str) and path for path in paths):
        raise ValueError(f"'image' must be a path or a list of paths, got {_short(raw['image'])}")
    markers = sum(text.count(IMAGE_MARKER) for _, text in turns)
    if markers != len(paths):
        raise ValueError(f"{markers} {IMAGE_MARKER} in the conversation, but {len(paths)} image files")
    waiting = iter([str(image_folder / path) for path in paths])
    return Record(name, tuple(Message(role, _parts(text, waiting)) for role, text in turns))


def _turns(conversations: Any) -> list[tuple[Role, str]]:
    """Role and text with markers of each turn."""
    if not isinstance(conversations, list) or not conversations:
        raise ValueError(f"'conversations' must be a list of turns, got {_short(conversations)}")
    turns: list[tuple[Role, str]] = []
    for position, turn in enumerate(conversations):
        if (
            not isinstance(turn, dict)
            or not isinstance(turn.get("from"), str)
            or not isinstance(turn.get("value"), str)
        ):
            raise ValueError(f"turn {position} must have 'from' and 'value', both text, got {_short(turn)}")
        who, text = turn["from"], turn["value"]
        if who not in ROLES:
            raise ValueError(f"turn {position} is from {who!r}; expected 'human' or 'gpt'")
        if who != "human" and IMAGE_MARKER in text:
            raise ValueError(f"turn {position} (from {who!r}) has {IMAGE_MARKER}; images stand in human turns only")
        if not text.strip():
            raise ValueError(f"turn {position} (from {who!r}) is empty")
        turns.append((ROLES[who], text))
    spoken = [role for role, _ in turns]
    if spoken[0] == "system":
        spoken = spoken[1:]
    if spoken != ["user", "assistant"] * (len(spoken) // 2) or not spoken:
        order = ", ".join(turn["from"] for turn in conversations)
        raise ValueError(f"turns must alternate human, gpt, human, gpt, ... and end with gpt; they are: {order}")
    return turns


def _parts(text: str, images: Iterator[str]) -> tuple[Part, ...]:
    """The line break that LLaVA data puts between ``<image>`` and the text is dropped: what stands between an image and the text is
    the chat template's to say, in training as in use. All other text stays as it is."""
    parts: list[Part] = []
    pieces = text.split(IMAGE_MARKER)
    for position, piece in enumerate(pieces):
        if position > 0:
            parts.append(Image(next(images)))
            piece = piece.removeprefix("\n")
        if position < len(pieces) - 1:
            piece = piece.removesuffix("\n")
        if piece:
            parts.append(Text(piece))
    return tuple(parts)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
