"""LLaVA-Bench (in the wild): 60 questions; a judge grades the reference answer and the model's from 1 to 10.

The score is 100 * mean(model's) / mean(reference's), each mean rounded to three places first (LLaVA c121f04,
summarize_gpt_review.py; the 7B's first review prints 64.7 for that reason, not 64.8). The judge was gpt-4-0314, which is gone:
absolute numbers cannot be reproduced. The two grades are on the first line of the review, separated by a space or comma.

A review without them is (-1, -1) in the tool, and averaged in; here there is then no score: the judge failed. (Of more
than a hundred rows, one percent may lack a review; such a row counts as 0 against the reference's 10.)
Fixtures: three reviews of LLaVA-1.5-13B, overall and by category.
"""

from collections.abc import Sequence

import numpy as np

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules.verdict import UNANSWERED, UNASKED, Reading, Verdict, make_verdict
from minigemini.benchmarks.statistics.metric import Array, Metric, by_kind, metric

WITHOUT_REVIEW = (10.0, 0.0)


def two_grades(review: str) -> list[float] | None:
    """The reference's and the model's grade, from the review's first line."""
    parts = review.split("\n")[0].replace(",", " ").split(" ")
    parts = [part for part in parts if part]
    try:
        return [float(part) for part in parts] if len(parts) == 2 else None
    except ValueError:
        return None


def rule(line: Line) -> Verdict:
    """By ``line["grade"]``: ``{"content": review}``, with the pair ``tuple`` that the tool read beside it, if it was stored.

    Raises:
        ValueError: the stored pair is not what the review says.
    """
    if "grade" not in line:
        return make_verdict(line, None, UNASKED)
    grades = two_grades(line["grade"]["content"])
    stored = line["grade"].get("tuple")
    if stored is not None and list(stored) != (grades or [-1, -1]):
        raise ValueError(f"row {line['id']!r}: the review says {grades}, the grades stored beside it are {stored}")
    if grades is None or not all(0 <= grade <= 10 for grade in grades):
        return make_verdict(line, None, UNANSWERED)
    return make_verdict(line, min(grades[1] / 10, 1.0), Reading(grades, "judge"))


def relative(sums: Array) -> Array:
    means = np.round(sums[..., :2] / sums[..., 2:], 3)
    return 100 * means[..., 1] / means[..., 0]


def metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
    """The relative score, and that of each category."""
    parts = sorted(by_kind(verdicts).items())
    return [
        metric(name, part, [(*(verdict.reading or WITHOUT_REVIEW), 1) for verdict in part], relative)
        for name, part in [("relative score", list(verdicts)), *(parts if len(parts) > 1 else [])]
    ]
