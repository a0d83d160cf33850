"""The check pass: every record is read, its images decoded and its text tokenised before training starts.

It finds *all* problems, each with the name of file and record. Nothing is repaired, shortened or replaced: a bad record
is an error, or, where the recipe says ``on_bad_record: skip``, left out, counted and listed. With a folder, what it makes is kept
there (``minigemini data prepare``), and found again.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from minigemini.data.card import load_card, missing_files, words_for_missing
from minigemini.data.prepare import (
    Task,
    clear_abandoned,
    digest_of,
    make_all,
    plan,
    ready,
    settings_of,
    tasks_of,
)
from minigemini.data.records import BadRecord, Record
from minigemini.data.shard import Shard, stored
from minigemini.data.sources import DataRecipe, Source
from minigemini.data.tokens import Processor, Tokens, assert_marks_answers, assert_same_as_processor
from minigemini.progress import with_progress

PRINTED_PROBLEMS = 20
T = TypeVar("T")
Gather = Callable[[Any], list[Any]]


def no_numbers() -> np.ndarray:
    return np.empty(0, np.int32)


@dataclass(frozen=True)
class CheckedSource:
    """The good records of a source, which stay in their shards, and their sizes."""

    weight: float
    shards: list[Shard] = field(default_factory=list)
    shard_of: np.ndarray = field(default_factory=no_numbers)  # [records] int32: number of its shard ...
    row_of: np.ndarray = field(default_factory=no_numbers)  # ... and its place there
    lengths: np.ndarray = field(default_factory=no_numbers)  # [records] int32: tokens, with all of every image
    images: np.ndarray = field(default_factory=no_numbers)  # [records] int32: number of pictures

    def __len__(self) -> int:
        return len(self.row_of)

    def record(self, place: int) -> Record:
        return self.shards[self.shard_of[place]].record(self.row_of[place])

    def tokens(self, place: int) -> Tokens:
        """Of no length where there was no processor."""
        return self.shards[self.shard_of[place]].tokens(self.row_of[place])

    def all_tokens(self) -> Iterator[Tokens]:
        for shard, row in zip(self.shard_of.tolist(), self.row_of.tolist(), strict=True):
            yield self.shards[shard].tokens(row)

    def only(self, places: Sequence[int]) -> "CheckedSource":
        """These of its records."""
        chosen = np.array(places, np.int64)
        columns = {name: getattr(self, name)[chosen] for name in ("shard_of", "row_of", "lengths", "images")}
        return replace(self, **columns)


def checked_source(weight: float, shards: list[Shard], max_length: int) -> tuple[CheckedSource, list[BadRecord]]:
    """The records of the shards but those that are too long; and all problems, in order."""
    found: list[list[np.ndarray]] = [[no_numbers()] for _ in range(4)]
    problems: list[BadRecord] = []
    for number, shard in enumerate(shards):
        columns = shard.columns
        lengths = np.array(columns["lengths"])
        rows = np.flatnonzero(lengths <= max_length).astype(np.int32)
        for column, values in zip(
            found, (np.full_like(rows, number), rows, lengths[rows], columns["images"][rows]), strict=True
        ):
            column.append(values)
        here = shard.problems()
        for row in np.flatnonzero(lengths > max_length).tolist():
            reason = f"{lengths[row]} tokens, more than max_length {max_length}"
            here.append((int(columns["positions"][row]), BadRecord(shard.record(row).name, reason)))
        problems += [bad for _, bad in sorted(here, key=lambda one: one[0])]
    return CheckedSource(weight, shards, *map(np.concatenate, found)), problems


@dataclass(frozen=True)
class CheckedData:
    """What the check pass found: the good records by source, and every bad one in order."""

    sources: list[CheckedSource]
    problems: list[BadRecord]
    validation: list[CheckedSource] = field(default_factory=list)
    made: int = 0  # shards that were not there yet ...
    shards: int = 0  # ... of so many

    def summary(self) -> str:
        """One line for the user: how many good records, with how many images, how long."""
        images = np.concatenate([no_numbers(), *(source.images for source in self.sources)])
        lengths = np.concatenate([no_numbers(), *(source.lengths for source in self.sources)])
        line = f"{len(images):,} good records, {(images == 0).sum():,} of them text only, {images.sum():,} images"
        if held_out := sum(len(source) for source in self.validation):
            line += f", {held_out:,} for validation"
        return line + (f"; tokens: median {np.median(lengths):.0f}, longest {lengths.max()}" if lengths.any() else "")


def check(
    recipe: DataRecipe,
    processor: Processor | None,
    share: tuple[int, int] = (0, 1),
    gather: Gather = lambda item: [item],
    show_progress: bool = True,
    folder: Path | None = None,
    workers: int = 0,
) -> CheckedData:
    """Check every record of every source.

    Args:
        processor: makes the tokens; without one only records and images are checked.
        share: ``(rank, processes)``: this process makes every ``processes``-th shard that is not there ...
        gather: ... and gets the results of all, in order of rank, from here. All processes return the same.
        folder: where shards are kept, and found again, of all processes; in memory by default.
        workers: processes that this one may start; as many as it has cores by default.

    Raises:
        FileNotFoundError: a data file does not exist.
        ValueError: a data file is of no format that is read, or the chat template does not mark the assistant's words.
        OSError: no room in the folder.
    """
    rank, processes = share
    listed = [*recipe.sources, *recipe.validation]
    if processor is not None:
        assert_marks_answers(processor)

    def begin() -> list[list[Task]]:
        refuse_missing(listed)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            clear_abandoned(folder)
        settings = digest_of(settings_of(processor))
        return [tasks_of(source, plan(source, folder), settings, folder) for source in listed]

    tasks = together(lambda: begin() if rank == 0 else [], gather)[0]
    distinct = list(dict.fromkeys(task_key(task) for one in tasks for task in one))
    by_key = {task_key(task): task for one in tasks for task in one}
    mine = distinct[rank::processes]
    to_make = together(lambda: [key for key in mine if ready(by_key[key]) is None], gather)
    missing = {key for keys in to_make for key in keys}
    ours = [key for key in distinct if key in missing][rank::processes]

    def work() -> dict[Any, Shard | None]:
        made = make_all([by_key[key] for key in ours], processor, workers or cores())
        shown = with_progress(made, "checking and tokenising", len(ours), show_progress)
        return {key: None if columns is None else Shard(columns) for key, columns in zip(ours, shown, strict=True)}

    in_memory = {key: shard for part in together(work, gather) for key, shard in part.items()}

    def found(task: Task) -> Shard:
        shard = in_memory.get(task_key(task)) or (task.file and stored(task.file))
        if not shard:
            raise ValueError(f"{folder}: process {rank} does not see what another has written; all must share it")
        return shard

    sources, problems = [], []
    for source, one in zip(listed, tasks, strict=True):
        good, bad = checked_source(source.weight, [found(task) for task in one], recipe.max_length)
        sources.append(good)
        problems += bad
    if processor is not None:
        compare_with_processor(sources, processor)
    trained = len(recipe.sources)
    return CheckedData(sources[:trained], problems, sources[trained:], len(missing), len(distinct))


def task_key(task: Task) -> Any:
    return task.file or (task.part.file, task.part.first, task.image_folder)


def refuse_missing(listed: Sequence[Source]) -> None:
    """
    Raises:
        FileNotFoundError: a file is not there of which it is known where it comes from. Of a data recipe all such files are told.
    """
    for source in listed:
        if source.made_by is not None and not Path(source.path).exists():
            raise FileNotFoundError(f"{source.path}: no such data file; this makes it: {source.made_by}")
    parts: dict[tuple[str, str], list[str]] = {}
    for source in listed:
        if source.part_of is not None:
            parts.setdefault((source.part_of.recipe, source.part_of.folder), []).append(source.part_of.part)
    for (recipe, folder), names in parts.items():
        if missing := missing_files(load_card(recipe), Path(folder), names):
            words = words_for_missing(missing, Path(folder))
            raise FileNotFoundError(f"{recipe}: {len(missing)} of its files are not there:\n{words}")


def together(work: Callable[[], T], gather: Gather) -> list[T]:
    """What it returns in every process; an error in one of them is raised in all."""
    outcome: Any
    try:
        outcome = work()
    except (ValueError, OSError) as error:
        outcome = error
    outcomes = gather(outcome)
    for one in outcomes:
        if isinstance(one, Exception):
            raise one
    return outcomes


def compare_with_processor(sources: Sequence[CheckedSource], processor: Processor) -> None:
    """One record with images, and one without."""
    for pictured in (True, False):
        for source in sources:
            places = np.flatnonzero((source.images > 0) == pictured)
            if len(places):
                assert_same_as_processor(source.record(places[0]), source.tokens(places[0]), processor)
                break


def cores() -> int:
    """That this process may use; they are shared with the others that a launcher started on this machine."""
    mine = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, mine // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def report(problems: Sequence[BadRecord], file: Path) -> str:
    """Write the full list of problems to ``file``, one a line; the words for the user, with the first of them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{problem}\n" for problem in problems), encoding="utf-8")
    shown = [f"  {problem}" for problem in problems[:PRINTED_PROBLEMS]]
    if len(problems) > PRINTED_PROBLEMS:
        shown.append(f"  ... and {len(problems) - PRINTED_PROBLEMS} more")
    return "\n".join([f"{len(problems)} bad records (full list in {file}):", *shown])
