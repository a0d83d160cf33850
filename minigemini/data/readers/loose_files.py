"""Folders in which the files of one name are a record: img2dataset's output in files."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from minigemini.data.readers.part import Part, Raw, digest_of
from minigemini.data.readers.sample import is_picture, sample, split_name

LOOKED_AT = 1000  # files of a folder that tell what it is


def holds_samples(folder: Path) -> bool:
    """Whether a picture and words of one name lie in it."""
    if not folder.is_dir():
        return False
    endings: dict[str, set[str]] = {}
    for entry in islice(os.scandir(folder), LOOKED_AT):
        key, ending = split_name(entry.name)
        endings.setdefault(key, set()).add("picture" if is_picture(ending) else ending)
    return any("picture" in found and found & {"txt", "json"} for found in endings.values())


def parts_of(file: Path, records: int) -> Iterator[Part]:
    """
    Args:
        file: the folder.
    """
    entries = sorted((entry for entry in os.scandir(file) if entry.is_file()), key=lambda entry: entry.name)
    found: dict[str, list[os.DirEntry]] = {}
    for entry in entries:
        found.setdefault(split_name(entry.name)[0], []).append(entry)
    samples = list(found.values())
    for first in range(0, len(samples), records):
        place = [[entry.name for entry in one] for one in samples[first : first + records]]
        states = [(entry.name, entry.stat()) for one in samples[first : first + records] for entry in one]
        digest = digest_of(f"{name} {state.st_size} {state.st_mtime_ns}\n".encode() for name, state in states)
        yield Part(str(file), "loose files", first, digest, place)


def read(part: Part) -> Iterator[Raw]:
    folder = Path(part.file)
    for names in part.place:
        key = split_name(names[0])[0]
        pictures = [name for name in names if is_picture(split_name(name)[1])]
        texts = {split_name(name)[1]: (folder / name).read_bytes() for name in names if name not in pictures}
        yield sample(key, texts, [str((folder / name).absolute()) for name in pictures])
