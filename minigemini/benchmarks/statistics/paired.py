"""Two runs on the same rows: is the difference of a number more than chance?

Everything here is drawn by image, never by row: answers about one image stand and fall together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minigemini.benchmarks.statistics.metric import Array, Metric

RESAMPLES = 10_000
SEED = 0
AT_ONCE = 4_000_000  # drawn numbers held in memory


@dataclass(frozen=True)
class Difference:
    """A number of run A and of run B on the same rows.

    Attributes:
        interval: 95 % percentile bootstrap of B - A; None with fewer than two images.
        p: of the randomisation test; see :func:`differences`.
    """

    name: str
    unit: str
    n: int
    images: int
    a: float
    b: float
    interval: tuple[float, float] | None
    p: float

    @property
    def value(self) -> float:
        return self.b - self.a

    @property
    def resolved(self) -> bool:
        """Whether the interval is on one side of zero *and* p < .05. With few flips the percentile bootstrap alone would
        call four against none a difference (McNemar's p is .125); the randomisation test does not."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1] and self.p < 0.05


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided McNemar test (McNemar 1947, with the binomial instead of chi squared): the probability, if a row that
    only one run gets right is as likely A's as B's, of a split at least as uneven. Computed in whole numbers.

    Args:
        only_a, only_b: rows that only A and that only B got right. Rows are taken as independent.
    """
    rows = only_a + only_b
    term = tail = 1  # binomial coefficients, and their sum up to the smaller of the two
    for k in range(min(only_a, only_b)):
        term = term * (rows - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / 2**rows)


def differences(a: Sequence[Metric], b: Sequence[Metric]) -> list[Difference]:
    """Of metrics that both runs have, in pairs: the same name, over the same images.

    The bootstrap draws images with replacement, the same ones for both runs and all metrics (Efron and Tibshirani 1993).
    p is that of the approximate randomisation test (Noreen 1989; for F1 and its kind Yeh, COLING 2000): if the runs were
    alike, swapping their answers on an image would change nothing, so how often does swapping on a random half of the images
    give a difference as large? For the accuracy of independent rows that is McNemar's test.

    Images on which everything is alike are drawn as one group with its count: the same distribution, much less to draw.
    """
    images = {name: None for metric in a for name in metric.images}  # in order, each once
    place = {name: row for row, name in enumerate(images)}
    blocks = [_spread(metric, place) for pair in zip(a, b, strict=True) for metric in pair]
    rows, counts = np.unique(np.hstack(blocks), axis=0, return_counts=True)
    ends = np.cumsum([block.shape[1] for block in blocks])
    columns = [slice(end - block.shape[1], end) for end, block in zip(ends, blocks, strict=True)]
    of_a, of_b = columns[::2], columns[1::2]

    random = np.random.default_rng(SEED)
    drawn = _sums(rows, lambda size: random.multinomial(counts.sum(), counts / counts.sum(), size))
    # Swapped images: what A loses is what B gets. Columns of A and B stand in the same order, one block behind the other.
    partner = np.concatenate([np.arange(c.start, c.stop) for pair in zip(of_b, of_a, strict=True) for c in pair])
    gain = rows[:, partner] - rows
    uneven = gain.any(axis=1)
    swaps = _sums(gain[uneven], lambda size: random.binomial(counts[uneven], 0.5, (size, int(uneven.sum()))))
    swapped = counts @ rows + swaps

    found = []
    for one, other, in_a, in_b in zip(a, b, of_a, of_b, strict=True):
        assert one.name == other.name, (one.name, other.name)
        assert set(one.images) == set(other.images), one.name
        with np.errstate(invalid="ignore", divide="ignore"):  # a small group may be in none of the images drawn
            apart = other.formula(drawn[:, in_b]) - one.formula(drawn[:, in_a])
        low, high = np.nanquantile(apart, [0.025, 0.975])
        value = other.value - one.value
        by_chance = np.abs(other.formula(swapped[:, in_b]) - one.formula(swapped[:, in_a]))
        as_large = int((by_chance >= abs(value) * (1 - 1e-9) - 1e-12).sum())
        found.append(
            Difference(
                one.name,
                one.unit,
                one.n,
                len(one.images),
                one.value,
                other.value,
                (float(low), float(high)) if len(one.images) > 1 else None,
                (1 + as_large) / (1 + RESAMPLES),
            )
        )
    return found


def _spread(metric: Metric, place: dict[str, int]) -> Array:
    """``metric.sums`` [images of the metric, k] as [all images, k], zero where the metric has no row."""
    spread = np.zeros((len(place), metric.sums.shape[1]))
    spread[[place[name] for name in metric.images]] = metric.sums
    return spread


def _sums(rows: Array, draw: Callable[[int], NDArray[np.int64]]) -> Array:
    """[RESAMPLES, k]: ``draw(size)`` [size, groups] @ ``rows`` [groups, k], a part at a time."""
    size = max(1, min(RESAMPLES, AT_ONCE // max(1, len(rows))))
    starts = range(0, RESAMPLES, size)
    return np.concatenate([draw(min(size, RESAMPLES - start)).astype(np.float64) @ rows for start in starts])
