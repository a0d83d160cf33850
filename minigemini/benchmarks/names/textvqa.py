"""TextVQA (Singh et al. 2019). LLaVA's and MGM's numbers are with reference OCR tokens in the prompt: 12 points for LLaVA-1.5.

Ids are the images', of which 5000 rows have 3166.
"""

from collections.abc import Sequence
from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark, Form, Line, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.lines import Row, gold_row, read_json
from minigemini.benchmarks.formats.llava_layout import LlavaFolder, question_file
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.prompts import SHORT
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules.vqa_soft_accuracy import m4c_accuracy


def columns(record: Record, number: int) -> Question:
    ocr = tuple(record.texts("ocr_tokens")) if record.row.get("ocr_tokens") is not None else None
    return record.question(record.row.get("image_id", number), "", {"answers": record.gold_texts("answers")}, ocr=ocr)


def gold(path: Path) -> list[Row]:
    """TextVQA_0.5.1_val.json."""
    return [
        {**gold_row(row["image_id"], "", answers=row["answers"], image=row["image_id"]), "question": row["question"]}
        for row in read_json(path)["data"]
    ]


def with_ocr(question: Question) -> str:
    """The line of the tokens stays where there are none (115 of 5000 rows)."""
    if question.ocr is None:
        raise ValueError(
            f"{question.place}: no OCR tokens; LLaVA's and MGM's prompts hold them (12 points for LLaVA-1.5). Give LLaVA's "
            "question file or data with an ocr_tokens column; lmms-eval asks without them"
        )
    return f"{question.text}\nReference OCR token: {', '.join(question.ocr)}{SHORT}"


def notes(lines: Sequence[Line]) -> list[str]:
    if not all("prompt" in line for line in lines):
        return []
    tokens = sum("Reference OCR token" in line["prompt"] for line in lines)
    return [f"{tokens} of {len(lines)} prompts hold reference OCR tokens"]


TEXTVQA = Benchmark(
    "textvqa",
    "TextVQA val",
    sizes={5000: "val"},
    protocols={
        "llava": Protocol(
            m4c_accuracy, "m4c; LLaVA's and MGM's prompts hold reference OCR tokens", form=Form(with_ocr, 128)
        ),
        "lmms": Protocol(m4c_accuracy, "lmms-eval's m4c; its prompts hold no OCR tokens", task="textvqa_val"),
    },
    hub=of_lmms("textvqa", "validation"),
    columns=columns,
    several_answers=True,
    gold=gold,
    llava=LlavaFolder(
        ("textvqa",),
        question_file("llava_textvqa_val_v051_ocr.jsonl", "train_images", ("TextVQA_0.5.1_val.json",), gold),
    ),
    told_by_question=True,
    asked_twice=True,
    notes=notes,
)
