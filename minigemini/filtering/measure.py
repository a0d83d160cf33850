"""The first pass: every record is read, and looked at by each rule that needs no other record and no model, on all cores."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from typing import Any

from minigemini.data import readers
from minigemini.data.prepare import end_with_parent
from minigemini.data.records import Record, records_of_part
from minigemini.filtering.measured_files import file_of, key_of, read_json, write_json
from minigemini.filtering.rule import CorpusRule, Measured, Rule, SampleRule
from minigemini.filtering.sample import Sample
from minigemini.progress import progress_bar

RECORDS = 256  # of a part: what is looked at again after being killed
WORTH_PROCESSES = 4  # parts: starting a process takes as long as looking at some of them


@dataclass(frozen=True)
class MeasuredPart:
    """
    Attributes:
        key: of what it holds, and of its pictures' states.
        records: how many.
    """

    part: readers.Part
    image_folder: str | None
    folder: Path
    key: str
    records: int

    def names(self) -> list[str]:
        return read_json(names_file(self.folder, self.key))["names"]

    def bad(self) -> list[tuple[int, str]]:
        """Rows that are no records, and why."""
        return [(row, reason) for row, reason in read_json(names_file(self.folder, self.key))["bad"]]

    def found(self, rule: SampleRule | CorpusRule) -> list[Any]:
        """Of each row what :func:`look_at` returned, None of a bad one."""
        return read_json(file_of(self.folder, self.key, rule))


@dataclass(frozen=True)
class Task:
    part: readers.Part
    image_folder: str | None
    folder: Path
    rules: tuple[SampleRule | CorpusRule, ...]


def parts_of(data: Path) -> list[readers.Part]:
    """
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of no format that is read, torn or empty.
    """
    parts = [part for file in readers.files_of(data) for part in readers.parts_of(file, RECORDS)]
    if not parts:
        raise ValueError(f"{data}: holds no record")
    return parts


def measure(
    parts: Sequence[readers.Part],
    image_folder: str | None,
    rules: Sequence[Rule],
    folder: Path,
    workers: int,
    show_progress: bool = True,
) -> list[MeasuredPart]:
    """What is measured already is found in ``folder``."""
    own = tuple(rule for rule in rules if isinstance(rule, SampleRule | CorpusRule))
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [Task(part, image_folder, folder, own) for part in parts]
    measured = []
    with progress_bar(show_progress) as bar:
        shown = bar.add_task("measuring", total=about(parts))
        for one in measure_all(tasks, workers):
            measured.append(one)
            bar.advance(shown, one.records)
        bar.update(shown, total=sum(one.records for one in measured))
    return measured


def about(parts: Sequence[readers.Part]) -> int:
    """How many records; of the last part of a file only the end of it tells."""
    following = [*parts[1:], None]
    return sum(
        after.first - part.first if after and after.file == part.file else RECORDS
        for part, after in zip(parts, following, strict=True)
    )


def measure_all(tasks: Sequence[Task], workers: int) -> Iterator[MeasuredPart]:
    """In order."""
    if workers < 2 or len(tasks) < WORTH_PROCESSES:
        yield from map(measure_part, tasks)
        return
    # spawned: a process that was forked from one with threads, or with a GPU in use, may hang
    with ProcessPoolExecutor(min(workers, len(tasks)), get_context("spawn"), start_worker) as pool:
        yield from pool.map(measure_part, tasks)


def start_worker() -> None:
    Thread(target=end_with_parent, daemon=True).start()


def measure_part(task: Task) -> MeasuredPart:
    records = [record for _, record in records_of_part(task.part, task.image_folder)]
    key = key_of(task.part, task.image_folder, records)
    missing = [rule for rule in task.rules if not file_of(task.folder, key, rule).is_file()]
    found: list[list[Any]] = [[] for _ in missing]
    for record in records if missing else []:
        # one sample at a time: its pictures are let go before the next one's are opened
        sample = Sample(record) if isinstance(record, Record) else None
        for rule, column in zip(missing, found, strict=True):
            column.append(None if sample is None else look_at(sample, rule))
    for rule, column in zip(missing, found, strict=True):
        write_json(column, file_of(task.folder, key, rule))
    names = names_file(task.folder, key)
    if not names.is_file():
        bad = [(row, record.reason) for row, record in enumerate(records) if not isinstance(record, Record)]
        write_json({"names": [record.name for record in records], "bad": bad}, names)
    return MeasuredPart(task.part, task.image_folder, task.folder, key, len(records))


def look_at(sample: Sample, rule: SampleRule | CorpusRule) -> list[Any]:
    """``[value, note, failed]``, or ``[fingerprint]``."""
    try:
        if isinstance(rule, CorpusRule):
            return [rule.fingerprint(sample)]
        return as_list(rule.measure(sample))
    except ValueError as error:
        return as_list(Measured(None, str(error), failed=True))


def as_list(measured: Measured) -> list[Any]:
    return [measured.value, measured.note, measured.failed]


def names_file(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"
