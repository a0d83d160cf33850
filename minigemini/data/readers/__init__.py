"""Files of many formats -> parts -> raw records. Which format a file has is decided by what it holds, not by its name.

json_list    LLaVA's, MGM's and ShareGPT's JSON list, read a record at a time
json_lines   one such record a line, OpenAI's messages too
coco         COCO captions
parquet      as data sets lie on the hub, pictures inside; img2dataset's parquet output
tar          webdataset's shards; img2dataset's tar output
loose_files  img2dataset's folders of loose files
sample       the files of one name, in a tar or loose -> a record
part         what a file is cut into

A part is as many records as are prepared at once. Cutting a file in parts (:func:`parts_of`) is quick and done by one process; reading
one (:func:`read`) is done by many, and neither holds more than a part in memory (COCO's one object excepted).
"""

import json
from collections.abc import Iterator
from pathlib import Path

from minigemini.data.readers import coco, json_lines, json_list, loose_files, parquet, tar
from minigemini.data.readers.part import RECORDS, Part, Raw

READERS = {
    "JSON list": json_list,
    "JSON Lines": json_lines,
    "COCO captions": coco,
    "parquet": parquet,
    "tar": tar,
    "loose files": loose_files,
}
MAGIC = {b"PAR1": "parquet", b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd"}
BEGINNING = 512  # bytes that tell: a tar's first header


def files_of(path: Path) -> list[Path]:
    """A file, or the data files of a folder in order: tar shards, else parquet files, else folders of loose files.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: the folder holds none of them.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such data file")
    for pattern in ("*.tar", "*.parquet"):
        # beside its tar files, and beside its loose ones, img2dataset keeps tables that hold no pictures
        found = sorted(path.rglob(pattern))
        if found and not (pattern == "*.parquet" and all(loose_files.holds_samples(f.with_suffix("")) for f in found)):
            return found
    folders = [folder for folder in [path, *sorted(path.iterdir())] if loose_files.holds_samples(folder)]
    if not folders:
        raise ValueError(
            f"{path}: a folder without .tar, .parquet, or pictures beside .txt or .json files of their names; "
            "a JSON file is named itself"
        )
    return folders


def parts_of(file: Path, records: int = RECORDS) -> Iterator[Part]:
    """The parts of one of :func:`files_of`, in order.

    Args:
        records: of a part, at most where the format can be cut there.

    Raises:
        ValueError: it is of no format that is read, or torn.
    """
    return READERS[format_of(file)].parts_of(file, records)  # type: ignore[attr-defined]


def read(part: Part) -> Iterator[Raw]:
    """Its records in order."""
    return READERS[part.format].read(part)  # type: ignore[attr-defined]


def format_of(file: Path) -> str:
    """
    Raises:
        ValueError: none that is read.
    """
    if file.is_dir():
        return "loose files"
    with file.open("rb") as stream:
        beginning = stream.read(BEGINNING)
        for magic, name in MAGIC.items():
            if beginning.startswith(magic):
                if name in ("gzip", "zip", "zstd"):
                    raise ValueError(f"{file}: packed with {name}, which is not read; unpack it")
                return name
        if beginning[257:262] == b"ustar":
            return "tar"
        text = beginning.removeprefix(json_list.BYTE_ORDER_MARK).lstrip()
        if text.startswith(b"["):
            return "JSON list"
        if not text:
            raise ValueError(f"{file}: not valid JSON: " + ("empty" if not beginning else "only white space"))
        if not text.startswith(b"{"):
            raise ValueError(f"{file}: not valid JSON, parquet or tar; it begins with {beginning[:16]!r}")
        stream.seek(0)
        return "JSON Lines" if is_record(stream.readline()) else "COCO captions"


def is_record(line: bytes) -> bool:
    """Whether the first line is an object by itself, and none of COCO's."""
    try:
        found = json.loads(line.removeprefix(json_list.BYTE_ORDER_MARK))
    except ValueError:
        return False
    return not coco.is_coco(found) and not all(isinstance(value, dict) for value in found.values())


__all__ = ["RECORDS", "Part", "Raw", "files_of", "format_of", "parts_of", "read"]
