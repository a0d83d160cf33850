"""Write the nano's training data: LLaVA-format JSON for both stages, and the pictures as PNG files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minigemini.tabletop.conversations import Conversation, describing, looking, random_conversation
from minigemini.tabletop.language import parse_prompt
from minigemini.tabletop.questions import MOST_THINGS
from minigemini.tabletop.scene import reserved

ALIGN_SHARE = 0.25  # of the conversations; the rest is for finetune
QUESTIONS = 8  # about a picture, where only questions are asked


def _is_reserved(conversation: Conversation) -> bool:
    """Does a picture or a drawing in it belong to the benchmark?"""
    for turn in conversation:
        if any(reserved(picture.scene) for picture in turn.pictures):
            return True
        if turn.answer.startswith("<h>") and reserved(parse_prompt(turn.answer[3:-4])):
            return True
    return False


def _unreserved(rng: random.Random, make: Callable[[random.Random], Conversation]) -> Conversation:
    while True:
        conversation = make(rng)
        if not _is_reserved(conversation):
            return conversation


def _caption(rng: random.Random) -> Conversation:
    return describing(rng, rng.randint(1, MOST_THINGS))


def write(
    folder: Path,
    conversations: int = 16_000,
    seed: int = 0,
    kinds: Sequence[str] = (),
    progress: Callable[[int], None] = lambda written: None,
) -> dict[str, int]:
    """Write ``align.json`` (captions), ``finetune.json`` (conversations) and ``images/`` into ``folder``.

    The same arguments write the same bytes. Scenes of the benchmark and the held-out colour-shape pairs do not occur.

    Args:
        conversations: for both stages together; a quarter of them is for align.
        kinds: finetune is up to eight questions about each picture, of these kinds (``questions.TRAINED``) alone; without any it is
            the nano's mixture.
        progress: called with the number of conversations written so far.

    Returns:
        Number of records per file and of pictures.
    """

    def asking(rng: random.Random) -> Conversation:
        return looking(rng, rng.randint(1, MOST_THINGS), QUESTIONS, kinds)

    (folder / "images").mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    align = round(conversations * ALIGN_SHARE)
    pictures = written = 0
    counts = {}
    finetune = asking if kinds else random_conversation
    for stage, number, make in (("align", align, _caption), ("finetune", conversations - align, finetune)):
        records = []
        for index in range(number):
            record: dict[str, Any] = {"id": f"{stage}-{index}"}
            images, turns = [], []
            for turn in _unreserved(rng, make):
                for picture in turn.pictures:
                    name = f"images/{pictures:06d}.png"
                    picture.image().save(folder / name, compress_level=1)
                    images.append(name)
                    pictures += 1
                turns.append({"from": "human", "value": "<image>\n" * len(turn.pictures) + turn.text})
                turns.append({"from": "gpt", "value": turn.answer})
            if images:
                record["image"] = images if len(images) > 1 else images[0]
            records.append(record | {"conversations": turns})
            written += 1
            progress(written)
        partial = folder / f"{stage}.json.partial"
        partial.write_text(json.dumps(records, indent=0))
        partial.replace(folder / f"{stage}.json")  # it is there only if it is whole
        counts[stage] = number
    return counts | {"pictures": pictures}
