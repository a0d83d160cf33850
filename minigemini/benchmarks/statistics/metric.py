"""A benchmark's number as a formula of sums over images, so that any of them has an interval, and a difference has one.

Accuracy, F1, the total of MME and the circular accuracy are all functions of sums: of points, of true positives, of
pairs that are right. The bootstrap draws images with replacement, adds up their sums and applies the formula.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from minigemini.benchmarks.rules.verdict import Verdict
from minigemini.benchmarks.statistics.wilson import wilson

Array = NDArray[np.float64]
RESAMPLES = 2000
SEED = 0
DRAWS_AT_ONCE = 1_000_000  # what is held in memory


@dataclass(frozen=True)
class Metric:
    """One number.

    Attributes:
        name: what it is; the first metric of a benchmark is the one that is published.
        unit: "%" or "points".
        n: rows it was computed from.
        sums: [images, k]; row i is what image i contributes.
        formula: maps sums [..., k] to values [...]; must be vectorised over the leading axes.
        images: the name of each row of ``sums``, so that two runs can be paired.
        worth: of a share of rows that are independent of each other: that of how many answers it is. Its interval is then Wilson's.
    """

    name: str
    unit: str
    n: int
    sums: Array
    formula: Callable[[Array], Array]
    images: tuple[str, ...]
    worth: float | None = None

    @property
    def value(self) -> float:
        return float(self.formula(self.sums.sum(axis=0)))

    @cached_property
    def resampled(self) -> Array:
        """[RESAMPLES] values over images drawn with replacement, the same draws for metrics over as many images."""
        random, images = np.random.default_rng(SEED), len(self.sums)
        block = max(1, DRAWS_AT_ONCE // images)
        totals = []
        for start in range(0, RESAMPLES, block):
            size = min(block, RESAMPLES - start)
            drawn = random.integers(0, images, (size, images)) + images * np.arange(size)[:, None]
            totals.append(np.bincount(drawn.ravel(), minlength=size * images).reshape(size, images) @ self.sums)
        return self.formula(np.concatenate(totals))

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """95 % percentile bootstrap interval (Efron and Tibshirani 1993, ch. 13) clustered by image; Wilson's where there is a ``worth``.

        None with fewer than two images, or where most resamples lack a task that the formula needs. It is of width zero where all
        answers are right or all are wrong; that says something about the bootstrap, not about the model.
        """
        if self.worth is not None:
            low, high = wilson(self.value / 100, self.worth)
            return 100 * low, 100 * high
        defined = self.resampled[np.isfinite(self.resampled)]
        if len(self.sums) < 2 or len(defined) < RESAMPLES / 2:
            return None
        low, high = np.quantile(defined, [0.025, 0.975])
        return float(low), float(high)


def metric(
    name: str,
    verdicts: Sequence[Verdict],
    contributions: Sequence[Sequence[float]],
    formula: Callable[[Array], Array],
    unit: str = "%",
) -> Metric:
    """A metric of ``verdicts``, to which ``contributions[i]`` [k] is what verdict i adds."""
    assert len(verdicts) == len(contributions), name
    assert verdicts, name
    order: dict[str, int] = {}
    rows = [order.setdefault(verdict.image, len(order)) for verdict in verdicts]
    values = np.asarray(contributions, dtype=np.float64)
    sums = np.zeros((len(order), values.shape[1]))
    np.add.at(sums, rows, values)
    return Metric(name, unit, len(verdicts), sums, formula, tuple(order))


def ratio(sums: Array) -> Array:
    """100 * first / second; nan where the second is 0, as in a resample that holds none of a small group."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return 100 * sums[..., 0] / sums[..., 1]


def mean_points(name: str, verdicts: Sequence[Verdict]) -> Metric:
    """The mean of the points, in percent."""
    return metric(name, verdicts, [(points_of(verdict), 1) for verdict in verdicts], ratio)


def points_of(verdict: Verdict) -> float:
    assert verdict.points is not None, f"{verdict.id} is not judged"
    return verdict.points


def by_kind(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """The verdicts of each kind, in order of first appearance."""
    kinds: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        kinds[verdict.kind].append(verdict)
    return dict(kinds)


def accuracy(verdicts: Sequence[Verdict]) -> list[Metric]:
    """The overall accuracy, and that of each kind where there are several."""
    kinds = by_kind(verdicts)
    parts = [mean_points(kind, part) for kind, part in kinds.items()] if len(kinds) > 1 else []
    return [mean_points("accuracy", verdicts), *parts]


def mean_of_groups(name: str, verdicts: Sequence[Verdict], groups: Mapping[str, Sequence[Verdict]]) -> Metric:
    """The mean of the groups' accuracies, each group counting the same."""
    names = list(groups)
    column = {id(verdict): names.index(group) for group, part in groups.items() for verdict in part}
    rows = []
    for verdict in verdicts:
        row = [0.0] * (2 * len(names))
        place = column[id(verdict)]
        row[2 * place], row[2 * place + 1] = points_of(verdict), 1
        rows.append(row)

    def formula(sums: Array) -> Array:
        return np.stack([ratio(sums[..., 2 * i : 2 * i + 2]) for i in range(len(names))]).mean(axis=0)

    return metric(name, verdicts, rows, formula)


def share(name: str, verdicts: Sequence[Verdict]) -> Metric:
    """The mean of the points of rows that are independent of each other, in percent."""
    return replace(mean_points(name, verdicts), worth=len(verdicts))


def balanced_accuracy(name: str, verdicts: Sequence[Verdict]) -> Metric:
    """The mean of the accuracies of two classes, by gold answer; of one, where a few examples have only one."""
    classes: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        classes[verdict.gold].append(verdict)
    # The mean of two accuracies varies like one accuracy over 4 / (1/n1 + 1/n2) examples: n1 + n2 for even classes.
    worth = len(classes) ** 2 / sum(1 / len(part) for part in classes.values())
    return replace(mean_of_groups(name, verdicts, classes), worth=worth)


def mean_of(kinds: str) -> Callable[[Sequence[Verdict]], list[Metric]]:
    """Accuracy with every kind counting the same, under the name of the ``kinds``; then that of all rows and of each kind."""

    def metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
        return [mean_of_groups(f"mean of {kinds}", verdicts, by_kind(verdicts)), *accuracy(verdicts)]

    return metrics
