"""The check pass: every record is read, its images decoded and its text tokenised before training starts.

It finds *all* problems, each with the name of file and record. Nothing is repaired, shortened or replaced: a bad record
is an error, or, where the recipe says ``on_bad_record: skip``, left out, counted and listed.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minigemini.data.records import BadRecord, Picture, Record, read_records
from minigemini.data.sources import DataRecipe
from minigemini.data.tokens import (
    Processor,
    Tokens,
    assert_marks_answers,
    assert_same_as_processor,
    tokenise,
    tokens_per_image,
)
from minigemini.media import open_image
from minigemini.progress import with_progress

PRINTED_PROBLEMS = 20
Gather = Callable[[Any], list[Any]]


@dataclass(frozen=True)
class CheckedSource:
    """The good records of a source, and the tokens of each (none where no processor was given)."""

    weight: float
    records: list[Record]
    tokens: list[Tokens]
    lengths: np.ndarray  # [records] int32: number of tokens of each, with all of every image


@dataclass(frozen=True)
class CheckedData:
    """What the check pass found: the good records by source, and every bad one in order."""

    sources: list[CheckedSource]
    problems: list[BadRecord]
    validation: list[CheckedSource] = field(default_factory=list)

    def summary(self) -> str:
        """One line for the user: how many good records, with how many images, how long."""
        records = [record for source in self.sources for record in source.records]
        images = sum(len(record.images) for record in records)
        text_only = sum(not record.images for record in records)
        line = f"{len(records):,} good records, {text_only:,} of them text only, {images:,} images"
        lengths = np.concatenate([source.lengths for source in self.sources])
        if held_out := sum(len(source.records) for source in self.validation):
            line += f", {held_out:,} for validation"
        return line + (f"; tokens: median {np.median(lengths):.0f}, longest {lengths.max()}" if len(lengths) else "")


def check(
    recipe: DataRecipe,
    processor: Processor | None,
    share: tuple[int, int] = (0, 1),
    gather: Gather = lambda item: [item],
    show_progress: bool = True,
) -> CheckedData:
    """Check every record of every source.

    Args:
        processor: makes the tokens; without one only records and images are checked.
        share: ``(rank, processes)``: this process decodes and tokenises every ``processes``-th item ...
        gather: ... and gets the results of all, in order of rank, from here. All processes return the same.

    Raises:
        FileNotFoundError: a data file does not exist.
        ValueError: a data file is not a JSON list, or the chat template does not mark the assistant's words.
    """
    rank, processes = share
    listed = [*recipe.sources, *recipe.validation]
    for source in listed:
        if source.made_by is not None and not Path(source.path).is_file():
            raise FileNotFoundError(f"{source.path}: no such data file; this makes it: {source.made_by}")
    parsed = [read_records(source.path, source.image_folder) for source in listed]
    good = {record.name: record for records in parsed for record in records if isinstance(record, Record)}
    reasons = {bad.name: bad.reason for records in parsed for bad in records if isinstance(bad, BadRecord)}

    paths = list(dict.fromkeys(path for record in good.values() for path in record.images))
    broken = _merged(gather(broken_images(paths[rank::processes], show_progress)))
    for name, record in list(good.items()):
        if found := [broken[path] for path in record.images if path in broken]:
            reasons[name] = "; ".join(found)
            del good[name]

    tokens: dict[str, Tokens] = {}
    lengths: dict[str, int] = {}
    if processor is not None:
        assert_marks_answers(processor)
        ours = list(good.values())[rank::processes]
        outcome = _merged(gather(tokenised(ours, processor, show_progress)))
        reasons |= {name: result for name, result in outcome.items() if isinstance(result, str)}
        tokens = {name: result for name, result in outcome.items() if isinstance(result, Tokens)}
        for kind in (True, False):  # one record with images, one without
            some = next((name for name in tokens if bool(good[name].images) == kind), None)
            if some is not None:
                assert_same_as_processor(good[some], tokens[some], processor)
        more = tokens_per_image(processor) - 1
        lengths = {name: len(result.ids) + more * len(good[name].images) for name, result in tokens.items()}
        for name, length in lengths.items():
            if length > recipe.max_length:
                reasons[name] = f"{length} tokens, more than max_length {recipe.max_length}"

    sources = []
    for source, records in zip(listed, parsed, strict=True):
        kept = [record for record in records if isinstance(record, Record) and record.name not in reasons]
        sources.append(
            CheckedSource(
                source.weight,
                kept,
                [tokens[record.name] for record in kept] if tokens else [],
                np.array([lengths[record.name] for record in kept] if lengths else [], dtype=np.int32),
            )
        )
    names = dict.fromkeys(record.name for records in parsed for record in records)
    problems = [BadRecord(name, reasons[name]) for name in names if name in reasons]
    trained = len(recipe.sources)
    return CheckedData(sources[:trained], problems, sources[trained:])


def broken_images(paths: Sequence[Picture], show_progress: bool = True) -> dict[Picture, str]:
    """For each file that cannot be opened as a picture that the processor takes, the reason."""

    def reason(path: Picture) -> str | None:
        try:
            open_image(path)
        except ValueError as error:
            return f"image {error}"
        return None

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as threads:  # threads do: PIL decodes outside Python's lock
        reasons = with_progress(threads.map(reason, paths), "checking images", len(paths), show_progress)
        return {path: text for path, text in zip(paths, reasons, strict=True) if text is not None}


def tokenised(records: Sequence[Record], processor: Processor, show_progress: bool = True) -> dict[str, Tokens | str]:
    """For each record's name its tokens, or the reason why there are none."""
    outcome: dict[str, Tokens | str] = {}
    for record in with_progress(records, "tokenising", len(records), show_progress):
        try:
            outcome[record.name] = tokenise(record, processor)
        except ValueError as error:
            outcome[record.name] = str(error)
    return outcome


def report(problems: Sequence[BadRecord], file: Path) -> str:
    """Write the full list of problems to ``file``, one a line; the words for the user, with the first of them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{problem}\n" for problem in problems), encoding="utf-8")
    shown = [f"  {problem}" for problem in problems[:PRINTED_PROBLEMS]]
    if len(problems) > PRINTED_PROBLEMS:
        shown.append(f"  ... and {len(problems) - PRINTED_PROBLEMS} more")
    return "\n".join([f"{len(problems)} bad records (full list in {file}):", *shown])


def _merged(parts: list[dict]) -> dict:
    return {key: value for part in parts for key, value in part.items()}
