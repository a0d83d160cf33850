import pytest

from minigemini.benchmarks.statistics.wilson import wilson


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
def test_as_published(hits, n, low, high):
    assert wilson(hits / n, n) == pytest.approx((low, high), abs=5e-5)


def test_ends_are_exact_and_mirror_each_other():
    assert wilson(0.0, 300)[0] == 0.0
    assert wilson(1.0, 300)[1] == 1.0
    assert wilson(1.0, 300)[0] == pytest.approx(1 - wilson(0.0, 300)[1])
    assert 0.98 < wilson(1.0, 300)[0] < 1.0
