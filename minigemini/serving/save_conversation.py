"""A conversation as a folder: JSON, a page, and its pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minigemini.conversation import to_json, with_images
from minigemini.generation.generation_record import save_png
from minigemini.serving.conversation import Conversation, Drawing
from minigemini.serving.conversation_page import write_page


def save_conversation(conversation: Conversation, folder: str | Path) -> Path:
    """Write ``conversation.json``, ``conversation.html`` and every picture as PNG, drawn ones with their record inside.

    The JSON has ``title`` and ``messages``; these are as :func:`conversation.from_json` reads them, a picture being the name of its
    file, and have ``raw``, ``asks_for_drawing`` and ``notices`` beside.

    Raises:
        ValueError: the folder exists and is not empty.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists already; name a folder that does not, or an empty one")
    folder.mkdir(parents=True, exist_ok=True)
    pictures = 0

    def saved(source: Any) -> str | None:
        nonlocal pictures
        image, record = (source.image, source.record) if isinstance(source, Drawing) else (source, None)
        if image is None:
            return None
        pictures += 1
        name = f"picture-{pictures}.png"
        if record is None:
            image.save(folder / name)
        else:
            save_png(image, record, folder / name)
        return name

    messages = []
    for turn in conversation.turns:
        (message,) = to_json(with_images([turn.message], saved))
        about = {"raw": turn.raw, "asks_for_drawing": turn.asks_for_drawing, "notices": turn.notices}
        messages.append({**message, **about})
    text = json.dumps({"title": conversation.title, "messages": messages}, ensure_ascii=False, indent=2)
    (folder / "conversation.json").write_text(text + "\n", encoding="utf-8")
    write_page([conversation], folder / "conversation.html", conversation.title)
    return folder
