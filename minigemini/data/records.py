"""One record of a data file, whichever format it came in: who said what, and which pictures.

What readers give is a JSON object with the keys of LLaVA and Mini-Gemini, ``{"id": ..., "image": path or list of paths (optional),
"conversations": [{"from": "human" or "gpt", "value": text}, ...]}``, or those of its relatives: ``messages`` of ``role`` and
``content`` (a text, or OpenAI's list of parts), ``images`` for ``image``, ``system`` beside the turns, or only a ``caption``.
``<image>`` in a human turn stands for the next image, anywhere in the text. `` <GEN>`` and ``<h>...</h>`` are plain text to this layer.

A key that carries content and is not read is an error, by its name.
"""

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigemini.conversation import IMAGE_MARKER, Image, Message, Part, Role, Text, images_of
from minigemini.data import readers

Picture = str | bytes  # a path, or what the file of a picture holds
ROLES: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}
UNREAD = {  # keys of a record that carry content -> what to do
    **dict.fromkeys(("video", "videos", "audio", "audios"), "pictures and text are read"),
    **dict.fromkeys(("tools", "functions"), "calls of tools are not learnt"),
    **dict.fromkeys(("chosen", "rejected"), "preferences are not learnt"),
    **dict.fromkeys(("img", "picture", "pictures", "image_path", "image_paths"), "name it 'image'"),
    **dict.fromkeys(("system_prompt", "system_message"), "name it 'system'"),
}
UNREAD_OF_A_TURN = ("tool_calls", "function_call", "audio", "refusal", "reasoning_content", "weight")


@dataclass(frozen=True, slots=True)
class Record:
    """One sample: who said what, and the pictures in reading order."""

    name: str  # file, position and id, for messages to the user
    messages: tuple[Message, ...]  # the source of each picture is a `Picture`

    @property
    def images(self) -> tuple[Picture, ...]:
        """In reading order."""
        return tuple(images_of(self.messages))


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that cannot be trained on, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        # half of a surrogate pair, which no file and no terminal takes, is written as its number
        return f"{self.name}: {self.reason}".encode("utf-8", "backslashreplace").decode()


def read_records(file: str | Path, image_folder: str | Path | None = None) -> list[Record | BadRecord]:
    """Every record of a data file or folder, in order, each parsed or with the reason why it cannot be.

    Args:
        image_folder: what image paths are relative to; the folder of ``file`` if not given.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is of no format that is read, or torn.
    """
    parts = (part for one in readers.files_of(Path(file)) for part in readers.parts_of(one))
    return [record for part in parts for _, record in records_of_part(part, image_folder)]


def records_of_part(
    part: readers.Part, image_folder: str | Path | None = None
) -> Iterator[tuple[int, Record | BadRecord]]:
    """Position in the file, and the record."""
    return ((position, record) for position, _, record in raw_records_of_part(part, image_folder))


def raw_records_of_part(
    part: readers.Part, image_folder: str | Path | None = None
) -> Iterator[tuple[int, readers.Raw, Record | BadRecord]]:
    """Position in the file, the record as its reader gives it, and what it is."""
    folder = Path(image_folder) if image_folder is not None else Path(part.file).parent
    for position, raw in enumerate(readers.read(part), part.first):
        identity = f" (id {raw['id']!r})" if isinstance(raw, dict) and "id" in raw else ""
        name = f"{part.file}: record {position}{identity}"
        try:
            yield position, raw, parse_record(raw, name, folder)
        except ValueError as error:
            yield position, raw, BadRecord(name, str(error))


def parse_record(raw: Any, name: str, image_folder: Path) -> Record:
    """The record of what a reader gives.

    Raises:
        ValueError: it is not of the format; the message says what is wrong, without ``name``.
    """
    if isinstance(raw, ValueError):
        raise raw
    if not isinstance(raw, dict):
        raise ValueError(f"expected an object with 'conversations', got {_short(raw)}")
    for key, hint in UNREAD.items():
        if raw.get(key):
            raise ValueError(f"{key!r} is not read, and would be left out: {hint}")
    pictures = _pictures(raw, image_folder)
    if "caption" in raw and not any(key in raw for key in ("conversations", "messages")):
        messages, asked = _caption(raw["caption"]), 1
    else:
        messages, asked = _messages(raw, image_folder)
    if asked != len(pictures):
        raise ValueError(f"{asked} {IMAGE_MARKER} in the conversation, but {len(pictures)} image files")
    waiting = iter(pictures)
    return Record(name, tuple(Message(one.role, _with_pictures(one.parts, waiting)) for one in messages))


def _caption(caption: Any) -> list[Message]:
    """What is asked is the picture alone, as in MGM's first stage."""
    if not isinstance(caption, str) or not caption.strip():
        raise ValueError(f"'caption' must be a text with words, got {_short(caption)}")
    _refuse_marker(caption, "'caption'")
    return [Message("user", (Image(None),)), Message("assistant", (Text(_whole(caption, "'caption'")),))]


def _messages(raw: dict[str, Any], image_folder: Path) -> tuple[list[Message], int]:
    """The conversation with a source of None for each picture that stands outside of it, and how many those are."""
    found = [key for key in ("conversations", "messages") if key in raw]
    if len(found) != 1:
        keys = ", ".join(map(str, raw)) or "none"
        raise ValueError(f"expected one of 'conversations', 'messages' and 'caption'; its keys are: {keys}")
    turns = raw[found[0]]
    if not isinstance(turns, list) or not turns:
        raise ValueError(f"{found[0]!r} must be a list of turns, got {_short(turns)}")
    messages = [_message(turn, position, image_folder) for position, turn in enumerate(turns)]
    if raw.get("system"):
        if not isinstance(raw["system"], str):
            raise ValueError(f"'system' must be a text, got {_short(raw['system'])}")
        if messages[0].role == "system":
            raise ValueError("'system' beside a first turn that is from 'system': which of them is it?")
        _refuse_marker(raw["system"], "'system'")
        messages.insert(0, Message("system", (Text(_whole(raw["system"], "'system'")),)))
    spoken = [one.role for one in messages]
    if spoken[0] == "system":
        spoken = spoken[1:]
    if spoken != ["user", "assistant"] * (len(spoken) // 2) or not spoken:
        order = ", ".join(str(turn.get("from", turn.get("role"))) for turn in turns)
        raise ValueError(f"turns must alternate human, gpt, human, gpt, ... and end with gpt; they are: {order}")
    return messages, images_of(messages).count(None)


def _message(turn: Any, position: int, image_folder: Path) -> Message:
    who, said = (turn.get("from"), turn.get("value")) if isinstance(turn, dict) else (None, None)
    if who is None and said is None and isinstance(turn, dict):
        who, said = turn.get("role"), turn.get("content")
    if not isinstance(who, str) or not isinstance(said, str | list):
        raise ValueError(f"turn {position} must have 'from' and 'value', or 'role' and 'content', got {_short(turn)}")
    if who not in ROLES:
        raise ValueError(f"turn {position} is from {who!r}; expected 'human' or 'gpt', 'user' or 'assistant'")
    where = f"turn {position} (from {who!r})"
    for key in UNREAD_OF_A_TURN:
        if turn.get(key) is not None:
            raise ValueError(f"{where}: {key!r} is not read, and would be left out")
    parts = _parts(said, where) if isinstance(said, str) else _parts_of_list(said, where, image_folder)
    if ROLES[who] != "user" and any(isinstance(part, Image) for part in parts):
        raise ValueError(f"{where} has {IMAGE_MARKER}; images stand in human turns only")
    if not any(isinstance(part, Image) or part.text.strip() for part in parts):
        raise ValueError(f"{where} is empty")
    return Message(ROLES[who], tuple(parts))


def _parts(text: str, where: str) -> list[Part]:
    """The line break that LLaVA data puts between ``<image>`` and the text is dropped: what stands between an image and the text is
    the chat template's to say, in training as in use. All other text stays as it is."""
    parts: list[Part] = []
    pieces = _whole(text, where).split(IMAGE_MARKER)
    for position, piece in enumerate(pieces):
        if position > 0:
            parts.append(Image(None))
            piece = piece.removeprefix("\n")
        if position < len(pieces) - 1:
            piece = piece.removesuffix("\n")
        if piece:
            parts.append(Text(piece))
    return parts


def _parts_of_list(given: list[Any], where: str, image_folder: Path) -> list[Part]:
    """OpenAI's form, and that of chat templates: a part is a text, or a picture that it brings or that the record's next image is."""
    parts: list[Part] = []
    for number, part in enumerate(given):
        here = f"{where}, part {number}"
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("text", "input_text", "output_text") and isinstance(part.get("text"), str):
            _refuse_marker(part["text"], here)
            parts.append(Text(_whole(part["text"], here)))
        elif kind in ("image", "image_url", "input_image"):
            source = part.get("image", part.get("image_url", part.get("path")))
            source = source.get("url") if isinstance(source, dict) and "url" in source else source
            parts.append(Image(None if source is None else _picture(source, here, image_folder)))
        else:
            raise ValueError(f"{here}: neither text nor a picture: {_short(part)}")
    return parts


def _pictures(raw: dict[str, Any], image_folder: Path) -> list[Picture]:
    """Those that stand beside the conversation."""
    keys = [key for key in ("image", "images") if raw.get(key) not in (None, [])]
    if len(keys) == 2:
        raise ValueError("both 'image' and 'images': which of them is it?")
    if not keys:
        return []
    found = raw[keys[0]] if isinstance(raw[keys[0]], list) else [raw[keys[0]]]
    if not all(isinstance(one, str | bytes) and one for one in found):
        raise ValueError(f"{keys[0]!r} must be a path or a list of paths, got {_short(raw[keys[0]])}")
    return [_picture(one, repr(keys[0]), image_folder) for one in found]


def _picture(source: Any, where: str, image_folder: Path) -> Picture:
    if isinstance(source, bytes):
        return source
    if not isinstance(source, str) or not source:
        raise ValueError(f"{where} must be a path, got {_short(source)}")
    if source.startswith("data:"):
        try:
            return base64.b64decode(source.partition(",")[2], validate=False)
        except binascii.Error as error:
            raise ValueError(f"{where}: a data URL that is no base64: {error}") from error
    if source.startswith(("http://", "https://")):
        raise ValueError(f"{where} is a URL, {_short(source)}: nothing is fetched in training; name a file")
    return str(image_folder / _whole(source, where))


def _with_pictures(parts: tuple[Part, ...], waiting: Iterator[Picture]) -> tuple[Part, ...]:
    return tuple(Image(next(waiting)) if isinstance(part, Image) and part.source is None else part for part in parts)


def _whole(text: str, where: str) -> str:
    """The text, if it can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where}: half of a surrogate pair, {text[error.start]!a}: an emoji was cut in two") from None
    return text


def _refuse_marker(text: str, where: str) -> None:
    if IMAGE_MARKER in text:
        raise ValueError(f"{where} has {IMAGE_MARKER} as text; a picture is a part of its own there")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 80 else text[:77] + "..."
