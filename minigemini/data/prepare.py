"""Sources -> shards: every record is read, its pictures decoded and its text tokenised, a part at a time and on all cores.

A shard's name is a digest of all that it was made from: tokenizer, chat template, versions, where its part lies and what it holds. So what
has not changed is found, and not made again; a shard is written beside its place and renamed, so that whoever is killed goes on where
they were. Pictures are looked at once more only if their file's size or time of change is another.
"""

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import PIL
import tokenizers
import transformers

from minigemini.data import readers
from minigemini.data.records import BadRecord, Picture, Record, records_of_part
from minigemini.data.shard import (
    Columns,
    Shard,
    columns_of,
    is_current,
    picture_paths,
    state,
    stored,
    write,
)
from minigemini.data.sources import Source
from minigemini.data.tokens import Processor, Tokens, tokenise, tokens_per_image
from minigemini.media import open_image

FORMAT = 1  # of a shard; another one, and all are made anew
WORTH_PROCESSES = 16  # parts: starting a process takes as long as tokenising a few of them
PICTURES_KNOWN = 100_000  # by each process, so that one picture in many records is decoded once
ABANDONED = 3600.0  # seconds: nobody takes so long to write a shard
INSIDE = "(inside the data file)"


@dataclass(frozen=True)
class Task:
    """A part, and where its shard goes."""

    part: readers.Part
    image_folder: str | None
    file: Path | None  # None: it stays in memory


def plan(source: Source, folder: Path | None) -> list[readers.Part]:
    """The parts of a source. With a folder, those of a file that has not changed are kept there.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of no format that is read, torn or empty.
    """
    parts = [part for file in readers.files_of(Path(source.path)) for part in kept_parts(file, folder)]
    if not parts:
        raise ValueError(f"{source.path}: holds no record")
    return parts


def kept_parts(file: Path, folder: Path | None) -> list[readers.Part]:
    if folder is None or file.is_dir():  # a folder's state does not tell of changes in its files
        return list(readers.parts_of(file, readers.RECORDS))
    note = folder / f"{digest_of(['plan', FORMAT, str(file), str(file.absolute())])}.json"
    now = [*state(file), readers.RECORDS]
    if note.is_file():
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["state"] == now:
            return [readers.Part(**part) for part in known["parts"]]
    parts = list(readers.parts_of(file, readers.RECORDS))
    beside = note.with_name(f".{note.name}.{os.getpid()}")
    beside.write_text(json.dumps({"state": now, "parts": [asdict(part) for part in parts]}), encoding="utf-8")
    beside.replace(note)
    return parts


def digest_of(settings: Any) -> str:
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:32]


def settings_of(processor: Processor | None) -> list[Any]:
    """All that a record's tokens, and whether its pictures can be read, depend on beside the record."""
    versions: list[Any] = [FORMAT, PIL.__version__]
    if processor is None:
        return versions
    tokenizer = processor.tokenizer
    words = tokenizer.backend_tokenizer.to_str() if tokenizer.is_fast else sorted(tokenizer.get_vocab().items())
    return [
        *versions,
        *(transformers.__version__, tokenizers.__version__),
        *(type(tokenizer).__name__, words, tokenizer.special_tokens_map, tokenizer.bos_token_id),
        *(processor.chat_template, processor.image_token, processor.image_token_id, tokens_per_image(processor)),
    ]


def tasks_of(source: Source, parts: Sequence[readers.Part], settings: str, folder: Path | None) -> list[Task]:
    """
    Args:
        settings: digest of them.
    """
    tasks = []
    for part in parts:
        made_from = [settings, source.image_folder, part.file, part.format, part.first, part.digest]
        file = None if folder is None else folder / f"{digest_of(made_from)}.safetensors"
        tasks.append(Task(part, source.image_folder, file))
    return tasks


def ready(task: Task) -> Shard | None:
    """The shard, if it is there and its pictures have not changed."""
    shard = None if task.file is None else stored(task.file)
    return shard if shard is not None and is_current(shard) else None


@dataclass(frozen=True)
class Making:
    """What a process makes shards with."""

    processor: Processor | None
    per_image: int  # tokens
    threads: int  # that decode pictures


def make_all(tasks: Sequence[Task], processor: Processor | None, workers: int) -> Iterator[Columns | None]:
    """Make the shards, on ``workers`` processes where there is enough for them to do; in order, those that stay in memory."""
    per_image = 1 if processor is None else tokens_per_image(processor)
    if workers < 2 or len(tasks) < WORTH_PROCESSES:
        yield from (make(task, Making(processor, per_image, threads=workers)) for task in tasks)
        return
    # spawned: a process that was forked from one with threads, or with a GPU in use, may hang
    making = Making(processor, per_image, threads=1)
    with ProcessPoolExecutor(min(workers, len(tasks)), get_context("spawn"), start_worker, (making,)) as pool:
        yield from pool.map(make_in_worker, tasks)


OF_THIS_WORKER: list[Making] = []


def start_worker(making: Making) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    OF_THIS_WORKER.append(making)


def end_with_parent() -> None:
    """A parent that was killed does not leave its workers behind."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def make_in_worker(task: Task) -> Columns | None:
    return make(task, OF_THIS_WORKER[0])


def make(task: Task, making: Making) -> Columns | None:
    columns = make_columns(task.part, task.image_folder, making)
    if task.file is None:
        return columns
    write(columns, task.file)
    return None


def make_columns(part: readers.Part, image_folder: str | None, making: Making) -> Columns:
    """Of the records of a part: the good ones, and what is wrong with the others."""
    read = list(records_of_part(part, image_folder))
    problems = [(position, record) for position, record in read if isinstance(record, BadRecord)]
    records = [(position, record) for position, record in read if isinstance(record, Record)]
    seen = {path: state(path) for path in picture_paths([record for _, record in records])}
    broken = broken_pictures([record for _, record in records], seen, making.threads)
    good: list[tuple[int, Record]] = []
    tokens: list[Tokens] = []
    for position, record in records:
        found = [broken[one] for one in record.images if one in broken]
        try:
            if found:
                raise ValueError("; ".join(found))
            if making.processor is not None:
                tokens.append(tokenise(record, making.processor))
            good.append((position, record))
        except ValueError as error:
            problems.append((position, BadRecord(record.name, str(error))))
    return columns_of(good, tokens, making.per_image, sorted(problems, key=lambda one: one[0]), seen)


def broken_pictures(records: Sequence[Record], seen: dict[str, tuple[int, int]], threads: int) -> dict[Picture, str]:
    """For each that cannot be opened as a picture that the processor takes, the reason."""
    pictures = list(dict.fromkeys(picture for record in records for picture in record.images))

    def reason(picture: Picture) -> str | None:
        return why_broken(picture) if isinstance(picture, bytes) else why_file_is_broken(picture, seen[picture])

    with ThreadPoolExecutor(threads) as pool:  # threads do: PIL decodes outside Python's lock
        reasons = list(pool.map(reason, pictures))
    return {picture: text for picture, text in zip(pictures, reasons, strict=True) if text is not None}


@lru_cache(maxsize=PICTURES_KNOWN)
def why_file_is_broken(path: str, state: tuple[int, int]) -> str | None:
    return why_broken(path)


def why_broken(picture: Picture) -> str | None:
    try:
        open_image(picture, INSIDE if isinstance(picture, bytes) else None)
    except ValueError as error:
        return f"image {error}"
    return None


def clear_abandoned(folder: Path) -> None:
    """What was being written by processes that were killed."""
    for file in folder.glob(".*"):
        if time.time() - state(file)[0] / 1e9 > ABANDONED:
            file.unlink(missing_ok=True)
