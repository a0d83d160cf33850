"""Conversations of every form that a server can be asked: a picture, several, one after an answer, none."""

from __future__ import annotations

import random
from itertools import pairwise

from minigemini.conversation import Message, images_of, message
from minigemini.tabletop.benchmark import QUESTION_KINDS, Example, examples
from minigemini.tabletop.talk import SMALL_TALK, without_drawing


def mixed_questions(each: int = 7, seed: int = 7) -> dict[str, list[list[Message]]]:
    """Kind -> ``each`` conversations, the user's message last: the benchmark's kinds of questions about a picture of their own, then
    ``two pictures`` in one message, ``picture after picture`` in one conversation, and ``no picture``."""
    found: dict[str, list[list[Message]]] = {kind: [] for kind in QUESTION_KINDS}
    rows = list(examples(each, seed, QUESTION_KINDS))
    for row in rows:
        found[row["type"]].append(row["messages"])
    random.Random(f"tabletop mixed questions {seed}").shuffle(rows)
    pairs = list(pairwise([*rows, rows[0]]))[:each]
    found["two pictures"] = [[about_two(*pair)] for pair in pairs]
    found["picture after picture"] = [one_after_another(*pair) for pair in pairs]
    rng = random.Random(f"tabletop talk {seed}")
    said = [SMALL_TALK[n % len(SMALL_TALK)][0] if n % 2 else without_drawing(rng)[0] for n in range(each)]
    found["no picture"] = [[message("user", text)] for text in said]
    return found


def about_two(first: Example, second: Example) -> Message:
    """Both pictures, and the question of the second: an answer about the first shows that they changed places."""
    return message("user", second["messages"][-1].text, images_of([*first["messages"], *second["messages"]]))


def one_after_another(first: Example, second: Example) -> list[Message]:
    return [*first["messages"], message("assistant", first["answer"]), *second["messages"]]
