"""The nano's benchmark: questions about tabletop pictures, drawing prompts, edits over turns, and the drawings.

The rule is exact match of the whole answer, after stripping white space and lower-casing; an answer that goes on, or
holds the right word among others, is wrong. Three kinds have their own rule:

- ``well_formed``: a drawing was asked for, and decoding is free. Is the answer one ``<h>...</h>`` with words in it, and
  nothing else? Which words is not asked.
- ``draw_or_answer``: does the answer start with ``<h>``, when a drawing was asked for and only then? Balanced accuracy:
  the mean of the two classes' accuracies.
- ``drawn_picture``: the image generator draws the example's true prompt; the oracle must see exactly that scene.

Controls that need no model are computed from the same lines:

- *chance*: a uniform pick from all answers of the kind (its expected accuracy).
- *bag guess*: a uniform pick from the values that occur in the scene; knows what is there, not what belongs to what.
- *prompt repeated*: an edit that changes nothing.
- *always draw*, *never draw*.
- *another's prompt*: the drawing judged by the next example's prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minigemini.benchmarks.benchmark import Benchmark, Example, Line, Protocol
from minigemini.benchmarks.rules.verdict import EXPECTED, Reading, Verdict, make_verdict
from minigemini.benchmarks.statistics.metric import Metric, balanced_accuracy, by_kind, mean_of_groups, share
from minigemini.benchmarks.written_prompt import is_one_prompt
from minigemini.conversation import PROMPT_START
from minigemini.tabletop.language import describe, parse_prompt

if TYPE_CHECKING:
    from PIL import Image

ANSWER_TOKENS, PROMPT_TOKENS = 24, 80  # about twice the longest right answer in the nano's tokens
MEAN = "mean of kinds"
DRAWN = "drawn_picture"
DECISION = "draw_or_answer"
WELL_FORMED = "well_formed"


def make_examples(kinds: Sequence[str], per_kind: int, seed: int) -> list[Example]:
    """The same ones each time. Their scenes occur in no training data, whatever its seed.

    Raises:
        ValueError: the world has no such kind of example.
    """
    from minigemini.tabletop import benchmark as tabletop  # draws pictures: scoring needs none

    unknown = [kind for kind in kinds if kind not in tabletop.TYPES]
    if unknown:
        raise ValueError(f"tabletop has no examples of {', '.join(unknown)}; it has {', '.join(tabletop.TYPES)}")
    return [_example(item) for item in tabletop.examples(per_kind, seed, tuple(kinds))]


def _example(item: Mapping[str, Any]) -> Example:
    """The world's example for the runner. A drawing has no messages: its prompt goes to the image generator."""
    kind = item["type"]
    if kind == DRAWN:
        return Example(item["id"], kind, [], {"prompt": item["answer"]})
    reference = {
        "answer": item["answer"],
        "choices": list(item["choices"]),
        "bag": list(item["bag"]),
        "previous": item.get("previous", ""),  # the prompt before the last instruction, for edits
        "scene": describe(item["scene"]),  # for the reader
    }
    tokens = ANSWER_TOKENS if item["draw"] is False else PROMPT_TOKENS
    return Example(item["id"], kind, item["messages"], reference, item["draw"] is True, tokens)


def what_the_oracle_sees(picture: Image.Image) -> dict[str, Any]:
    """For the line of a drawing: what lies where, as a prompt in reading order, and the cells it cannot tell."""
    from minigemini.tabletop import oracle

    reading = oracle.read(picture)
    return {"seen": describe(reading.scene, tags=False), "unknown_cells": list(reading.unknown_cells)}


def shows(line: Line, prompt: str) -> bool:
    """Did the oracle see exactly what ``prompt`` says, in whatever order, and nothing it does not know?"""
    return not line["unknown_cells"] and parse_prompt(line["seen"]).facts() == parse_prompt(prompt).facts()


def rule(line: Line) -> Verdict:
    """The rule of the line's kind; see the module's docstring."""
    reference = line["reference"]
    if line["kind"] == DRAWN:
        prompt = reference["prompt"]
        return make_verdict(line, float(shows(line, prompt)), Reading(line["seen"], "seen by the oracle"), gold=prompt)
    gold, answer = reference["answer"], line["prediction"].strip()
    if line["kind"] == DECISION:
        decided = answer.startswith(PROMPT_START)
        reading = Reading("draw" if decided else "answer", "begins with <h>" if decided else "does not begin with <h>")
        return make_verdict(line, float(decided == (gold == "draw")), reading)
    if line["kind"] == WELL_FORMED:
        formed = is_one_prompt(answer)
        path = "one <h>...</h> and nothing else" if formed else "not one <h>...</h>, or something else too"
        return make_verdict(line, float(formed), Reading(answer, path))
    return make_verdict(line, float(answer.lower() == gold.strip().lower()), Reading(answer, "whole answer"))


def metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
    """The mean of the kinds, each counting the same; then each kind (the decision's two classes counting the same)."""
    kinds = by_kind(verdicts)
    of_each = [(balanced_accuracy if kind == DECISION else share)(kind, part) for kind, part in kinds.items()]
    return [mean_of_groups(MEAN, verdicts, kinds), *of_each]


def _answers(kind: str, answer: Callable[[Line], str]) -> Callable[[Sequence[Line]], list[Verdict]]:
    """The control that answers the lines whose kind begins with ``kind`` so."""
    return lambda lines: [rule({**line, "prediction": answer(line)}) for line in lines if line["kind"].startswith(kind)]


def _picks(key: str) -> Callable[[Sequence[Line]], list[Verdict]]:
    """The control that picks from ``reference[key]``, where there is something: how often it is right on average."""

    def verdicts(lines: Sequence[Line]) -> list[Verdict]:
        pairs = [(line, line["reference"][key]) for line in lines if line["reference"].get(key)]
        return [
            make_verdict(line, picks.count(line["reference"]["answer"]) / len(picks), Reading(None, EXPECTED))
            for line, picks in pairs
            if line["kind"] != DECISION
        ]

    return verdicts


def _by_another_prompt(lines: Sequence[Line]) -> list[Verdict]:
    """Every drawing judged by the next one's prompt; with a single one there is no other."""
    drawn = [line for line in lines if line["kind"] == DRAWN]
    pairs = zip(drawn, drawn[1:] + drawn[:1], strict=True) if len(drawn) > 1 else ()
    return [rule({**line, "reference": other["reference"]}) for line, other in pairs]


def _right_reply(line: Line, gold: str) -> str:
    return PROMPT_START if line["kind"] == DECISION and gold == "draw" else gold


TABLETOP = Benchmark(
    name="tabletop",
    title="the nano's tabletop",
    sizes={},
    protocols={
        "minigemini": Protocol(
            rule,
            "greedy decoding, exact match of the whole answer; draw_or_answer is balanced, well_formed asks for the form only, "
            "a drawing is judged by the strict oracle",
            metrics,
            right_reply=_right_reply,
            controls={
                "bag guess": _picks("bag"),
                "chance": _picks("choices"),
                "prompt repeated": _answers("edit_", lambda line: line["reference"]["previous"]),
                "always draw": _answers(DECISION, lambda line: PROMPT_START),
                "never draw": _answers(DECISION, lambda line: ""),
                "another's prompt": _by_another_prompt,
            },
        )
    },
    make=make_examples,
    see=what_the_oracle_sees,
)
