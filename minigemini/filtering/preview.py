"""What each rule would drop at which threshold, before anything is: all records are measured by all rules, each rule alone."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from minigemini.data.records import Record, records_of_part
from minigemini.filtering.judge import BAD_RECORD, Judge
from minigemini.filtering.measure import MeasuredPart
from minigemini.filtering.rule import Measured, is_beyond
from minigemini.filtering.rules import NamedRule
from minigemini.progress import progress_bar

SHARES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)  # of the records that other thresholds are told for
SHOWN = 6  # examples of each kind
Place = tuple[int, int]  # number of the part, row


@dataclass(frozen=True)
class Example:
    place: Place
    measured: Measured


class Nearest:
    """The examples that are nearest to a threshold, or farthest from it, of those in any number."""

    def __init__(self, farthest: bool = False) -> None:
        self.sign = 1 if farthest else -1
        self.heap: list[tuple[float, int, Example]] = []
        self.offered = 0

    def offer(self, distance: float, example: Example) -> None:
        self.offered += 1
        entry = (self.sign * distance, -self.offered, example)  # of equally far ones the first stay
        if len(self.heap) < SHOWN:
            heapq.heappush(self.heap, entry)
        else:
            heapq.heappushpop(self.heap, entry)

    def examples(self) -> list[Example]:
        """Nearest first; or farthest."""
        return [example for _, _, example in sorted(self.heap, key=lambda entry: entry[:2], reverse=True)]


@dataclass
class SidePreview:
    """One threshold of a rule.

    Attributes:
        thresholds: others and the one that is set, from the one that drops least; and how many records each would drop.
    """

    side: str
    bound: float
    thresholds: list[tuple[float, int]] = field(default_factory=list)
    farthest: Nearest = field(default_factory=lambda: Nearest(farthest=True))
    dropped: Nearest = field(default_factory=Nearest)
    kept: Nearest = field(default_factory=Nearest)


@dataclass
class RulePreview:
    """
    Attributes:
        alone: records that it would drop if it were the only rule.
        in_order: that it drops after those before it.
        sides: one for each threshold.
        others: dropped for another reason than a threshold, as what could not be measured.
    """

    named: NamedRule
    sides: list[SidePreview]
    alone: int = 0
    in_order: int = 0
    others: Nearest = field(default_factory=Nearest)
    number_of_others: int = 0


@dataclass(frozen=True)
class Preview:
    read: int
    bad: int
    rules: list[RulePreview]

    @property
    def kept(self) -> int:
        return self.read - self.bad - sum(rule.in_order for rule in self.rules)


def preview(parts: Sequence[MeasuredPart], rules: Sequence[NamedRule], show_progress: bool = True) -> Preview:
    """Nothing is written but what is measured; errors as of :func:`minigemini.filtering.apply.apply_rules`."""
    found = {
        named.name: RulePreview(named, [SidePreview(side, bound) for side, bound in named.rule.bounds()])
        for named in rules
    }
    values = {named.name: array("d") for named in rules}  # 8 bytes a record and rule: all that grows with the data
    ordered, alone = Judge(rules, parts), Judge(rules, parts)
    bad = 0
    with progress_bar(show_progress) as bar:
        shown = bar.add_task("previewing", total=sum(part.records for part in parts))
        for number, part in enumerate(parts):
            for one in ordered.dropped(part).values():
                if one.rule == BAD_RECORD:
                    bad += 1
                else:
                    found[one.rule].in_order += 1
            gone = {row for row, _ in part.bad()}
            rows = [row for row in range(part.records) if row not in gone]
            for named in rules:
                for row, measured, threshold in alone.judge(named, part, rows):
                    note(found[named.name], Example((number, row), measured), threshold)
                    if measured.value is not None:
                        values[named.name].append(measured.value)
            bar.advance(shown, part.records)
    for named in rules:
        for side in found[named.name].sides:
            # those that are less alike than the threshold were not looked for
            least = side.bound if named.rule.SEEN_FROM_THRESHOLD else -np.inf
            side.thresholds = thresholds_of(np.array(values[named.name]), side.side, side.bound, least)
    return Preview(sum(part.records for part in parts), bad, list(found.values()))


def note(rule: RulePreview, example: Example, threshold: str | None) -> None:
    rule.alone += threshold is not None
    value = example.measured.value
    beyond = False
    for side in rule.sides if value is not None else []:
        assert value is not None
        distance = abs(value - side.bound)
        if is_beyond(value, side.side, side.bound):
            beyond = True
            side.dropped.offer(distance, example)
            side.farthest.offer(distance, example)
        else:
            side.kept.offer(distance, example)
    if threshold is not None and not beyond:
        rule.number_of_others += 1
        rule.others.offer(0.0, example)


def thresholds_of(values: np.ndarray, side: str, bound: float, least: float) -> list[tuple[float, int]]:
    """
    Args:
        values: [measured].
        least: of a threshold that can be told.

    Returns:
        Thresholds that drop about each of ``SHARES`` of the records, and ``bound``; how many each drops exactly, each number once.
    """
    ordered = np.sort(values) if side == "min" else -np.sort(-values)
    places = [min(round(share * len(values)), len(values) - 1) for share in SHARES] if len(values) else []
    found = {bound: int(is_beyond_all(values, side, bound).sum())}
    for place in places:
        threshold = float(f"{ordered[place]:.4g}")  # as it is shown, so that whoever copies it drops just so many
        number = int(is_beyond_all(values, side, threshold).sum())
        if number and threshold >= least and number not in found.values():
            found[threshold] = number
    return sorted(found.items(), key=lambda one: one[1])


def is_beyond_all(values: np.ndarray, side: str, bound: float) -> np.ndarray:
    return values < bound if side == "min" else values > bound


def records_at(parts: Sequence[MeasuredPart], places: set[Place]) -> dict[Place, Record]:
    """Of what is shown; a part is read once."""
    found = {}
    for number in sorted({number for number, _ in places}):
        for row, (_, record) in enumerate(records_of_part(parts[number].part, parts[number].image_folder)):
            if (number, row) in places and isinstance(record, Record):
                found[number, row] = record
    return found
