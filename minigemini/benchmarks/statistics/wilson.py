"""How far a measured accuracy can be from the truth, from the number of examples alone."""

from math import sqrt

Z_95 = 1.959963984540054  # 97.5 % quantile of the normal distribution


def wilson(accuracy: float, n: float) -> tuple[float, float]:
    """Wilson's score interval at 95 % (E. B. Wilson, JASA 22, 1927).

    Unlike ``p +- 2 sqrt(p (1 - p) / n)`` it stays inside [0, 1] and is not of width zero at 0 % and 100 %.

    Args:
        accuracy: share of successes, 0..1.
        n: number of examples; not whole where a score is worth that of so many independent examples.
    """
    assert n > 0, n
    assert 0 <= accuracy <= 1, accuracy
    centre = accuracy + Z_95**2 / (2 * n)
    half = Z_95 * sqrt(accuracy * (1 - accuracy) / n + Z_95**2 / (4 * n**2))
    scale = 1 + Z_95**2 / n
    # At the ends the bound is exactly 0 or 1; floating point would give 1 - 1e-16.
    low = 0.0 if accuracy == 0 else (centre - half) / scale
    high = 1.0 if accuracy == 1 else (centre + half) / scale
    return low, high
