"""Phrases that stand in many records: notices, signatures, advertisements."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar
from zlib import crc32

import numpy as np

from minigemini.filtering.rule import NOTHING, Bounded, Corpus, CorpusRule, Measured
from minigemini.filtering.sample import Sample
from minigemini.filtering.text_rules import n_grams

COUNTERS = 1 << 22
ROWS = 2  # a phrase is counted in each; what others add to it by chance is in the smaller count less often


@dataclass(frozen=True, kw_only=True)
class Boilerplate(Bounded, CorpusRule):
    """The share of all records in which the most frequent phrase of the record's answers stands.

    Phrases are counted in 32 MiB however many there are, so a rare one may count too much by chance (Cormode and Muthukrishnan, "An
    improved data stream summary: the count-min sketch", 2005): with N records of P phrases each by more than ``e N P / 2**22`` in one case
    of seven.

    Attributes:
        words: of a phrase. Captions by a template repeat short ones.
        at_least: records; what stands in fewer is not boilerplate, however few records there are.
    """

    UNIT: ClassVar[str] = "share of records"
    words: int = 8
    at_least: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.words < 1 or self.at_least < 1:
            raise ValueError("words and at_least must be positive")

    def fingerprint(self, sample: Sample) -> list[list[Any]]:
        """Each phrase once: hash, phrase."""
        found = {gram for answer in sample.answers.splitlines() for gram in n_grams(answer, self.words)}
        phrases = sorted(" ".join(gram) for gram in found)
        return [[crc32(phrase.encode()), crc32(phrase[::-1].encode()), phrase] for phrase in phrases]

    def compare(self, fingerprints: Callable[[], Iterable[Any]]) -> PhraseCounts:
        counts = PhraseCounts(self.at_least)
        for one in fingerprints():
            counts.add(one or [])
        return counts


class PhraseCounts(Corpus):
    """In how many records each phrase stands; [ROWS, COUNTERS] int32."""

    def __init__(self, at_least: int) -> None:
        self.at_least = at_least
        self.counts = np.zeros((ROWS, COUNTERS), np.int32)
        self.records = 0

    def add(self, phrases: list[list[Any]]) -> None:
        self.records += 1
        for row in range(ROWS):
            places = {phrase[row] % COUNTERS for phrase in phrases}
            self.counts[row, list(places)] += 1

    def measure(self, fingerprint: list[list[Any]]) -> Measured:
        if not fingerprint:
            return NOTHING
        number, phrase = max(
            (min(int(self.counts[row, one[row] % COUNTERS]) for row in range(ROWS)), one[ROWS]) for one in fingerprint
        )
        share = number / self.records if number >= self.at_least else 0.0
        return Measured(share, f"{phrase!r} in {number} records")
