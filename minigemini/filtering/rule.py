"""What a rule is: it measures a record, and drops it where the value is not within its thresholds.

Three kinds, by what they have to see: a :class:`SampleRule` one record; a :class:`CorpusRule` what the others are like; a
:class:`BatchRule` many at once, because a model does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from minigemini.filtering.sample import Sample


@dataclass(frozen=True, slots=True)
class Measured:
    """
    Attributes:
        value: None: the rule says nothing of this record, as the resolution of one without pictures, or could not measure.
        note: what the value was found in; or why it could not be measured.
        failed: it could not be measured, and nothing passes that was not.
    """

    value: float | None
    note: str = ""
    failed: bool = False


NOTHING = Measured(None)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """
    Attributes:
        UNIT: of its value, for people.
        SEEN_FROM_THRESHOLD: values that its threshold lets pass are not all told as they are, so that no looser one can be previewed.
    """

    UNIT: ClassVar[str] = ""
    SEEN_FROM_THRESHOLD: ClassVar[bool] = False

    def threshold(self, measured: Measured) -> str | None:
        """The threshold that the record is dropped for, ``"min 3"``, or that it could not be measured; None: it stays."""
        return "must be measured" if measured.failed else None

    def depends_on(self) -> list[str]:
        """Files that its values depend on, beside those that its fields name."""
        return []

    def bounds(self) -> list[tuple[str, float]]:
        """``("min", 3.0)``: each threshold that is set."""
        return []


@dataclass(frozen=True, kw_only=True)
class Bounded(Rule):
    """
    Attributes:
        min, max: the least and the greatest value that stay.
    """

    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        if self.min is None and self.max is None:
            raise ValueError("neither min nor max: it would drop nothing")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is more than max {self.max:g}: it would drop everything")

    def threshold(self, measured: Measured) -> str | None:
        if measured.failed or measured.value is None:
            return super().threshold(measured)
        for side, bound in self.bounds():
            if is_beyond(measured.value, side, bound):
                return f"{side} {bound:g}"
        return None

    def bounds(self) -> list[tuple[str, float]]:
        return [(side, bound) for side, bound in (("min", self.min), ("max", self.max)) if bound is not None]


def is_beyond(value: float, side: str, bound: float) -> bool:
    return value < bound if side == "min" else value > bound


class SampleRule(Rule):
    """Looks at one record; in a process of its own."""

    def measure(self, sample: Sample) -> Measured:
        """
        Raises:
            ValueError: it cannot be measured; the record is dropped for that.
        """
        raise NotImplementedError


class CorpusRule(Rule):
    """Compares records by what is kept of each: its fingerprint."""

    def fingerprint(self, sample: Sample) -> Any:
        """What is compared, as JSON can hold it; errors as of :meth:`SampleRule.measure`."""
        raise NotImplementedError

    def compare(self, fingerprints: Callable[[], Iterable[Any]]) -> Corpus:
        """
        Args:
            fingerprints: those of all records, each time it is called; None for what has none.
        """
        raise NotImplementedError


class Corpus:
    """What a record is compared with."""

    def measure(self, fingerprint: Any) -> Measured:
        raise NotImplementedError

    def keep(self, fingerprint: Any, name: str) -> None:
        """The record passed the rule; those behind it are compared with it too."""


class BatchRule(Rule):
    """Asks a model, which is loaded when the first record comes to it."""

    BATCH: ClassVar[int] = 32

    def load(self) -> Callable[[Sequence[Sample]], list[Measured]]:
        """
        Raises:
            ValueError: there is no such model.
        """
        raise NotImplementedError
