"""Conversations played from a script, for pages that show what a model does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from minigemini.engine.request import Draw
from minigemini.serving.chat_session import ChatSession
from minigemini.serving.conversation import Conversation


@dataclass(frozen=True)
class ScriptedTurn:
    """What the user says and shows; see :meth:`ChatSession.reply`."""

    text: str
    images: Sequence[Image.Image] = ()
    draw: Draw = "auto"


def play(session: ChatSession, title: str, turns: Sequence[ScriptedTurn]) -> Conversation:
    """Hold a conversation anew and give what was said and shown in it.

    Raises:
        ValueError: as :meth:`ChatSession.reply`.
    """
    session.reset()
    for turn in turns:
        for _ in session.reply(turn.text, turn.images, turn.draw):
            pass
    return Conversation(title, session.conversation.turns)
