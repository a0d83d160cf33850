"""VLMEvalKit's tables: MODEL_DATASET.xlsx or .tsv with a prediction column, and the data's own TSV.

A result table has the data's columns (index, question, A.., answer, category, l2-category, split), so it brings its gold answers.
Images are base64; of an image that occurs again there is only the index of the row that has it.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minigemini.benchmarks.formats.lines import Row, required
from minigemini.benchmarks.formats.lmms_eval import LIST_OF_ANSWERS
from minigemini.benchmarks.rules.hallusionbench import PLACE
from minigemini.benchmarks.rules.option_letter import LETTERS

Cells = dict[str, str]
CELL_LIMIT = 32767  # of an xlsx cell; what is longer was cut when the table was written
INDEX_OF_IMAGE = 64  # a shorter cell is no picture but the index of another row


def read(path: Path, benchmark: str) -> list[Row]:
    """
    Raises:
        ValueError: no prediction column, or a prediction was cut at the limit of an xlsx cell.
    """
    rows = []
    for cells, image in with_images(read_table(path), benchmark):
        reply = required(cells, "prediction", path)
        if path.suffix == ".xlsx" and len(reply) >= CELL_LIMIT:
            raise ValueError(
                f"{path}, index {cells['index']}: the prediction was cut at {CELL_LIMIT} characters; use tsv"
            )
        rows.append({**row_of(cells, image, benchmark, path), "prediction": reply})
    return rows


def read_gold(path: Path, benchmark: str) -> list[Row]:
    return [row_of(cells, image, benchmark, path) for cells, image in with_images(read_table(path), benchmark)]


def read_table(path: Path) -> list[dict[str, str]]:
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
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [{name: cell or "" for name, cell in row.items()} for row in csv.DictReader(file, delimiter="\t")]


def with_images(table: list[Cells], benchmark: str) -> list[tuple[Cells, str | None]]:
    """Rows and the names of their images. POPE's table has a question that several splits share once, with category
    "adversarial,popular", and the tool counts it in each (utils/yorn.py, POPE_rating): here it is a row a split, whose index ends
    with the split's name.
    """
    rows = list(zip(table, images_of(table), strict=True))
    if benchmark != "pope" or not any("," in cells.get("category", "") for cells in table):
        return rows
    return [
        ({**cells, "index": f"{cells['index']}/{split}", "category": split}, image)
        for cells, image in rows
        for split in cells["category"].split(",")
    ]


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def images_of(table: Iterable[dict[str, str]]) -> list[str | None]:
    """A name for each row's image, the same for the same image; None where the table has no images."""
    table = list(table)
    own = {row["index"]: _digest(row["image"]) for row in table if len(row.get("image", "")) > INDEX_OF_IMAGE}
    named = []
    for row in table:
        cell = row.get("image", "")
        found = own[row["index"]] if row.get("index") in own else own.get(cell, cell)
        named.append(found or row.get("image_path") or None)
    return named


def _digest(image: str) -> str:
    return hashlib.sha256(image.encode()).hexdigest()[:16]


def row_of(cells: dict[str, str], image: str | None, benchmark: str, path: Path) -> Row:
    index = str(required(cells, "index", path))
    reference: dict[str, Any] = {"choices": choices_of(cells)}
    answer = cells.get("answer", "")
    if benchmark == "vizwiz":
        answer = cells.get("answers", answer)
    if answer:
        reference |= {"answers": listed(answer)} if benchmark in LIST_OF_ANSWERS else {"answer": answer}
    if benchmark == "mmmu" and len(listed(answer)) > 1:
        reference["answer"] = listed(answer)  # of an open question; any of them is right
    if image is not None:
        reference["image"] = image
    if benchmark == "hallusionbench":
        reference |= place_of(index, cells, path)
    if benchmark == "mmstar" and cells.get("l2_category"):
        reference["l2_category"] = cells["l2_category"]
    kind = cells.get("split") if benchmark == "chartqa" else cells.get("category")
    if benchmark == "scienceqa":
        reference["is_multimodal"] = True  # its table has the questions with an image only
    return {"id": index, "kind": kind or "", "reference": reference, "question": cells.get("question", "")}


def choices_of(cells: dict[str, str]) -> list[str]:
    """The texts of the options A, B, ... up to the first that is empty."""
    choices = []
    for letter in LETTERS:
        if not cells.get(letter):
            break
        choices.append(cells[letter])
    return choices


def listed(cell: str) -> list[str]:
    """A cell that is a Python list of texts, or a text alone."""
    if not cell.startswith("["):
        return [cell]
    try:
        found = ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return [cell]  # a text that begins with a bracket
    return [str(item) for item in found] if isinstance(found, list) else [cell]


def place_of(index: str, cells: dict[str, str], path: Path) -> dict[str, str]:
    """HallusionBench: set, figure and question are the last three parts of the index."""
    parts = index.split("_")
    if len(parts) < 3:
        raise ValueError(f"{path}, index {index!r}: does not end with the numbers of set, figure and question")
    names = (cells.get("category", ""), cells.get("l2-category", ""), *parts[-3:])
    return dict(zip(PLACE, names, strict=True))
