"""A session as a folder: JSON, a page, and its pictures."""

from __future__ import annotations

import json
from pathlib import Path

from minigemini.serving.assets import Assets
from minigemini.serving.chat_session import ChatSession
from minigemini.serving.conversation_page import write_page

PICTURES, CONVERSATION = "pictures", "conversation.json"


def save_conversation(session: ChatSession, folder: str | Path) -> Path:
    """Write ``conversation.json`` (:meth:`ChatSession.to_json`), ``conversation.html`` with a card for each branch, and every picture as
    ``pictures/HASH.png``, drawn ones with their record inside.

    Raises:
        ValueError: the folder exists and is not empty.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists already; name a folder that does not, or an empty one")
    folder.mkdir(parents=True, exist_ok=True)
    copies = Assets(folder / PICTURES)
    for asset, _ in (one for branch in session.branches for turn in branch.turns for one in turn.pictures):
        copies.put_png(asset.png)
    text = json.dumps(session.to_json(), ensure_ascii=False, indent=2)
    (folder / CONVERSATION).write_text(text + "\n", encoding="utf-8")
    write_page(session.branches, folder / "conversation.html", "Conversation")
    return folder


def load_conversation(session: ChatSession, folder: str | Path) -> None:
    """Go on with what :func:`save_conversation` wrote; new pictures are kept in memory, the folder stays as it is.

    Raises:
        ValueError: there is no such folder, or as of :meth:`ChatSession.load`; it names the folder.
    """
    folder = Path(folder)
    try:
        given = json.loads((folder / CONVERSATION).read_text(encoding="utf-8"))
        assets = Assets()
        for file in sorted((folder / PICTURES).glob("*.png")):
            assets.put_png(file.read_bytes())
        session.load(given, assets)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{folder}: no saved conversation can be read ({error})") from error
