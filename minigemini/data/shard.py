"""A shard: the good records of a part, tokenised; a file of arrays that is mapped into memory, a page when it is needed.

It is a safetensors file, with n records of T tokens in all:

===============  ==============  ===========================================================================
positions        [n] int64       in the data file
lengths          [n] int32       tokens, with all of every image; 0 where there was no processor
images           [n] int32       number of pictures
ids, trained     [T] int32,bool  tokens, an image being one of them, and whether they are learnt
ends             [n] int64       where those of each record end
text             [.] uint8       each record as JSON; where a picture is inside, its number among them
text_ends        [n] int64
pictures         [.] uint8       the files of pictures that lie inside of parquet and tar files
picture_ends     [.] int64
paths            [.] uint8       of all other pictures, each once: a JSON list
states           [., 2] int64    time of change (ns) and size of each, when it was looked at; -1 for none
problems         [.] uint8       the bad records: a JSON list of position, name and reason
===============  ==============  ===========================================================================
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from minigemini.conversation import from_json, images_of, to_json, with_images
from minigemini.data.records import BadRecord, Picture, Record
from minigemini.data.tokens import Tokens

Columns = dict[str, np.ndarray]
MAPPED = 256  # shards that are held open at a time; the system's limit is often 1,024 files
DTYPES = {"I64": np.int64, "I32": np.int32, "U8": np.uint8, "BOOL": np.bool_}
NO_FILE = (-1, -1)
NOTHING = Tokens(np.empty(0, np.int32), np.empty(0, np.bool_))


@dataclass(frozen=True)
class Shard:
    """In a file, of which it is known when it was written, or in memory."""

    held: Path | Columns
    written: tuple[int, int] = (0, 0)

    @property
    def columns(self) -> Columns:
        return self.held if isinstance(self.held, dict) else mapped(self.held, self.written)

    def record(self, row: int) -> Record:
        columns = self.columns
        found = json.loads(piece(columns["text"], columns["text_ends"], row).tobytes())
        messages = with_images(from_json(found["messages"]), lambda source: picture(columns, source))
        return Record(found["name"], tuple(messages))

    def tokens(self, row: int) -> Tokens:
        columns = self.columns
        ends = columns["ends"]
        return Tokens(piece(columns["ids"], ends, row), piece(columns["trained"], ends, row))

    def problems(self) -> list[tuple[int, BadRecord]]:
        """Position and record."""
        return [(at, BadRecord(name, reason)) for at, name, reason in json.loads(self.columns["problems"].tobytes())]


def picture(columns: Columns, source: str | int) -> Picture:
    return source if isinstance(source, str) else piece(columns["pictures"], columns["picture_ends"], source).tobytes()


def piece(values: np.ndarray, ends: np.ndarray, row: int) -> np.ndarray:
    return values[ends[row - 1] if row else 0 : ends[row]]


def columns_of(
    records: Sequence[tuple[int, Record]],
    tokens: Sequence[Tokens],
    per_image: int,
    problems: Sequence[tuple[int, BadRecord]] = (),
    seen: dict[str, tuple[int, int]] | None = None,
) -> Columns:
    """
    Args:
        records: with their positions.
        tokens: of each record; none at all where there is no processor.
        per_image: tokens.
        seen: state of every file that was looked at as a picture.
    """
    texts: list[bytes] = []
    inside: list[bytes] = []
    for _, record in records:
        numbers: list[Any] = []
        for source in record.images:
            numbers.append(source if isinstance(source, str) else len(inside))
            if isinstance(source, bytes):
                inside.append(source)
        waiting = iter(numbers)
        messages = to_json(record.messages, lambda _, waiting=waiting: next(waiting))  # type: ignore[misc]
        texts.append(json.dumps({"name": record.name, "messages": messages}).encode())
    images = np.array([len(record.images) for _, record in records], np.int32)
    sizes = np.array([len(one.ids) for one in tokens], np.int32)
    seen = seen or {}
    return {
        "positions": np.array([position for position, _ in records], np.int64),
        "lengths": sizes + (per_image - 1) * images if len(tokens) else np.zeros(len(records), np.int32),
        "images": images,
        "ids": np.concatenate([NOTHING.ids, *(one.ids for one in tokens)]).astype(np.int32),
        "trained": np.concatenate([NOTHING.trained, *(one.trained for one in tokens)]),
        "ends": np.cumsum(sizes, dtype=np.int64) if len(tokens) else np.zeros(len(records), np.int64),
        "text": np.frombuffer(b"".join(texts), np.uint8),
        "text_ends": np.cumsum([len(text) for text in texts], dtype=np.int64),
        "pictures": np.frombuffer(b"".join(inside), np.uint8),
        "picture_ends": np.cumsum([len(one) for one in inside], dtype=np.int64),
        "paths": np.frombuffer(json.dumps(list(seen)).encode(), np.uint8),
        "states": np.array(list(seen.values()), np.int64).reshape(-1, 2),
        "problems": np.frombuffer(
            json.dumps([(position, bad.name, bad.reason) for position, bad in problems]).encode(), np.uint8
        ),
    }


def write(columns: Columns, file: Path) -> None:
    """Beside its place and renamed, so that a file of that name is whole."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_bytes(save(columns))
    beside.replace(file)


def stored(file: Path) -> Shard | None:
    """The shard in a file; None where there is none, or not all of it."""
    written = state(file)
    if written == NO_FILE:
        return None
    try:
        opened(file)
    except (ValueError, KeyError):
        return None
    return Shard(file, written)


def is_current(shard: Shard) -> bool:
    """Whether every picture is as it was when it was looked at."""
    columns = shard.columns
    paths = json.loads(columns["paths"].tobytes())
    return np.array_equal(np.array([state(path) for path in paths], np.int64).reshape(-1, 2), columns["states"])


def state(path: str | Path) -> tuple[int, int]:
    """Time of change in nanoseconds, and size in bytes."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # ValueError: a zero byte in a path
        return NO_FILE
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=MAPPED)
def mapped(file: Path, written: tuple[int, int]) -> Columns:
    """
    Args:
        written: when, so that one that was written anew is mapped anew.

    Raises:
        ValueError: it is not there any more, or not all of it.
    """
    if state(file) != written:
        raise ValueError(f"{file}: prepared data changed or went while it was used; start again")
    return opened(file)


def opened(file: Path) -> Columns:
    data = np.asarray(np.memmap(file, np.uint8, "r"))
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    header.pop("__metadata__", None)
    if start + max(entry["data_offsets"][1] for entry in header.values()) != len(data):
        raise ValueError(f"{file}: not a whole shard")
    columns = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        columns[name] = data[start + begin : start + end].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return columns


def picture_paths(records: Sequence[Record]) -> list[str]:
    """Each once."""
    found = (source for record in records for source in images_of(record.messages) if isinstance(source, str))
    return list(dict.fromkeys(found))
