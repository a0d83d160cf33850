"""JSONL, one row a line; and our own predictions in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]
"""``id``, ``kind``, ``prediction``, ``reference``; and what else a format has: ``prompt``, ``question``, ``grade``,
``extraction``, ``row`` (the number of the gold row)."""


def read_jsonl(path: Path) -> list[Row]:
    """
    Raises:
        ValueError: a line is not a JSON object; its number is named.
    """
    rows = []
    # not splitlines: it also splits at U+2028, which replies do contain
    for number, text in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
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
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None


def required(row: Row, key: str, path: Path) -> Any:
    """``row[key]``, or a ValueError that names the file and what the row has instead."""
    if key not in row:
        raise ValueError(f"{path}: a row has no {key!r}, but {', '.join(row)}; is this the right --format?")
    return row[key]


def read_predictions(path: Path, benchmark: str) -> list[Row]:
    """predictions.jsonl of ``minigemini eval``: complete by itself."""
    rows = read_jsonl(path)
    for row in rows:
        for key in ("id", "prediction", "reference"):
            required(row, key, path)
        row["id"] = str(row["id"])
        row.setdefault("kind", "")
        if not isinstance(row["prediction"], str):
            raise ValueError(f"{path}, row {row['id']!r}: the prediction is {row['prediction']!r}, not a text")
    return rows


def read_gold_lines(path: Path) -> list[Row]:
    """Gold answers in our own form: ``{"id", "kind", "reference"}`` a line."""
    rows = read_jsonl(path)
    return [
        {
            **row,
            "id": str(required(row, "id", path)),
            "kind": row.get("kind", ""),
            "reference": required(row, "reference", path),
        }
        for row in rows
    ]
