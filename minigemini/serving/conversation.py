"""What was said and shown in a conversation, for people to read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from minigemini.generation.generation_record import GenerationRecord, save_png
from minigemini.serving.conversation_page import write_page


@dataclass(frozen=True)
class Picture:
    """An RGB picture; ``record`` says what drew it, None: the user showed it."""

    image: Image.Image
    record: GenerationRecord | None = None


@dataclass(frozen=True)
class Message:
    """One side's turn: text and pictures in reading order.

    Attributes:
        raw: the text as the model read or wrote it, markers included.
        asks_for_drawing: a user's message sent with the marker that asks for a picture.
        notices: what the user was told while this message was made: text changed, an answer cut, a picture not drawn.
    """

    role: Literal["user", "assistant"]
    parts: list[str | Picture]
    raw: str = ""
    asks_for_drawing: bool = False
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Conversation:
    title: str
    messages: list[Message] = field(default_factory=list)


def save_conversation(conversation: Conversation, folder: str | Path) -> Path:
    """Write ``conversation.json``, ``conversation.html`` and every picture as PNG, drawn ones with their record inside.

    Raises:
        ValueError: the folder exists and is not empty.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists already; name a folder that does not, or an empty one")
    folder.mkdir(parents=True, exist_ok=True)
    pictures = 0
    messages = []
    for message in conversation.messages:
        parts: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, str):
                parts.append({"type": "text", "text": part})
                continue
            pictures += 1
            name = f"picture-{pictures}.png"
            if part.record is None:
                part.image.save(folder / name)
            else:
                save_png(part.image, part.record, folder / name)
            parts.append({"type": "image", "file": name, "record": part.record and asdict(part.record)})
        messages.append(
            {
                "role": message.role,
                "parts": parts,
                "raw": message.raw,
                "asks_for_drawing": message.asks_for_drawing,
                "notices": message.notices,
            }
        )
    text = json.dumps({"title": conversation.title, "messages": messages}, ensure_ascii=False, indent=2)
    (folder / "conversation.json").write_text(text + "\n", encoding="utf-8")
    write_page([conversation], folder / "conversation.html", conversation.title)
    return folder
