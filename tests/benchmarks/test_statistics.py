"""Metrics as formulas of sums over images, and their intervals; Wilson's as published."""

import math

import numpy as np
import pytest

from minigemini.benchmarks.rules.verdict import Verdict
from minigemini.benchmarks.statistics.metric import RESAMPLES, accuracy, mean_of_groups, mean_points
from minigemini.benchmarks.statistics.wilson import wilson


def verdicts(points, images=None, kinds=None):
    return [
        Verdict(str(i), kinds[i] if kinds else "", float(p), "", "", "", str(images[i] if images else i))
        for i, p in enumerate(points)
    ]


def test_interval_of_an_accuracy():
    """0.3 of 400 independent rows: the normal interval is 30 +- 1.96 * sqrt(.3 * .7 / 400) = 25.5..34.5."""
    metric = mean_points("accuracy", verdicts([1] * 120 + [0] * 280))
    half = 196 * math.sqrt(0.3 * 0.7 / 400)
    assert metric.value == pytest.approx(30)
    assert metric.interval == pytest.approx((30 - half, 30 + half), abs=0.6)
    assert metric.interval == metric.interval  # seeded


def test_rows_of_one_image_are_no_more_than_one_image():
    points = [1] * 12 + [0] * 28
    alone = mean_points("a", verdicts(points))
    tenfold = mean_points(
        "a", verdicts([p for p in points for _ in range(10)], [i for i in range(40) for _ in range(10)])
    )
    assert (alone.n, tenfold.n, len(tenfold.images)) == (40, 400, 40)
    assert tenfold.value == alone.value
    assert tenfold.interval == pytest.approx(alone.interval)


def test_one_image_has_no_interval():
    assert mean_points("a", verdicts([1, 0], [0, 0])).interval is None


def test_kinds_of_different_size():
    rows = verdicts([1, 0, 0, 0], kinds=["x", "y", "y", "y"])
    assert [(metric.name, metric.value) for metric in accuracy(rows)] == [("accuracy", 25), ("x", 100), ("y", 0)]
    mean = mean_of_groups("mean", rows, {"x": rows[:1], "y": rows[1:]})
    assert mean.value == 50
    assert np.isfinite(mean.interval).all()  # although some resamples hold no row of x


def test_metrics_over_the_same_images_are_drawn_alike():
    """So that two runs can be compared in pairs: where both answer the same, every resample gives the same."""
    one, other = mean_points("a", verdicts([1, 0, 1, 1])), mean_points("b", verdicts([1, 0, 1, 1]))
    assert (one.resampled == other.resampled).all()


@pytest.mark.parametrize("images", [2, 500, 3000])
def test_the_number_of_resamples(images):
    """They are drawn in blocks; the last of 3000 images' is a small one."""
    metric = mean_points("a", verdicts([i % 2 for i in range(images)]))
    assert metric.resampled.shape == (RESAMPLES,)
    assert abs(metric.resampled.mean() - 50) < 3


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # E.g. R: prop.test(hits, n, correct = FALSE)$conf.int
        (81, 263, 0.2552707, 0.3662064),  # Newcombe 1998, table I: .2553 to .3662
        (15, 148, 0.0624, 0.1605),  # Newcombe 1998: .0624 to .1605
        (0, 20, 0.0, 0.1611),  # Newcombe 1998: 0 to .1611
        (1, 29, 0.0061, 0.1718),  # Newcombe 1998: .0061 to .1718
    ],
)
def test_wilson_as_published(hits, n, low, high):
    assert wilson(hits / n, n) == pytest.approx((low, high), abs=5e-5)


def test_ends_of_wilson_are_exact_and_mirror_each_other():
    assert wilson(0.0, 300)[0] == 0.0
    assert wilson(1.0, 300)[1] == 1.0
    assert wilson(1.0, 300)[0] == pytest.approx(1 - wilson(0.0, 300)[1])
    assert 0.98 < wilson(1.0, 300)[0] < 1.0
