"""To draw or not to draw: does a model draw when a picture is wanted, and only then?

``eval/draw_decision.jsonl`` holds conversations whose last turn wants a picture or only sounds like it, in our own words.
Nobody sets the marker `` <GEN>``; decoding is free. An answer that opens a prompt, anywhere, is a decision to draw. Which
prompt is written is not asked, but whether it is well formed is.

A line of the file is ``{"id", "category", "draw", "turns"}``: turns of user and assistant in alternation, the last the user's;
each is a text, or ``{"picture", "text"}`` with a picture of the tabletop, given by its prompt.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from minigemini import shipped
from minigemini.benchmarks.benchmark import Benchmark, Example, Line, Protocol
from minigemini.benchmarks.formats.lines import read_jsonl
from minigemini.benchmarks.rules.verdict import Reading, Verdict, make_verdict
from minigemini.benchmarks.statistics.metric import Metric, balanced_accuracy, by_kind, share
from minigemini.benchmarks.written_prompt import has_well_formed_prompts
from minigemini.conversation import PROMPT_END, PROMPT_START, Message, Role, message
from minigemini.tabletop.language import parse_prompt

ITEMS = shipped.ROOT / "eval" / "draw_decision.jsonl"
MOST_TOKENS = 128
KEYWORDS = re.compile(r"\b(draw|paint|sketch|generate|create|make|show)\b", re.IGNORECASE)
"""For the control: whoever draws when one of these words is said."""
FORMED, BROKEN, NO_PROMPT = "well-formed prompts", "broken prompts", "no prompt"


def read_examples(path: Path) -> list[Example]:
    """Raises ValueError: an item is not as it should be; it names file and row; FileNotFoundError: no such file."""
    made = []
    for number, item in enumerate(read_jsonl(path), start=1):
        if set(item) != {"id", "category", "draw", "turns"} or len(item["turns"]) % 2 == 0:
            raise ValueError(f"{path}, row {number}: not id, category, draw and an odd number of turns")
        messages = [_message(turn, place) for place, turn in enumerate(item["turns"])]
        reference = {"answer": "draw" if item["draw"] else "answer", "asked": messages[-1].text}
        made.append(Example(item["id"], item["category"], messages, reference, max_new_tokens=MOST_TOKENS))
    return made


def _message(turn: str | Mapping[str, str], place: int) -> Message:
    role: Role = "assistant" if place % 2 else "user"
    if isinstance(turn, str):
        return message(role, turn)
    from minigemini.tabletop.picture import render  # scoring draws no pictures

    return message(role, turn["text"], [render(parse_prompt(turn["picture"]))])


def rule(line: Line) -> Verdict:
    """Whether the decision is right; the path says how its prompts are formed, or that there is not even half of one."""
    answer = line["prediction"]
    drawn = PROMPT_START in answer
    path = FORMED if has_well_formed_prompts(answer) else BROKEN if drawn or PROMPT_END in answer else NO_PROMPT
    decided = "draw" if drawn else "answer"
    return make_verdict(line, float(decided == line["reference"]["answer"]), Reading(decided, path))


def metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
    """Balanced accuracy; missed and false draws; of the answers with a marker of prompts the share of well-formed ones; each category."""
    wrong = [replace(verdict, points=1 - (verdict.points or 0)) for verdict in verdicts]
    shares = {
        "missed draws": [verdict for verdict in wrong if verdict.gold == "draw"],
        "false draws": [verdict for verdict in wrong if verdict.gold == "answer"],
        "well formed": [replace(v, points=float(v.path == FORMED)) for v in verdicts if v.path != NO_PROMPT],
        **by_kind(verdicts),
    }
    return [balanced_accuracy("balanced accuracy", verdicts), *(share(name, of) for name, of in shares.items() if of)]


def _answers(answer: Callable[[Line], str]) -> Callable[[Sequence[Line]], list[Verdict]]:
    return lambda lines: [rule({**line, "prediction": answer(line)}) for line in lines]


def _draw_at_keyword(line: Line) -> str:
    return PROMPT_START if KEYWORDS.search(line["reference"]["asked"]) else ""


DRAW_DECISION = Benchmark(
    name="draw_decision",
    title="draw or answer, in plain English",
    sizes={},
    protocols={
        "minigemini": Protocol(
            rule,
            "free decoding; an answer that opens a prompt is a decision to draw",
            metrics,
            right_reply=lambda line, gold: PROMPT_START if gold == "draw" else "",
            controls={
                "always draw": _answers(lambda line: PROMPT_START),
                "never draw": _answers(lambda line: ""),
                "keyword": _answers(_draw_at_keyword),
            },
        )
    },
    read=read_examples,
    items=ITEMS,
)
