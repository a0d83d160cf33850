"""GQA (Hudson and Manning 2019), testdev balanced."""

from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark, Form, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.lines import Row, read_json
from minigemini.benchmarks.formats.llava_layout import LlavaFolder, question_file
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.prompts import SHORT, followed_by
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import exact_match


def columns(record: Record, number: int) -> Question:
    kind = "open" if record.get("types")["structural"] == "query" else "binary"
    return record.question(record.get("id"), kind, {"answer": record.gold_text("answer")})


def gold(path: Path) -> list[Row]:
    """testdev_balanced_questions.json; the balanced questions of it."""
    return [
        {
            "id": id,
            "kind": "open" if row["types"]["structural"] == "query" else "binary",
            "reference": {"answer": row["answer"], "image": row["imageId"]},
        }
        for id, row in read_json(path).items()
        if row["isBalanced"]
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
        "GQA",
        "testdev",
        "testdev_balanced_instructions",
        "testdev_balanced_images",
        pictures=("id", "imageId"),
    ),
    columns=columns,
    gold=gold,
    llava=LlavaFolder(
        ("gqa",),
        question_file(
            "llava_gqa_testdev_balanced.jsonl",
            "data/images",
            tuple(f"data/{folder}testdev_balanced_questions.json" for folder in ("", "questions1.2/", "questions/")),
            gold,
        ),
    ),
)
