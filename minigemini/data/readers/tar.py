"""webdataset's shards: tar files in which the files of one name, side by side, are a record."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minigemini.data.readers.part import PART_BYTES, Part, Raw, digest_of_state
from minigemini.data.readers.sample import is_picture, sample, split_name

BLOCK = 512  # bytes; one of zeros is the end mark


def parts_of(file: Path, records: int) -> Iterator[Part]:
    """
    Raises:
        ValueError: the file is torn, or holds the files of one name in two places.
    """
    found: list[list[Any]] = []  # name, members
    first = size = 0
    seen = set()
    for name, offset, length in members(file):
        key, ending = split_name(name)
        if not found or found[-1][0] != key:
            if key in seen:
                raise ValueError(f"{file}: {name} does not stand beside the other files of its record")
            seen.add(key)
            if len(found) == records or size >= PART_BYTES:
                yield Part(str(file), "tar", first, digest_of_state(file, found), found)
                first, found, size = first + len(found), [], 0
            found.append([key, []])
        found[-1][1].append([ending, offset, length])
        size += length
    if found:
        yield Part(str(file), "tar", first, digest_of_state(file, found), found)


def members(file: Path) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of every file, from the headers alone."""
    whole = file.stat().st_size
    try:
        with tarfile.open(file, "r:") as archive:
            for one in archive:
                if one.offset_data + one.size > whole:
                    raise ValueError(f"{file}: it ends within {one.name}; was its download cut short?")
                if one.isfile():
                    yield one.name, one.offset_data, one.size
            end = archive.offset
        with file.open("rb") as stream:
            stream.seek(end)
            if stream.read(BLOCK) != bytes(BLOCK):
                raise ValueError(f"{file}: it ends without its end mark; was its download cut short?")
    except tarfile.TarError as error:
        raise ValueError(f"{file}: not a whole tar file: {error}") from error


def read(part: Part) -> Iterator[Raw]:
    with open(part.file, "rb") as stream:
        for key, found in part.place:
            content = {}
            for ending, offset, size in found:
                stream.seek(offset)
                content[ending] = stream.read(size)
            texts = {ending: data for ending, data in content.items() if not is_picture(ending)}
            yield sample(key, texts, [content[ending] for ending in sorted(content.keys() - texts.keys())])
