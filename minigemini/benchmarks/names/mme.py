"""MME (Fu et al. 2023): 1187 images with two yes/no questions each, in 14 tasks. A row's id is task/image, and stands for two questions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minigemini.benchmarks.benchmark import Benchmark, Form, Protocol
from minigemini.benchmarks.formats import mme_tool
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.lines import Row, gold_row, read_text
from minigemini.benchmarks.formats.llava_layout import LlavaFolder, present, question_file
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.prompts import yes_or_no
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import mme, yes_no


def task_and_image(id: str) -> str:
    """ "task/image": five tasks keep their images in a folder of their own, which stands between the two in question ids.

    Raises:
        ValueError: there is no "/" in it.
    """
    task, *between = id.split("/")
    if not between:
        raise ValueError(f"the question id {id!r} is no task/image")
    return f"{task}/{between[-1]}"


def columns(record: Record, number: int) -> Question:
    try:
        id = task_and_image(record.text("question_id"))
    except ValueError as error:
        raise ValueError(f"{record.place}: {error}") from None
    question = record.question(id, record.text("category"), {"answer": record.gold_text("answer")})
    question.reference["image"] = id  # pairs are told by it; one picture is in two tasks
    return question


def sample(row: Row, fields: Mapping[str, Any]) -> Row:
    """lmms-eval's question_id is the image's name."""
    image = {"image": str(fields["question_id"])} if "question_id" in fields else {}
    return {**row, "reference": row["reference"] | image}


def release(folder: Path) -> list[Row]:
    """MME_Benchmark_release_version: a text file an image with two lines "question<TAB>Yes"; five tasks keep images and texts apart.

    Raises:
        ValueError: an image has not two questions, or a line is no question and answer.
    """
    rows = []
    for task in (*mme.PERCEPTION, *mme.COGNITION):
        apart = (folder / task / "images").is_dir()
        texts = present(folder / task / "questions_answers_YN" if apart else folder / task)
        pictures = {file.stem: file.name for file in (texts.parent / "images" if apart else texts).iterdir()
                    if file.suffix != ".txt"}  # fmt: skip
        for path in sorted(texts.glob("*.txt")):
            parts = [line.strip().split("\t") for line in read_text(path).split("\n") if line.strip()]
            if len(parts) != 2 or any(len(part) != 2 for part in parts) or path.stem not in pictures:
                raise ValueError(f"{path}: not the two lines 'question<TAB>Yes' or 'No' of an image beside it")
            name = f"{task}/{pictures[path.stem]}"
            for question, answer in parts:
                known = gold_row(name, task, answer=answer, image=name, question=question)
                rows.append({**known, "question": question})
    return rows


def gold(path: Path) -> list[Row]:
    """The images with their texts, or a folder of the tool's files."""
    return release(path) if (path / mme.PERCEPTION[0]).is_dir() else mme_tool.read_gold(path)


MME = Benchmark(
    "mme",
    "MME",
    sizes={2374: "all 14 tasks"},
    protocols={
        "llava": Protocol(mme.rule(yes_no.mme), "MME's eval_tool", mme.metrics, form=Form(yes_or_no, 128)),
        "lmms": Protocol(mme.rule(yes_no.mme_lmms), "lmms-eval's parser", mme.metrics, task="mme"),
        "vlmevalkit": Protocol(
            mme.rule(yes_no.one_of_the_words), "VLMEvalKit's parser, no judge", mme.metrics, task="MME"
        ),
    },
    hub=of_lmms("MME", "test"),
    columns=columns,
    gold=gold,
    llava=LlavaFolder(
        ("MME",),
        question_file("llava_mme.jsonl", "MME_Benchmark_release_version", ("MME_Benchmark_release_version",), release),
    ),
    llava_id=task_and_image,
    sample=sample,
    told_by_question=True,
)
