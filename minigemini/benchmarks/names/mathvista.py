"""MathVista testmini (Lu et al. 2024). The published number needs a language model that finds the answer in the reply."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from minigemini.benchmarks.benchmark import Benchmark, Form, Line, Protocol
from minigemini.benchmarks.formats import mgm
from minigemini.benchmarks.formats.hub import Hub
from minigemini.benchmarks.formats.image_folder import ImageFolder
from minigemini.benchmarks.formats.lines import Row, gold_row, read_json, reply_of, required
from minigemini.benchmarks.formats.llava_layout import LlavaFolder, present
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.judge import Ask, Judge, Said
from minigemini.benchmarks.judge import question_of as question_for_judge
from minigemini.benchmarks.prompts import options
from minigemini.benchmarks.question import Question, cell, text_cell
from minigemini.benchmarks.rules import mathvista
from minigemini.benchmarks.rules.verdict import NOTHING
from minigemini.benchmarks.stored_image import StoredImage

PROBLEM = ("question_type", "answer_type", "precision", "choices", "answer")
HINT = "Hint: Please answer the question "
HINTS = {  # by the type of the answer and the places of a decimal
    ("text", None): "and provide the correct option letter, e.g., A, B, C, D, at the end.",
    ("integer", None): "requiring an integer answer and provide the final value, e.g., 1, 2, 3, at the end.",
    ("float", 1): "requiring a floating-point number with one decimal place and provide the final value, "
    "e.g., 1.2, 1.3, 1.4, at the end.",
    ("float", 2): "requiring a floating-point number with two decimal places and provide the final value, "
    "e.g., 1.23, 1.34, 1.45, at the end.",
    ("list", None): "requiring a Python list as an answer and provide the final list, "
    "e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the end.",
}


def query(question: Question) -> str:
    """MathVista's (53d5258, build_query.py) with no examples and without the "Solution: " that is never appended."""
    kind, precision = question.reference["answer_type"], question.reference["precision"]
    key = (kind, int(precision) if kind == "float" and precision is not None else None)
    if key not in HINTS:
        raise ValueError(f"{question.place}: MathVista has no prompt for {kind!r} with {precision!r} decimal places")
    unit = f" (Unit: {question.reference['unit']})" if question.reference.get("unit") else ""
    choices = f"\nChoices:\n{options(question.choices, '({}) {}')}" if question.choices else ""
    # the tool strips the query it has put together
    return f"{HINT}{HINTS[key]}\nQuestion: {question.text}{unit}{choices}".strip()


def question_of(row: Mapping[str, Any], image: StoredImage, name: str, place: str) -> Question:
    """``reference["question"]`` is the whole query: what a judge reads has the hint and the choices in it. The answers to test are ""."""
    missing = [key for key in PROBLEM if key not in row]
    if missing:
        raise ValueError(f"{place}: no column {missing[0]!r}; there are {', '.join(row)}")
    metadata = row.get("metadata") or {}
    problem = {key: row[key] for key in PROBLEM if key != "answer" or row[key] not in (None, "")}
    question = Question(
        id=str(cell(row, "pid", place)),
        kind=metadata.get("task", ""),
        text=text_cell(row, "question", place),
        images=(image,),
        reference={**problem, "metadata": metadata, "image": name, "unit": row.get("unit")},
        place=place,
        choices=tuple(row["choices"] or ()),
    )
    return replace(question, reference={**question.reference, "question": query(question)})


def columns(record: Record, number: int) -> Question:
    ((_, picture), *_) = record.pictures("decoded_image")
    return question_of(record.row, picture, record.text("image"), record.place)


def read_folder(benchmark: Benchmark, folder: Path, images: Path | None) -> list[Question]:
    """testmini.json (data/testmini.json of lupantech/MathVista 53d5258, as in MGM-Eval)."""
    path = present(folder / "testmini.json")
    shown = ImageFolder(images or folder)
    questions = []
    for pid, row in read_json(path).items():
        place = f"{path}, pid {pid}"
        name = text_cell(row, "image", place)
        questions.append(question_of({**row, "pid": pid}, shown.image(name, place), name, place))
    shown.require_all()
    return questions


def problem_of(row: Row, path: Path) -> Row:
    image = {"image": row["image"]} if "image" in row else {}
    asked = row.get("query") or row.get("question")  # for a judge, with the hint and the choices if it can be
    question = {"question": asked} if asked else {}
    return {key: required(row, key, path) for key in PROBLEM} | {"metadata": row.get("metadata", {})} | image | question


def gold(path: Path) -> list[Row]:
    """data/testmini.json."""
    return [gold_row(pid, row["metadata"]["task"], **problem_of(row, path)) for pid, row in read_json(path).items()]


def mgm_row(row: Row, path: Path) -> Row:
    """The problem with its response and, after extract_answer.py, as ``{pid: problem}`` with the extraction."""
    id = str(required(row, "pid", path))
    reply = reply_of(row, "response", path, id)
    extraction = {"extraction": row["extraction"]} if "extraction" in row else {}
    known = gold_row(id, row.get("metadata", {}).get("task", ""), **problem_of(row, path))
    return {**known, "prediction": reply, **extraction}


def grades(path: Path) -> list[Row]:
    """MGM's rows, after extract_answer.py."""
    return mgm.read(path, MATHVISTA)


JUDGE_PROMPT = """\
A model was asked the question below and replied. Say which final answer the reply gives; do not solve the question, and \
do not correct the reply. For a question with choices give the letter of the choice that the reply settles on. Else give the \
number or list that it ends with, in the form that the question's hint asks for, without units. If the reply gives no answer \
at all, write: none

[Question]
{question}

[Reply]
{prediction}

The answer alone, without any other word: """


def judge_fields(line: Line) -> dict[str, str]:
    return {"question": question_for_judge(line), "prediction": line["prediction"]}


def judge_is_needed(line: Line) -> bool:
    return mathvista.exactly(line["prediction"], line["reference"]) is NOTHING


def judge(ask: Ask, prompt: str, line: Line) -> Said:
    """What the scorer reads as the published one does, but for "none", which there would be taken for the choice nearest to that
    word. Nothing is asked about an empty reply, as in the tool.
    """
    if not line["prediction"].strip():
        return {"extraction": "", "no_answer": True}
    extraction, model = ask(prompt, 0.0, 256)
    extraction = extraction.strip()
    if extraction.lower().rstrip(".") == "none" and extraction not in line["reference"]["choices"]:
        return {"extraction": "", "no_answer": True, "model": model}
    return {"extraction": extraction, "model": model}


ASKED = Form(query, 1024)
MATHVISTA: Benchmark = Benchmark(
    "mathvista",
    "MathVista testmini",
    sizes={1000: "testmini"},
    protocols={
        "llava": Protocol(
            mathvista.rule,
            "MathVista's scorer on a judge's extractions",
            mathvista.metrics,
            form=ASKED,
            fallback=mathvista.nearest_to_nothing,
        ),
        "rules": Protocol(
            mathvista.rule_without_judge, "our rules instead of a judge: another number", mathvista.metrics, form=ASKED
        ),
    },
    hub=Hub(("AI4Math/MathVista",), "testmini"),
    columns=columns,
    table="testmini.json or parquet files",
    gold=gold,
    llava=LlavaFolder(("MathVista",), read_folder),
    mgm_row=mgm_row,
    grades=grades,
    judge=Judge(JUDGE_PROMPT, judge_fields, judge, {"extraction": ""}, judge_is_needed),
)
