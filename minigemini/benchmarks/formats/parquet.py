"""Parquet files as data sets lie on the Hugging Face hub: one file, or a folder of shards whose names begin with the split.

Pictures stay in the file: a column of one group of rows is read when one of its pictures is needed, and the last few are kept. They
are all read once at the start, which finds those that are missing and gives each a name by its content, so that rows about the same
picture are known.

Read with pyarrow itself: ``datasets`` would first copy every file into a cache of its own, and which files are a benchmark's would
still have to be said here.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from minigemini.benchmarks.benchmark import Benchmark
from minigemini.benchmarks.formats.hub import Hub
from minigemini.benchmarks.question import Question, cell, text_cell
from minigemini.benchmarks.stored_image import StoredImage

CHUNKS_KEPT = 4
NAME_DIGITS = 16


Named = tuple[tuple[str, StoredImage], ...]
KEPT_BACK: tuple[Any, ...] = (None, "", "?", "nan", [])  # in the place of a gold answer


@dataclass(frozen=True)
class Record:
    """A row's cells, and the pictures (name, picture) of each column that holds some."""

    row: dict[str, Any]
    images: dict[str, Named]
    place: str

    def get(self, name: str) -> Any:
        return cell(self.row, name, self.place)

    def text(self, name: str) -> str:
        return text_cell(self.row, name, self.place)

    def texts(self, name: str) -> list[str]:
        return [str(value) for value in self.get(name)]

    def gold(self, name: str) -> Any:
        """A gold answer; None where a test split keeps it back."""
        return None if name in self.row and self.row[name] in KEPT_BACK else self.get(name)

    def gold_text(self, name: str) -> str | None:
        return None if self.gold(name) is None else self.text(name)

    def gold_texts(self, name: str) -> list[str] | None:
        return None if self.gold(name) is None else self.texts(name)

    def numbered(self, most: int) -> list[str]:
        """The columns ``image_1``, ``image_2``, ... that there are."""
        return [name for place in range(1, most + 1) if (name := f"image_{place}") in self.images]

    def pictures(self, *columns: str) -> Named:
        """Raises ValueError: a column is not there, or all are empty."""
        missing = [name for name in columns if name not in self.images]
        if missing:
            raise ValueError(f"{self.place}: no column {missing[0]!r} of pictures; there are {', '.join(self.images)}")
        found = tuple(picture for name in columns for picture in self.images[name])
        if not found:
            raise ValueError(f"{self.place}: column {columns[0]!r} is empty, a picture is missing")
        return found

    def question(
        self,
        id: Any,
        kind: str,
        reference: dict[str, Any],
        shown: Named | None = None,
        text: str | None = None,
        **more: Any,
    ) -> Question:
        """From the columns ``question`` and ``image``, unless said otherwise. ``reference["image"]`` becomes a digest of the pictures;
        an answer that is None is left out.
        """
        shown = self.pictures("image") if shown is None else shown
        image = {"image": "+".join(name for name, _ in shown)} if shown else {}
        known = {key: value for key, value in reference.items() if value is not None or not key.startswith("answer")}
        return Question(
            id=str(id),
            kind=kind,
            text=self.text("question") if text is None else text,
            images=tuple(picture for _, picture in shown),
            reference=known | image,
            place=self.place,
            **more,
        )

    def choice(self, id: Any, kind: str, answer: Any, choices: list[str], **more: Any) -> Question:
        return self.question(id, kind, {"answer": answer, "choices": choices}, choices=tuple(choices), **more)


def columns_of(
    id: str | None, kind: str | None, answer: str, several: bool = False
) -> Callable[[Record, int], Question]:
    """Of rows whose pictures and text are in ``image`` and ``question``: the columns of id (none: the row's number), kind and answer."""

    def columns(record: Record, number: int) -> Question:
        gold = {"answers": record.gold_texts(answer)} if several else {"answer": record.gold_text(answer)}
        own = number if id is None else record.get(id)
        return record.question(own, "" if kind is None else record.text(kind), gold)

    return columns


def read(path: Path, benchmark: Benchmark) -> list[Question]:
    """Raises ValueError: pyarrow is not installed, there are no files of the split, a column is missing, or a picture is."""
    assert benchmark.hub is not None, benchmark.name
    assert benchmark.columns is not None, benchmark.name
    files = shards(path, benchmark.hub) if path.is_dir() else [path]
    records = [record for file in files for record in records_of(file)]
    if benchmark.hub.pictures is not None:
        records = with_images(records, *benchmark.hub.pictures)
    asked = [benchmark.columns(record, number) for number, record in enumerate(records)]
    questions = [question for question in asked if question is not None]
    if not questions:
        raise ValueError(f"{path}: no rows")
    return questions


def shards(folder: Path, hub: Hub) -> list[Path]:
    """The files of the benchmark's split and configuration, by name. Raises ValueError: there are none."""
    found = sorted(folder.rglob("*.parquet"))
    of_split = [file for file in found if is_of_split(file, hub)]
    if not of_split:
        names = ", ".join(str(file.relative_to(folder)) for file in found[:5])
        raise ValueError(f"{folder}: no parquet files of the split {hub.split!r}; there are {names or 'none'}")
    chosen = [file for file in of_split if set(hub.configs) & set(file.relative_to(folder).parts[:-1])]
    if chosen or not hub.configs:
        return chosen or of_split
    if len({file.parent for file in of_split}) > 1:
        raise ValueError(
            f"{folder}: several configurations, none of them {' or '.join(hub.configs)}; give one's folder"
        )
    return of_split


def is_of_split(file: Path, hub: Hub) -> bool:
    return not hub.split or file.stem == hub.split or file.name.startswith(f"{hub.split}-")


def open_parquet(file: Path) -> Any:
    """Raises ValueError: pyarrow is not installed, or this is not a parquet file."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ValueError(f"{file}: parquet files need pyarrow: pip install 'minigemini[eval]'") from None
    try:
        return pyarrow.parquet.ParquetFile(file)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{file}: not a parquet file ({error})") from None


def records_of(file: Path) -> Iterator[Record]:
    table = open_parquet(file)
    schema = table.schema_arrow
    pictured = [name for name in schema.names if holds_images(schema.field(name).type)]
    plain = [name for name in schema.names if name not in pictured]
    start = 1
    for group in range(table.num_row_groups):
        count = table.metadata.row_group(group).num_rows
        places = [f"{file}, row {number}" for number in range(start, start + count)]
        rows = table.read_row_group(group, columns=plain).to_pylist() if plain else [{} for _ in places]
        # a column after the other: their pictures need not be in memory together
        images = {name: [read_cell(file, at, group, name, row) for row, at in enumerate(places)] for name in pictured}
        for row, at in enumerate(places):
            yield Record(rows[row], {name: images[name][row] for name in pictured}, at)
        start += count


def holds_images(kind: Any) -> bool:
    """A structure with bytes and path, or a list of them."""
    import pyarrow

    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        return holds_images(kind.value_type)
    return pyarrow.types.is_struct(kind) and {kind.field(i).name for i in range(kind.num_fields)} == {"bytes", "path"}


@lru_cache(maxsize=CHUNKS_KEPT)
def chunk(file: Path, group: int, column: str) -> Any:
    """A column's pictures of one group of rows, encoded; the file is opened anew, as a cached one would stay open."""
    return open_parquet(file).read_row_group(group, columns=[column]).column(column)


def read_cell(file: Path, place: str, group: int, column: str, row: int) -> Named:
    """The pictures of a cell with their names; () for an empty cell. Raises ValueError: there is a path but no picture."""
    found = chunk(file, group, column)[row].as_py()
    cells = found if isinstance(found, list) else [found] if found is not None else []
    if any(not one["bytes"] for one in cells):
        raise ValueError(f"{place}: column {column!r} has the path {cells[0]['path']!r} and no picture")
    return tuple(
        (
            hashlib.sha256(one["bytes"]).hexdigest()[:NAME_DIGITS],
            StoredImage(f"{place}, {column} {index + 1}", partial(encoded, file, group, column, row, index)),
        )
        for index, one in enumerate(cells)
    )


def encoded(file: Path, group: int, column: str, row: int, index: int) -> bytes:
    found = chunk(file, group, column)[row].as_py()
    return (found[index] if isinstance(found, list) else found)["bytes"]


def with_images(records: list[Record], image_id: str, key: str) -> list[Record]:
    """GQA: rows of pictures (id, image) beside rows of questions that name them.

    Raises:
        ValueError: a question's picture is not there.
    """
    pictures = {str(cell(r.row, image_id, r.place)): r.images for r in records if r.images}
    questions = [record for record in records if not record.images]
    for record in questions:
        if text_cell(record.row, key, record.place) not in pictures:
            raise ValueError(f"{record.place}: no row of pictures has the {image_id} {record.row[key]!r}")
    return [Record(record.row, pictures[record.row[key]], record.place) for record in questions]
