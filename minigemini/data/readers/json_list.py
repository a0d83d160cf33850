"""A JSON list of objects, of any size: found object by object, by their brackets alone, without a list of all in memory."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from minigemini.data.readers.part import Part, Raw, decode, digest_of

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
CHUNK = 4 << 20  # bytes that are read at once
GAP = re.compile(rb"[\s,]*")
TO_NEXT_BRACKET = re.compile(
    rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+([{}\[\]])', re.DOTALL
)  # strings are passed over


def parts_of(file: Path, records: int) -> Iterator[Part]:
    """
    Raises:
        ValueError: it is no list of objects, or ends too early.
    """
    with file.open("rb") as stream:
        found: list[tuple[int, bytes]] = []
        first = 0
        for item in objects(stream, file):
            found.append(item)
            if len(found) == records:
                yield part(file, first, found)
                first, found = first + records, []
        if found:
            yield part(file, first, found)


def part(file: Path, first: int, found: list[tuple[int, bytes]]) -> Part:
    start, (last, text) = found[0][0], found[-1]
    return Part(str(file), "JSON list", first, digest_of(text for _, text in found), [start, last + len(text)])


def read(part: Part) -> Iterator[Raw]:
    start, end = part.place
    with open(part.file, "rb") as stream:
        stream.seek(start)
        text = stream.read(end - start)
    for _, one in objects(BytesIO(b"[" + text + b"]"), Path(part.file)):
        yield decode(one)


def objects(stream: BinaryIO, file: Path) -> Iterator[tuple[int, bytes]]:
    """Where each object begins, and its text, which need be no valid JSON inside.

    Raises:
        ValueError: something else stands between them, or the list does not end; ``file`` is named.
    """
    text, before = stream.read(CHUNK), 0  # bytes of the file in front of `text`
    opening = re.match(rb"(?:\xef\xbb\xbf)?\s*\[", text)
    assert opening, "the format is decided by it"
    at, number = opening.end(), 0
    while True:
        gap = GAP.match(text, at)
        assert gap, "matches nothing too"
        start = gap.end()
        end = None
        if text[start : start + 1] == b"{":
            end = end_of_object(text, start)
        elif text[start : start + 1] == b"]":
            rest = text[start + 1 :] + stream.read()
            if b"," in gap[0] or rest.strip():
                raise ValueError(f"{file}: not valid JSON: {(gap[0] + text[start:])[:40]!r} after record {number - 1}")
            return
        elif start < len(text):
            raise ValueError(
                f"{file}: expected a JSON list of objects; record {number} begins with {text[start : start + 20]!r}"
            )
        if end is None:
            more = stream.read(max(CHUNK, len(text) - at))
            if not more:
                raise ValueError(
                    f"{file}: not valid JSON: it ends in or before record {number}; was its download cut short?"
                )
            text, before, at = text[at:] + more, before + at, 0
            continue
        if gap[0].count(b",") != (number > 0):
            raise ValueError(f"{file}: not valid JSON: {gap[0][:20]!r} before record {number}")
        yield before + start, text[start:end]
        at, number = end, number + 1


def end_of_object(text: bytes, start: int) -> int | None:
    """Behind the bracket that closes the one at ``start``; None where the text ends before it."""
    depth, at = 0, start
    while bracket := TO_NEXT_BRACKET.match(text, at):
        depth += 1 if bracket[1] in b"{[" else -1
        at = bracket.end()
        if depth == 0:
            return at
    return None
