"""The model as VLMEvalKit drives it. Importable in VLMEvalKit's environment only; ``minigemini eval vlmevalkit`` imports it.

The prompts are VLMEvalKit's generic ones, as for its own wrapper of MGM-7B-HD; they are not those of the LLaVA and MGM papers.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from vlmeval.vlm.base import BaseModel

from minigemini.conversation import Image, Message, Text
from minigemini.engine.local import LocalEngine
from minigemini.engine.request import Decoding, Request
from minigemini.evaluation.harnesses.tool_requests import picture, with_placed_pictures
from minigemini.evaluation.running.evaluated_model import load

MAX_NEW_TOKENS = 1024


class VLMEvalKitModel(BaseModel):
    """Greedy answers to one message, its texts and pictures in the order given.

    There is no ``chat_inner`` for data sets of several turns, on purpose: after any error VLMEvalKit's ``chat`` forgets the
    oldest turns and tries again, and nobody would know.

    Args:
        pretrained: a checkpoint folder, a hub id, or a shipped name ("nano").
    """

    INTERLEAVE = True
    allowed_types = ["text", "image"]

    def __init__(self, pretrained: str) -> None:
        super().__init__()
        device = "cpu"
        if torch.cuda.is_available():
            # run.py may have left each process its own GPUs, or all of them to all
            device = f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
        self.engine = LocalEngine(*load(pretrained, device=device))

    def generate_inner(self, message: list[dict[str, Any]], dataset: str | None = None) -> str:
        """
        Args:
            message: parts ``{"type": "text" | "image", "value": text or path}``.
        """
        parts = tuple(
            Image(picture(part["value"], str(dataset))) if part["type"] == "image" else Text(part["value"])
            for part in message
        )
        asked = with_placed_pictures([Message("user", parts)])
        return self.engine.answer([Request(asked, Decoding(MAX_NEW_TOKENS))])[0].text.strip()
