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

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from PIL import Image

from minigemini.benchmarks.benchmark import Example, Line, Row, Score
from minigemini.benchmarks.rules.verdict import Reading, Verdict, judged
from minigemini.benchmarks.statistics.metric import Metric, by_kind, mean_of_groups, mean_points
from minigemini.benchmarks.statistics.wilson import wilson
from minigemini.benchmarks.written_prompt import balanced_accuracy, is_one_prompt
from minigemini.conversation import PROMPT_START
from minigemini.tabletop import benchmark as tabletop
from minigemini.tabletop import oracle
from minigemini.tabletop.language import describe, parse_prompt

ANSWER_TOKENS, PROMPT_TOKENS = 24, 80  # about twice the longest right answer in the nano's tokens
TABLETOP = "tabletop"
MEAN = "mean of kinds"
DRAWN = "drawn_picture"
DECISION = "draw_or_answer"
WELL_FORMED = "well_formed"


class Tabletop:
    """The benchmark; see the module's docstring for its rules.

    Args:
        kinds: names of the kinds to evaluate, in the order of the table.
        per_kind: examples of every kind.
        seed: of the examples. Their scenes occur in no training data, whatever its seed.
    """

    name = TABLETOP

    def __init__(self, kinds: Sequence[str], per_kind: int, seed: int) -> None:
        self.kinds, self.per_kind, self.seed = list(kinds), per_kind, seed

    def examples(self) -> list[Example]:
        """The same ones each time.

        Raises:
            ValueError: the world has no such kind of example.
        """
        unknown = [kind for kind in self.kinds if kind not in tabletop.TYPES]
        if unknown:
            raise ValueError(f"tabletop has no examples of {', '.join(unknown)}; it has {', '.join(tabletop.TYPES)}")
        return [_example(item) for item in tabletop.examples(self.per_kind, self.seed, tuple(self.kinds))]

    def score(self, runs: Mapping[str, Sequence[Line]]) -> list[Row]:
        """One row a kind. ``runs["model"]`` holds the lines to judge; every other run is a control under its name."""
        return [
            _row(
                kind,
                _of(kind, runs["model"]),
                {name: _of(kind, lines) for name, lines in runs.items() if name != "model"},
            )
            for kind in self.kinds
        ]


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
    reading = oracle.read(picture)
    return {"seen": describe(reading.scene, tags=False), "unknown_cells": list(reading.unknown_cells)}


def exact(prediction: str, answer: str) -> bool:
    return prediction.strip().lower() == answer.strip().lower()


def decides_to_draw(prediction: str) -> bool:
    return prediction.lstrip().startswith(PROMPT_START)


def shows(line: Line, prompt: str) -> bool:
    """Did the oracle see exactly what ``prompt`` says, in whatever order, and nothing it does not know?"""
    return not line["unknown_cells"] and parse_prompt(line["seen"]).facts() == parse_prompt(prompt).facts()


def tabletop_verdict(line: Line) -> Verdict:
    """The rule of the line's kind; see the module's docstring."""
    reference = line["reference"]
    if line["kind"] == DRAWN:
        prompt = reference["prompt"]
        return judged(line, float(shows(line, prompt)), Reading(line["seen"], "seen by the oracle"), gold=prompt)
    gold, answer = reference["answer"], line["prediction"]
    if line["kind"] == DECISION:
        decided = decides_to_draw(answer)
        reading = Reading("draw" if decided else "answer", "begins with <h>" if decided else "does not begin with <h>")
        return judged(line, float(decided == (gold == "draw")), reading)
    if line["kind"] == WELL_FORMED:
        formed = is_one_prompt(answer)
        path = "one <h>...</h> and nothing else" if formed else "not one <h>...</h>, or something else too"
        return judged(line, float(formed), Reading(answer.strip(), path))
    return judged(line, float(exact(answer, gold)), Reading(answer.strip(), "whole answer"))


def tabletop_metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
    """The mean of the kinds, each counting the same; then each kind (the decision's two classes counting the same)."""
    kinds = by_kind(verdicts)
    found = [mean_of_groups(MEAN, verdicts, kinds)]
    for kind, part in kinds.items():
        if kind == DECISION:
            classes: dict[str, list[Verdict]] = {}
            for verdict in part:
                classes.setdefault("draw" if verdict.gold == "draw" else "answer", []).append(verdict)
            found.append(mean_of_groups(kind, part, classes))
        else:
            found.append(mean_points(kind, part))
    return found


def _of(kind: str, lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if line["kind"] == kind]


def _row(kind: str, lines: Sequence[Line], others: Mapping[str, Sequence[Line]]) -> Row:
    if kind == DRAWN:
        return _drawn_row(lines)
    if kind == DECISION:
        return _decision_row(lines)
    if kind == WELL_FORMED:
        return Row(kind, "one <h>...</h> and nothing else", _accuracy(_hits(lines)))
    controls = {name: _accuracy(_hits(run)) for name, run in others.items() if run}
    references = [line["reference"] for line in lines]
    for name, key in (("bag guess", "bag"), ("chance", "choices")):
        if all(reference[key] for reference in references):
            picks = [
                Fraction(reference[key].count(reference["answer"]), len(reference[key])) for reference in references
            ]
            controls[name] = Score(float(sum(picks) / len(picks)), len(picks))
    if all(reference["previous"] for reference in references):
        controls["prompt repeated"] = _accuracy([exact(r["previous"], r["answer"]) for r in references])
    return Row(kind, "exact match", _accuracy(_hits(lines)), controls)


def _hits(lines: Iterable[Line]) -> list[bool]:
    return [tabletop_verdict(line).points == 1 for line in lines]


def _accuracy(hits: Sequence[bool]) -> Score:
    value = sum(hits) / len(hits)
    return Score(value, len(hits), wilson(value, len(hits)))


def _decision_row(lines: Sequence[Line]) -> Row:
    wanted = [line["reference"]["answer"] == "draw" for line in lines]
    decided = [decides_to_draw(line["prediction"]) for line in lines]
    controls = {
        "always draw": balanced_accuracy(wanted, [True] * len(lines)),
        "never draw": balanced_accuracy(wanted, [False] * len(lines)),
    }
    return Row(DECISION, "balanced accuracy", balanced_accuracy(wanted, decided), controls)


def _drawn_row(lines: Sequence[Line]) -> Row:
    prompts = [line["reference"]["prompt"] for line in lines]
    score = _accuracy(_hits(lines))
    others = prompts[1:] + prompts[:1]  # the next example's; with a single example there is no other
    controls = {}
    if len(lines) > 1:
        controls["another's prompt"] = _accuracy(
            [shows(line, other) for line, other in zip(lines, others, strict=True)]
        )
    return Row(DRAWN, "strict oracle", score, controls)
