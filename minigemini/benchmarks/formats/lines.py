"""JSONL, one row a line; and our own predictions in it."""

import json
from pathlib import Path
from typing import Any

from minigemini.benchmarks.benchmark import Benchmark

Row = dict[str, Any]
"""``id``, ``kind``, ``prediction``, ``reference``; and what else a format has: ``prompt``, ``question``, ``grade``,
``extraction``, ``row`` (the number of the gold row)."""


def read_text(path: Path) -> str:
    """With the line ends it has; a byte order mark is no part of it. Raises ValueError: it is not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None


def read_jsonl(path: Path) -> list[Row]:
    """Raises ValueError: a line is not a JSON object; its number is named."""
    rows = []
    # not splitlines: it also splits at U+2028, which replies do contain
    for number, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number}: not a JSON object")
        rows.append(row)
    return rows


def read_json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None


def required(row: Row, key: str, path: Path) -> Any:
    """``row[key]``, or a ValueError that names the file and what the row has instead."""
    if key not in row:
        raise ValueError(f"{path}: a row has no {key!r}, but {', '.join(row)}; is this the right --format?")
    return row[key]


def reply_of(row: Row, key: str, path: Path, id: str) -> str:
    """``row[key]``, which must be a text."""
    reply = required(row, key, path)
    if not isinstance(reply, str):
        raise ValueError(f"{path}, row {id!r}: the prediction is {reply!r}, not a text")
    return reply


def gold_row(id: Any, kind: str, **reference: Any) -> Row:
    """As the readers of gold answers give it."""
    return {"id": str(id), "kind": kind, "reference": reference}


def graded_row(id: Any, kind: str, grade: Any) -> Row:
    """Of an answer that only its judge's file has, without the reply."""
    return {**gold_row(id, kind), "prediction": "", "grade": grade}


def read_predictions(path: Path, benchmark: Benchmark) -> list[Row]:
    """predictions.jsonl of ``minigemini eval``: complete by itself."""
    rows = []
    for row in read_jsonl(path):
        reply = reply_of(row, "prediction", path, str(required(row, "id", path)))
        rows.append({**row, **_identified(row, path), "prediction": reply})
    return rows


def read_gold_lines(path: Path) -> list[Row]:
    """Gold answers in our own form: ``{"id", "kind", "reference"}`` a line."""
    return [{**row, **_identified(row, path)} for row in read_jsonl(path)]


def _identified(row: Row, path: Path) -> Row:
    id, reference = str(required(row, "id", path)), required(row, "reference", path)
    if not isinstance(reference, dict):
        raise ValueError(f"{path}, row {id!r}: 'reference' is {reference!r}, not an object")
    return gold_row(id, row.get("kind", ""), **reference)
