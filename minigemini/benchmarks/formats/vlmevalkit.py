"""VLMEvalKit's and OpenMMLab's tables, .tsv or .xlsx: questions, gold answers, or results with a column ``prediction``.

Pictures are base64, the index of the row that has them, or paths; a cell with several is a Python list of them. Options are a column
each. What pandas takes for an empty cell is one here: the tools read the tables with it. An option behind an empty one keeps its letter.
"""

import ast
import base64
import binascii
import csv
import hashlib
import io
import sys
from functools import partial
from pathlib import Path
from typing import Any

from minigemini.benchmarks.benchmark import Benchmark, Cells
from minigemini.benchmarks.formats.image_folder import ImageFolder
from minigemini.benchmarks.formats.lines import Row, gold_row, read_text, required
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules.option_letter import LETTERS
from minigemini.benchmarks.stored_image import StoredImage

CELL_LIMIT = 32767  # of an xlsx cell; what is longer was cut when the table was written
INDEX_OF_IMAGE = 64  # a shorter cell is no picture but the index of another row
EMPTY = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA")
    + ("NULL", "NaN", "None", "n/a", "nan", "null")
)


def read(path: Path, benchmark: Benchmark) -> list[Row]:
    """Raises ValueError: no prediction column, or a prediction was cut at the limit of an xlsx cell."""
    rows = []
    for cells, row in rows_of(path, benchmark):
        reply = required(cells, "prediction", path)
        if path.suffix == ".xlsx" and len(reply) >= CELL_LIMIT:
            raise ValueError(
                f"{path}, index {cells['index']}: the prediction was cut at {CELL_LIMIT} characters; use tsv"
            )
        rows.append({**row, "prediction": reply})
    return rows


def read_gold(path: Path, benchmark: Benchmark) -> list[Row]:
    return [row for _, row in rows_of(path, benchmark)]


def read_questions(path: Path, benchmark: Benchmark, images: Path | None) -> list[Question]:
    """
    Args:
        images: the folder of the column ``image_path``; the table's own by default.

    Raises:
        ValueError: a column is missing, a picture is not base64, or a row has none.
        FileNotFoundError: images are missing.
    """
    if isinstance(benchmark.table, str):
        raise ValueError(f"{path}: {benchmark.name} is not read from a tsv; give {benchmark.table}")
    found = rows_of(path, benchmark, ("index", "question"))
    folder = ImageFolder(path.parent if images is None else images)
    questions = []
    for cells, row in found:
        place = f"{path}, index {cells['index']}"
        shown = pictures(cells, folder, place)
        if not shown:
            raise ValueError(f"{place}: the row has no image ('image' and 'image_path' are empty)")
        questions.append(
            Question(
                id=row["id"],
                kind=row["kind"],
                text=cells["question"],
                images=tuple(shown),
                reference=row["reference"],
                place=place,
                choices=tuple(row["reference"]["choices"]),
                hint="" if cells.get("hint") in EMPTY else cells.get("hint", ""),
            )
        )
    folder.require_all()
    return questions


def rows_of(path: Path, benchmark: Benchmark, needed: tuple[str, ...] = ("index",)) -> list[tuple[Cells, Row]]:
    """The benchmark's rows, each with the cells that it was made of (the picture itself in the place of its index).

    Raises:
        ValueError: a column is missing.
    """
    table = read_table(path)
    needed += ("A",) if benchmark.options else ()
    missing = [name for name in needed if not table or name not in table[0]]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]!r}; there are {', '.join(table[0]) if table else 'no rows'}")
    own = {row["index"]: (row["image"], _digest(row["image"])) for row in table if is_picture(row.get("image", ""))}
    found = []
    for cells in table:
        cell = cells.get("image", "")
        # a name for each row's image, the same for the same image; none where the table has no images
        picture, image = own.get(cells["index"]) or own.get(cell) or (cell, cell or cells.get("image_path"))
        if picture:
            cells["image"] = picture
        row = row_of(cells, image, benchmark)
        try:
            of_table = [row] if isinstance(benchmark.table, str) else benchmark.table(row, cells)
        except ValueError as error:
            raise ValueError(f"{path}, {error}") from None
        found += [(cells, one) for one in of_table]
    return found


def row_of(cells: Cells, image: str | None, benchmark: Benchmark) -> Row:
    reference: dict[str, Any] = {"choices": choices_of(cells)}
    answer = cells.get("answer", "")
    if answer:
        reference |= {"answers": parse_list(answer)} if benchmark.several_answers else {"answer": answer}
    if image:
        reference["image"] = image
    known = gold_row(cells["index"], cells.get("category") or "", **reference)
    return {**known, "question": cells.get("question", "")}


def read_table(path: Path) -> list[Cells]:
    """Cells as text, empty ones as ""."""
    if path.suffix == ".xlsx":
        from openpyxl import load_workbook  # a third of a second that nobody else needs

        sheet = load_workbook(path, read_only=True, data_only=True).active
        assert sheet is not None, path
        head, *body = sheet.iter_rows(values_only=True)
        names = [str(name) for name in head]
        return [dict(zip(names, map(_text, cells), strict=True)) for cells in body]
    if path.suffix != ".tsv":
        raise ValueError(f"{path}: VLMEvalKit's tables are .xlsx or .tsv")
    csv.field_size_limit(sys.maxsize)  # a cell can hold a picture
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter="\t")
    return [{name: cell or "" for name, cell in row.items()} for row in rows]


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def choices_of(cells: dict[str, Any]) -> list[str]:
    """The texts of the options A, B, ... up to the last; "" for an empty one before it."""
    choices = ["" if cells.get(letter) in (None, *EMPTY) else str(cells[letter]) for letter in LETTERS]
    while choices and not choices[-1]:
        choices.pop()
    return choices


def parse_list(cell: str) -> list[str]:
    """A cell that is a Python list of texts, or a text alone."""
    if not cell.startswith("["):
        return [cell]
    try:
        found = ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return [cell]  # a text that begins with a bracket
    return [str(item) for item in found] if isinstance(found, list) else [cell]


def pictures(cells: Cells, folder: ImageFolder, place: str) -> list[StoredImage]:
    """Raises ValueError: a picture is not base64, or a short cell is not the index of a row that has one."""
    cell = cells.get("image", "")
    if not cell:
        return [folder.image(name, place) for name in parse_list(cells.get("image_path", "")) if name]
    if not is_picture(cell):
        raise ValueError(f"{place}: column 'image' is {cell!r}, which is no index of a row with a picture")
    return [StoredImage(f"{place}, image {n}", decode(one, place)) for n, one in enumerate(parse_list(cell), 1)]


def decode(encoded: str, place: str) -> partial[bytes]:
    """What decodes it when it is needed, with the head of a ``data:`` URL and line breaks left out; that it can be is tried now."""
    bare = "".join((encoded.partition(",")[2] if encoded.startswith("data:") else encoded).split())
    try:
        base64.b64decode(bare, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{place}: column 'image' is not base64 ({error})") from None
    return partial(base64.b64decode, bare)


def is_picture(cell: str) -> bool:
    return len(cell) > INDEX_OF_IMAGE


def _digest(image: str) -> str:
    return hashlib.sha256(image.encode()).hexdigest()[:16]
