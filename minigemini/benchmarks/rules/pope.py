"""POPE (Li et al. 2023): is there an X in the image? Three splits of one set of images; positive is yes.

LLaVA and MGM print the mean of the splits' F1, on commit e3e3926 of AoiDragon/POPE, whose random split has 2910
questions; later versions and other tools have 3000. VLMEvalKit prints the F1 of all splits pooled, and lmms-eval, for
its combined task, too. These are different numbers (.8595 and .8593 on the fixture).

The published scripts divide by zero where nothing was answered with yes; here F1 is then 0, as in the other tools.
Fixture: LLaVA-1.5-13B under ``llava``, to all digits. ``lmms``: ``make test-lmms-eval``. ``vlmevalkit``: its reading by MME's fixture, its
counts by hand.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import numpy as np

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules import yes_no
from minigemini.benchmarks.rules.verdict import FALLBACK, Reading, Verdict, make_verdict, reference_of
from minigemini.benchmarks.statistics.metric import Array, Metric, by_kind, mean_points, metric, ratio


def check_splits(random: int) -> Callable[[Sequence[Line]], None]:
    """A check that the rows are the published version's, whose random split has so many questions."""

    def check(lines: Sequence[Line]) -> None:
        found = Counter(line["kind"] for line in lines)
        wanted = {"adversarial": 3000, "popular": 3000, "random": random}
        if found != wanted:
            raise ValueError(
                f"POPE: these rows are {dict(found)}, this protocol's version is {wanted}. LLaVA's and MGM's numbers "
                "are on the random split of 2910 (commit e3e3926), lmms-eval's and VLMEvalKit's on 3000"
            )

    return check


def rule(read: Callable[[str], Reading]) -> Callable[[Line], Verdict]:
    def judge(line: Line) -> Verdict:
        gold = reference_of(line, "answer").strip().lower()
        reading = read(line["prediction"])
        return make_verdict(line, float(reading.answer == gold), reading, gold=gold)

    return judge


def taken_for_yes(line: Line, _: Random) -> Verdict:
    """What the published script makes of a reply without yes and no."""
    return rule(lambda reply: Reading(yes_no.YES, FALLBACK))(line)


Counts = tuple[float, float, float, float, float]
"""True positives, false positives, false negatives, yes for the yes ratio, rows."""


def counts(verdict: Verdict) -> Counts:
    """An unparsable reply is wrong whatever the answer is."""
    yes, gold = verdict.reading == yes_no.YES, verdict.gold == yes_no.YES
    unread = verdict.reading is None
    return yes and gold, (yes or unread) and not gold, not yes and gold, yes, 1


def vlmevalkit_counts(verdict: Verdict) -> Counts:
    """What cannot be read is not a yes: no false positive where the answer is no."""
    yes, gold = verdict.reading == yes_no.YES, verdict.gold == yes_no.YES
    return yes and gold, yes and not gold, not yes and gold, yes, 1


def lmms_counts(verdict: Verdict) -> Counts:
    """What cannot be read counts nowhere, and the yes ratio is that of the answers, not of the replies."""
    yes, gold = verdict.reading == yes_no.YES, verdict.gold == yes_no.YES
    return yes and gold, yes and not gold, verdict.reading == yes_no.NO and gold, gold, 1


def f1(sums: Array) -> Array:
    return 100 * _safe(2 * sums[..., 0], 2 * sums[..., 0] + sums[..., 1] + sums[..., 2])


def _safe(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)


def precision(sums: Array) -> Array:
    return 100 * _safe(sums[..., 0], sums[..., 0] + sums[..., 1])


def recall(sums: Array) -> Array:
    return 100 * _safe(sums[..., 0], sums[..., 0] + sums[..., 2])


def yes_ratio(sums: Array) -> Array:
    return ratio(sums[..., 3:5])


def metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
    """LLaVA's: the mean of the splits' F1, then everything of each split."""
    splits = list(by_kind(verdicts))
    wide = [
        [value for split in splits for value in (counts(verdict) if split == verdict.kind else (0,) * 5)]
        for verdict in verdicts
    ]

    def mean_f1(sums: Array) -> Array:
        return np.stack([f1(sums[..., 5 * i : 5 * i + 5]) for i in range(len(splits))]).mean(axis=0)

    return [metric("F1, mean of splits", verdicts, wide, mean_f1), *_each(verdicts, counts)]


def pooled_metrics(count: Callable[[Verdict], Counts]) -> Callable[[Sequence[Verdict]], list[Metric]]:
    """VLMEvalKit's and lmms-eval's: the F1 of all rows together, then everything of each split."""

    def pooled(verdicts: Sequence[Verdict]) -> list[Metric]:
        rows = [count(verdict) for verdict in verdicts]
        return [
            metric("F1, pooled", verdicts, rows, f1),
            mean_points("accuracy", verdicts),
            *_each(verdicts, count),
        ]

    return pooled


def _each(verdicts: Sequence[Verdict], count: Callable[[Verdict], Counts]) -> list[Metric]:
    found = []
    for split, part in by_kind(verdicts).items():
        rows = [count(verdict) for verdict in part]
        for name, formula in (("F1", f1), ("precision", precision), ("recall", recall), ("yes ratio", yes_ratio)):
            found.append(metric(f"{split} {name}", part, rows, formula))
        found.append(mean_points(f"{split} accuracy", part))
    return found
