"""Relaxed accuracy (Methani et al. 2020; ChartQA, Masry et al. 2022, section 5.1): numbers may be off by 5 %.

The code everybody uses is pix2struct's (metrics.py): both numbers and the answer not 0: relative difference at most 0.05;
else equal in lower case. "x%" is x / 100 on both sides, so "5" against "5%" is wrong; "1,000" and "$5" are no numbers.
lmms-eval 0.7.3 strips the reply first (``make test-lmms-eval``). Papers print the mean over the human and the
augmented questions together, or of the two splits' means; both are given.
"""

from collections.abc import Sequence

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules.verdict import Reading, Verdict, make_verdict, reference_of
from minigemini.benchmarks.statistics.metric import Metric, accuracy, by_kind, mean_of_groups

TOLERANCE = 0.05


def number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def is_right(reply: str, answer: str) -> bool:
    said, gold = number(reply), number(answer)
    if said is not None and gold:
        return abs(said - gold) / abs(gold) <= TOLERANCE
    return reply.lower() == answer.lower()


def rule(line: Line) -> Verdict:
    reply = line["prediction"].strip()
    points = float(any(is_right(reply, answer) for answer in reference_of(line, "answers")))
    return make_verdict(line, points, Reading(reply, "number" if number(reply) is not None else "text"))


def metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
    splits = by_kind(verdicts)
    overall = accuracy(verdicts)
    return [*overall, mean_of_groups("mean of splits", verdicts, splits)] if len(splits) > 1 else overall
