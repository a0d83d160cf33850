"""MathVista testmini: its JSON file (data/testmini.json of lupantech/MathVista 53d5258, as in MGM-Eval), and rows of its parquet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from minigemini.benchmarks.formats.image_folder import ImageFolder
from minigemini.benchmarks.formats.lines import read_json
from minigemini.benchmarks.formats.mgm import PROBLEM
from minigemini.benchmarks.prompts import llava
from minigemini.benchmarks.question import Question, cell, text_cell
from minigemini.benchmarks.stored_image import StoredImage


def read_json_file(path: Path, images: Path | None) -> list[Question]:
    """
    Raises:
        ValueError: a problem lacks a column.
        FileNotFoundError: images are missing.
    """
    folder = ImageFolder(path.parent if images is None else images)
    questions = []
    for pid, row in read_json(path).items():
        place = f"{path}, pid {pid}"
        name = text_cell(row, "image", place)
        questions.append(question_of({**row, "pid": pid}, folder.image(name, place), name, place))
    folder.require_all()
    return questions


def question_of(row: Mapping[str, Any], image: StoredImage, name: str, place: str) -> Question:
    """``reference["question"]`` is the whole query: what a judge reads has the hint and the choices in it."""
    missing = [key for key in PROBLEM if key not in row]
    if missing:
        raise ValueError(f"{place}: no column {missing[0]!r}; there are {', '.join(row)}")
    metadata = row.get("metadata") or {}
    problem = {key: row[key] for key in PROBLEM}
    question = Question(
        id=str(cell(row, "pid", place)),
        kind=metadata.get("task", ""),
        text=text_cell(row, "question", place),
        images=(image,),
        reference={**problem, "metadata": metadata, "image": name, "unit": row.get("unit")},
        place=place,
        choices=tuple(row["choices"] or ()),
    )
    return replace(question, reference={**question.reference, "question": llava.mathvista(question)})
