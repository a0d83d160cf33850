"""GQA (Hudson and Manning 2019), testdev balanced."""

from collections.abc import Mapping
from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark, Form, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.lines import Row, gold_row, read_json
from minigemini.benchmarks.formats.llava_layout import LlavaFolder, question_file
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.prompts import SHORT, followed_by
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import exact_match

QUESTIONS = tuple(f"data/{one}testdev_balanced_questions.json" for one in ("", "questions1.2/", "questions/"))


def kind_of(types: Mapping[str, str]) -> str:
    return "open" if types["structural"] == "query" else "binary"


def columns(record: Record, number: int) -> Question:
    return record.question(record.get("id"), kind_of(record.get("types")), {"answer": record.gold_text("answer")})


def gold(path: Path) -> list[Row]:
    """testdev_balanced_questions.json; the balanced questions of it."""
    balanced = {id: row for id, row in read_json(path).items() if row["isBalanced"]}
    return [
        gold_row(id, kind_of(row["types"]), answer=row["answer"], image=row["imageId"]) for id, row in balanced.items()
    ]


GQA = Benchmark(
    "gqa",
    "GQA testdev balanced",
    sizes={12578: "testdev balanced"},
    protocols={
        "llava": Protocol(
            exact_match.rule(exact_match.gqa), "GQA's eval.py on LLaVA's conversion", form=Form(followed_by(SHORT), 128)
        ),
        "lmms": Protocol(exact_match.rule(exact_match.lmms_gqa), "lmms-eval: case and punctuation ignored", task="gqa"),
    },
    hub=of_lmms(
        "GQA", "testdev", *(f"testdev_balanced_{of}" for of in ("instructions", "images")), pictures=("id", "imageId")
    ),
    columns=columns,
    gold=gold,
    llava=LlavaFolder(("gqa",), question_file("llava_gqa_testdev_balanced.jsonl", "data/images", QUESTIONS, gold)),
)
