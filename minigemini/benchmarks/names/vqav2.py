"""VQAv2 (Goyal et al. 2017). LLaVA's question file is that of test-dev, whose answers EvalAI keeps (challenge 830): they are written
for upload. With the authors' files of val in the folder, val is asked and scored.
"""

from collections.abc import Sequence
from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark, Form, Line, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.image_folder import ImageFolder
from minigemini.benchmarks.formats.lines import Row, gold_row, read_json
from minigemini.benchmarks.formats.llava_layout import LlavaFolder, present, unanswered_file
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.prompts import SHORT, followed_by
from minigemini.benchmarks.question import Question, cell, text_cell
from minigemini.benchmarks.rules.vqa_soft_accuracy import (
    lmms_vqav2_accuracy,
    m4c,
    official_accuracy,
    uploaded_accuracy,
)
from minigemini.benchmarks.upload import write_answers

TEST, VAL = "llava_vqav2_mscoco_test-dev2015.jsonl", "v2_OpenEnded_mscoco_val2014_questions.json"


def columns(record: Record, number: int) -> Question:
    answers = record.gold("answers")
    answers = None if answers is None else [str(one["answer"]) for one in answers]
    kind = "" if answers is None else record.text("answer_type")
    return record.question(record.get("question_id"), kind, {"answers": answers})


def answers_of(row: Row) -> list[str]:
    """Of the ten people."""
    return [one["answer"] for one in row["answers"]]


def gold(path: Path) -> list[Row]:
    """v2_mscoco_val2014_annotations.json."""
    return [
        gold_row(row["question_id"], row["answer_type"], answers=answers_of(row), image=str(row["image_id"]))
        for row in read_json(path)["annotations"]
    ]


def read_folder(benchmark: Benchmark, folder: Path, images: Path | None) -> list[Question]:
    path = folder / VAL
    if not path.exists() and (folder / TEST).exists():
        return unanswered_file(TEST, "test2015")(benchmark, folder, images)
    answers = {row["id"]: row for row in gold(present(folder / "v2_mscoco_val2014_annotations.json"))}
    shown = ImageFolder(images or folder / "val2014")
    questions = []
    for number, row in enumerate(cell(read_json(present(path)), "questions", str(path)), start=1):
        place = f"{path}, row {number}"
        id = str(cell(row, "question_id", place))
        if id not in answers:
            raise ValueError(f"{place}: question {id} has no annotation")
        name = f"COCO_val2014_{int(cell(row, 'image_id', place)):012d}.jpg"
        text, image, known = text_cell(row, "question", place), shown.image(name, place), answers[id]
        questions.append(Question(id, known["kind"], text, (image,), known["reference"] | {"image": name}, place))
    if len(questions) != len(answers):
        raise ValueError(f"{path}: {len(questions)} questions for {len(answers)} annotations")
    shown.require_all()
    return questions


def upload(lines: Sequence[Line], folder: Path) -> Path:
    """As LLaVA cleans them. EvalAI wants all of test2015: the questions that were not asked with an empty answer."""
    rows = [{"question_id": int(line["id"]), "answer": m4c(line["prediction"])} for line in lines]
    return write_answers(folder / "upload.json", rows)


VQAV2 = Benchmark(
    "vqav2",
    "VQAv2",
    sizes={214354: "val"},
    protocols={
        "llava": Protocol(
            uploaded_accuracy,
            "the server's rule for an upload cleaned by m4c; test-dev needs EvalAI",
            form=Form(followed_by(SHORT), 128),
            misses_gold=True,  # ten times "t-shirt" is compared as it is, and the reply has lost its hyphen
        ),
        "official": Protocol(official_accuracy, "the official tool on the reply as it is"),
        "lmms": Protocol(
            lmms_vqav2_accuracy, "lmms-eval: the official cleaning, of equal answers too", task="vqav2_val"
        ),
    },
    hub=of_lmms("VQAv2", "validation"),
    columns=columns,
    table="LLaVA's folder or parquet files",
    several_answers=True,
    gold=gold,
    llava=LlavaFolder(("vqav2",), read_folder),
    upload=upload,
)
