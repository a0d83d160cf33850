"""Parquet files, as data sets lie on the hub: a row a record, with columns as LLaVA's JSON has keys, and pictures inside."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minigemini.data.readers.part import PART_BYTES, Part, Raw, digest_of_state

AT_ONCE = 64  # rows that are unpacked together
PICTURE_COLUMNS = ("jpg", "jpeg", "png", "webp")  # img2dataset names the column by what it encodes


def parts_of(file: Path, records: int) -> Iterator[Part]:
    """A part is one group of rows or more.

    Raises:
        ValueError: pyarrow is not installed, or the file is torn.
    """
    with open_parquet(file) as table:
        first = rows = size = start = 0
        for group in range(table.metadata.num_row_groups):
            rows += table.metadata.row_group(group).num_rows
            size += table.metadata.row_group(group).total_byte_size
            if rows >= records or size >= PART_BYTES or group == table.metadata.num_row_groups - 1:
                place = [start, group + 1]
                yield Part(str(file), "parquet", first, digest_of_state(file, place), place)
                first, rows, size, start = first + rows, 0, 0, group + 1


def read(part: Part) -> Iterator[Raw]:
    with open_parquet(Path(part.file)) as table:
        for batch in table.iter_batches(AT_ONCE, row_groups=list(range(*part.place))):
            for row in batch.to_pylist():
                yield as_record(row)


def as_record(row: dict[str, Any]) -> Raw:
    """The columns that hold something, pictures as bytes where they are inside."""
    for column in PICTURE_COLUMNS:
        if column in row and "image" not in row:
            if row[column] is None:
                return ValueError(f"img2dataset has no picture here: {row.get('error_message') or row.get('status')}")
            row["image"] = row.pop(column)
    for key in ("image", "images"):
        if isinstance(row.get(key), list):
            row[key] = [picture(one) for one in row[key]]
        elif key in row:
            row[key] = picture(row[key])
    return {key: value for key, value in row.items() if value is not None}


def picture(cell: Any) -> Any:
    """``{"bytes", "path"}`` is how ``datasets`` writes a picture."""
    if isinstance(cell, dict) and cell.keys() == {"bytes", "path"}:
        return cell["path"] if cell["bytes"] is None else cell["bytes"]
    return cell


def open_parquet(file: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError(f"{file}: parquet files need pyarrow: pip install 'minigemini[data]'") from error
    try:
        return pyarrow.parquet.ParquetFile(file)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise ValueError(f"{file}: not a whole parquet file: {error}") from error
