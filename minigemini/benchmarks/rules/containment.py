"""OCRBench (Liu et al. 2024): 1000 questions, a point for each reply that contains an answer.

Lower-cased, line breaks as spaces; for handwritten formulas (HME100k) instead all spaces are removed and case counts. A long
reply has more chances. Reproduces the rule of the authors' example.py. No fixture; by hand.
lmms-eval 0.7.3 (``lmms_rule``; ``make test-lmms-eval``) also takes full-width characters for plain ones, outside of formulas.
"""

from collections.abc import Callable, Sequence

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules.verdict import Reading, Verdict, make_verdict, reference_of
from minigemini.benchmarks.statistics.metric import Array, Metric, by_kind, metric, points_of

FORMULAS = "Handwritten Mathematical Expression Recognition"
HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}
RECOGNITION = "Text Recognition"  # the sum of six kinds, 300 questions


def rule(line: Line) -> Verdict:
    return _judge(line, _in_lower_case)


def lmms_rule(line: Line) -> Verdict:
    return _judge(line, lambda text: _in_lower_case(text.translate(HALF_WIDTH)))


def _judge(line: Line, clean: Callable[[str], str]) -> Verdict:
    if line["kind"] == FORMULAS:
        clean = _without_spaces
    reply = clean(line["prediction"])
    points = float(any(clean(answer) in reply for answer in reference_of(line, "answers")))
    return make_verdict(line, points, Reading(reply, "contained"))


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
