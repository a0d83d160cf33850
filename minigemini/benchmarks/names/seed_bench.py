"""SEED-Bench, the images (Li et al. 2023). One of their questions is in the list twice."""

from collections.abc import Iterator
from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark, Form, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.lines import Row, gold_row, read_json
from minigemini.benchmarks.formats.llava_layout import LlavaFolder, question_file, read_rows
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.prompts import lettered
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import lmms_letter, option_letter
from minigemini.benchmarks.vlmevalkit_letters import vlmevalkit_letters


def columns(record: Record, number: int) -> Question | None:
    """The file has the frames of the videos too."""
    if record.row.get("data_type") == "video":
        return None
    choices = [str(record.get(f"choice_{letter}")) for letter in "abcd"]
    return record.choice(record.get("question_id"), record.text("data_type"), record.gold_text("answer"), choices)


def gold(path: Path) -> list[Row]:
    """SEED-Bench.json: images and videos, as the kind."""
    rows = []
    for row in read_json(path)["questions"]:
        choices, image = [row[f"choice_{letter}"] for letter in "abcd"], str(row["data_id"])
        rows.append(gold_row(row["question_id"], row["data_type"], answer=row["answer"], choices=choices, image=image))
    return rows


def llava_rows(path: Path) -> Iterator[Row]:
    """LLaVA's file has the videos' middle frames too."""
    return (row for row in read_rows(path) if not row["image"].startswith("SEED-Bench-video-image"))


def gold_of_images(path: Path) -> list[Row]:
    return [row for row in gold(path) if row["kind"] == "image"]


SEED_BENCH = Benchmark(
    "seed_bench",
    "SEED-Bench, image",
    sizes={14233: "image"},
    protocols={
        "llava": Protocol(
            option_letter.rule(option_letter.exact),
            "LLaVA's upload: the reply is the letter; not SEED's likelihood protocol",
            form=Form(lettered, 128),
        ),
        "lmms": Protocol(
            option_letter.rule(lmms_letter.seed_bench), "lmms-eval: the first character", task="seedbench"
        ),
        "vlmevalkit": vlmevalkit_letters("SEEDBench_IMG"),
    },
    hub=of_lmms("SEED-Bench", "test"),
    columns=columns,
    options=True,
    gold=gold,
    llava=LlavaFolder(
        ("seed_bench",),
        question_file("llava-seed-bench.jsonl", ".", ("SEED-Bench.json",), gold_of_images, llava_rows),
    ),
    asked_twice=True,
)
