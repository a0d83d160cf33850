"""OCRBench (Liu et al. 2024): 1000 questions, a point for each reply that contains an answer.

Lower-cased, line breaks as spaces; for handwritten formulas (HME100k) instead all spaces are removed and case counts. A long
reply has more chances. Reproduces the rule of the authors' example.py as VLMEvalKit e8e78f0 (image_vqa.py) has it.
lmms-eval's task (46a88d8) lower-cases the reply to a formula but not the answer, so that one with a capital cannot be right.
No fixture; by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules.verdict import Reading, Verdict, judged, reference_of
from minigemini.benchmarks.statistics.metric import Array, Metric, by_kind, metric, points_of

FORMULAS = "Handwritten Mathematical Expression Recognition"
RECOGNITION = "Text Recognition"  # the sum of six kinds, 300 questions


def rule(formulas_in_lower_case: bool) -> Callable[[Line], Verdict]:
    def judge(line: Line) -> Verdict:
        reply, answers = line["prediction"], reference_of(line, "answers")
        if line["kind"] == FORMULAS:
            reply = reply.lower() if formulas_in_lower_case else reply
            clean: Callable[[str], str] = _without_spaces
        else:
            clean = _in_lower_case
        points = float(any(clean(answer) in clean(reply) for answer in answers))
        return judged(line, points, Reading(clean(reply), "contained"))

    return judge


def _in_lower_case(text: str) -> str:
    return text.lower().strip().replace("\n", " ")


def _without_spaces(text: str) -> str:
    return text.strip().replace("\n", " ").replace(" ", "")


def metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
    """The points, of 1000 (of as many as there are rows); those of text recognition; those of each kind."""
    recognition = [verdict for verdict in verdicts if verdict.kind.endswith("Recognition") and verdict.kind != FORMULAS]
    kinds = by_kind(verdicts)
    return [
        _points("points", verdicts),
        *([_points(RECOGNITION, recognition)] if recognition else []),
        *(_points(kind, part) for kind, part in kinds.items() if len(kinds) > 1),
    ]


def _points(name: str, verdicts: Sequence[Verdict]) -> Metric:
    """The number of right answers, scaled to the number of rows in a resample of images that has more or fewer."""

    def formula(sums: Array) -> Array:
        return len(verdicts) * sums[..., 0] / sums[..., 1]

    return metric(name, verdicts, [(points_of(verdict), 1) for verdict in verdicts], formula, "points")
