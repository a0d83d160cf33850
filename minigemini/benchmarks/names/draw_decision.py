"""To draw or not to draw: does a model draw when a picture is wanted, and only then?

``eval/draw_decision.jsonl`` holds conversations whose last turn wants a picture or only sounds like it, in our own words.
Nobody sets the marker `` <GEN>``; decoding is free. An answer that opens a prompt, anywhere, is a decision to draw. Which
prompt is written is not asked, but whether it is well formed is.

A line of the file is ``{"id", "category", "draw", "turns"}``: turns of user and assistant in alternation, the last the user's;
each is a text, or ``{"picture", "text"}`` with a picture of the tabletop, given by its prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from minigemini import shipped
from minigemini.benchmarks.benchmark import Example, Line, Row, Score
from minigemini.benchmarks.formats.lines import read_jsonl
from minigemini.benchmarks.statistics.wilson import wilson
from minigemini.benchmarks.written_prompt import balanced_accuracy, has_well_formed_prompts
from minigemini.conversation import PROMPT_END, PROMPT_START, Message, message
from minigemini.tabletop.language import parse_prompt
from minigemini.tabletop.picture import render

ITEMS = shipped.ROOT / "eval" / "draw_decision.jsonl"
MOST_TOKENS = 128
KEYWORDS = re.compile(r"\b(draw|paint|sketch|generate|create|make|show)\b", re.IGNORECASE)
"""For the control: whoever draws when one of these words is said."""


class DrawDecision:
    """The benchmark; see the module's docstring.

    Args:
        path: of the items.
    """

    name = "draw_decision"

    def __init__(self, path: Path = ITEMS) -> None:
        self.path = path

    def examples(self) -> list[Example]:
        """
        Raises:
            ValueError: an item is not as it should be; it names file and row.
            FileNotFoundError: no such file.
        """
        made = []
        for number, item in enumerate(read_jsonl(self.path), start=1):
            if set(item) != {"id", "category", "draw", "turns"} or len(item["turns"]) % 2 == 0:
                raise ValueError(f"{self.path}, row {number}: not id, category, draw and an odd number of turns")
            messages = [_message(turn, place) for place, turn in enumerate(item["turns"])]
            reference = {"draw": item["draw"], "asked": messages[-1].text}
            made.append(Example(item["id"], item["category"], messages, reference, max_new_tokens=MOST_TOKENS))
        return made

    def score(self, runs: Mapping[str, Sequence[Line]]) -> list[Row]:
        """Balanced accuracy with controls; missed and false draws; the share of well-formed prompts; each category."""
        lines = runs["model"]
        wanted = [line["reference"]["draw"] for line in lines]
        drawn = [PROMPT_START in line["prediction"] for line in lines]
        said = [KEYWORDS.search(line["reference"]["asked"]) is not None for line in lines]
        decisions = {"always draw": [True] * len(lines), "never draw": [False] * len(lines), "keyword": said}
        controls = {name: balanced_accuracy(wanted, decided) for name, decided in decisions.items()}
        rows = [Row(self.name, "balanced accuracy", balanced_accuracy(wanted, drawn), controls)]
        pairs = list(zip(wanted, drawn, strict=True))
        answers = [line["prediction"] for line in lines]
        prompts = [has_well_formed_prompts(a) for a in answers if PROMPT_START in a or PROMPT_END in a]
        rows += _share("missed draws", "wishes without a prompt", [not got for want, got in pairs if want])
        rows += _share("false draws", "others with a prompt", [got for want, got in pairs if not want])
        rows += _share("well formed", "of the answers with a marker of prompts", prompts)
        for kind in dict.fromkeys(line["kind"] for line in lines):
            right = [w == d for line, (w, d) in zip(lines, pairs, strict=True) if line["kind"] == kind]
            rows += _share(kind, "decided right", right)
        return rows


def _share(kind: str, metric: str, hits: Sequence[bool]) -> list[Row]:
    """A row, or none where there is nothing to take a share of."""
    if not hits:
        return []
    value = sum(hits) / len(hits)
    return [Row(kind, metric, Score(value, len(hits), wilson(value, len(hits))))]


def _message(turn: str | Mapping[str, str], place: int) -> Message:
    pictures = [] if isinstance(turn, str) else [render(parse_prompt(turn["picture"]))]
    return message("assistant" if place % 2 else "user", turn if isinstance(turn, str) else turn["text"], pictures)
