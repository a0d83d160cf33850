"""The second pass: rules in their order, a part of the data at a time; what one drops, those behind it do not see."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from minigemini.data.records import Record, records_of_part
from minigemini.filtering.measure import MeasuredPart, as_list
from minigemini.filtering.measured_files import file_of, read_json, write_json
from minigemini.filtering.rule import BatchRule, Corpus, CorpusRule, Measured, SampleRule
from minigemini.filtering.rules import NamedRule
from minigemini.filtering.sample import Sample

BAD_RECORD = "bad_record"
Judged = tuple[int, Measured, str | None]
"""Row, what was measured, and the threshold that it is dropped for."""


@dataclass(frozen=True)
class Dropped:
    """A line of the log."""

    record: str
    rule: str
    value: float | None
    threshold: str
    note: str


class Judge:
    """The rules, what they compare records with, and the models that they have loaded.

    Args:
        parts: all of the data.
    """

    def __init__(self, rules: Sequence[NamedRule], parts: Sequence[MeasuredPart]) -> None:
        self.rules = rules
        self.parts = parts
        self.corpora: dict[str, Corpus] = {}
        self.models: dict[str, Callable[[Sequence[Sample]], list[Measured]]] = {}

    def dropped(self, part: MeasuredPart) -> dict[int, Dropped]:
        """By row, the record's first rule that drops it. To be called for all parts in order."""
        names = part.names()
        dropped = {row: Dropped(names[row], BAD_RECORD, None, "must be a record", why) for row, why in part.bad()}
        for named in self.rules:
            rows = [row for row in range(part.records) if row not in dropped]
            for row, measured, threshold in self.judge(named, part, rows):
                if threshold is not None:
                    dropped[row] = Dropped(names[row], named.name, measured.value, threshold, measured.note)
        return dropped

    def judge(self, named: NamedRule, part: MeasuredPart, rows: Sequence[int]) -> Iterator[Judged]:
        """One rule, of these rows of a part; to be called for all parts in order."""
        rule = named.rule
        if isinstance(rule, CorpusRule):
            yield from self._compare(named, rule, part, rows)
            return
        measured: Iterable[tuple[int, Measured]]
        if isinstance(rule, BatchRule):
            measured = self._ask(named, rule, part, rows).items()
        else:
            assert isinstance(rule, SampleRule)
            found = part.found(rule)
            measured = ((row, Measured(*found[row])) for row in rows)
        for row, one in measured:
            yield row, one, rule.threshold(one)

    def _compare(self, named: NamedRule, rule: CorpusRule, part: MeasuredPart, rows: Sequence[int]) -> Iterator[Judged]:
        if named.name not in self.corpora:
            self.corpora[named.name] = rule.compare(lambda: fingerprints(self.parts, rule))
        corpus, found, names = self.corpora[named.name], part.found(rule), part.names()
        for row in rows:
            whole = len(found[row]) == 1
            measured = corpus.measure(found[row][0]) if whole else Measured(*found[row])
            threshold = rule.threshold(measured)
            if whole and threshold is None:
                corpus.keep(found[row][0], names[row])
            yield row, measured, threshold

    def _ask(self, named: NamedRule, rule: BatchRule, part: MeasuredPart, rows: Sequence[int]) -> dict[int, Measured]:
        """What a model said before is kept, as far as it was asked."""
        file = file_of(part.folder, part.key, rule)
        known = {int(row): Measured(*one) for row, one in read_json(file).items()} if file.is_file() else {}
        missing = [row for row in rows if row not in known]
        if missing:
            if named.name not in self.models:
                self.models[named.name] = rule.load()
            records = [record for _, record in records_of_part(part.part, part.image_folder)]
            for start in range(0, len(missing), rule.BATCH):
                chosen = missing[start : start + rule.BATCH]
                samples = [Sample(record) for row in chosen if isinstance(record := records[row], Record)]
                known.update(zip(chosen, self.models[named.name](samples), strict=True))
            write_json({row: as_list(one) for row, one in sorted(known.items())}, file)
        return {row: known[row] for row in rows}


def fingerprints(parts: Sequence[MeasuredPart], rule: CorpusRule) -> Iterator[Any]:
    for part in parts:
        for found in part.found(rule):
            yield found[0] if found is not None and len(found) == 1 else None
