"""JSON Lines: an object a line. Empty lines are no records."""

from collections.abc import Iterator
from pathlib import Path

from minigemini.data.readers.json_list import BYTE_ORDER_MARK
from minigemini.data.readers.part import Part, Raw, decode, digest_of


def parts_of(file: Path, records: int) -> Iterator[Part]:
    with file.open("rb") as stream:
        found: list[bytes] = []
        first = start = end = 0
        for line in stream:
            end += len(line)
            if line.strip():
                found.append(line)
            if len(found) == records:
                yield Part(str(file), "JSON Lines", first, digest_of(found), [start, end])
                first, start, found = first + records, end, []
        if found:
            yield Part(str(file), "JSON Lines", first, digest_of(found), [start, end])


def read(part: Part) -> Iterator[Raw]:
    start, end = part.place
    with open(part.file, "rb") as stream:
        stream.seek(start)
        lines = stream.read(end - start).removeprefix(BYTE_ORDER_MARK).split(b"\n")
    return (decode(line) for line in lines if line.strip())
