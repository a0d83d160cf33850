"""LLaVA-Bench, in the wild (Liu et al. 2023): 60 questions, asked as they are; a judge grades GPT-4's answer and the model's."""

from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark, Form, Line, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.lines import Row, gold_row, graded_row, read_jsonl, required
from minigemini.benchmarks.formats.llava_layout import LlavaFolder, question_file
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.judge import Ask, Judge, Said, with_answer
from minigemini.benchmarks.prompts import bare
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import llava_bench
from minigemini.benchmarks.rules.verdict import reference_of


def joined(caption: str | list[str]) -> str:
    return caption if isinstance(caption, str) else "\n".join(caption)


def columns(record: Record, number: int) -> Question:
    reference = {"answer": record.gold_text("gpt_answer"), "context": joined(record.get("caption"))}
    return record.question(record.get("question_id"), record.text("category"), reference)


def gold(path: Path) -> list[Row]:
    """A folder with questions.jsonl, context.jsonl and answers_gpt4.jsonl, for a judge."""
    captions = {row["image"]: row["caption"] for row in read_jsonl(path / "context.jsonl")}
    answers = {row["question_id"]: row["text"] for row in read_jsonl(path / "answers_gpt4.jsonl")}
    rows = []
    for row in read_jsonl(path / "questions.jsonl"):
        id, image = row["question_id"], row["image"]
        known = {"answer": answers[id], "question": row["text"], "context": joined(captions[image]), "image": image}
        rows.append(gold_row(id, row["category"], **known))
    return rows


def grades(path: Path) -> list[Row]:
    """eval_gpt_review_bench.py's JSONL of question_id, category, content and tuple."""
    rows = read_jsonl(path)
    kinds = [str(required(row, "category", path)).removeprefix("llava_bench_") for row in rows]
    return [graded_row(required(row, "question_id", path), kind, row) for row, kind in zip(rows, kinds, strict=True)]


JUDGE_PROMPT = """\
Two assistants were shown a picture and asked about it. You do not see the picture; the description below says what is in it.

[Description of the picture]
{context}

[Question]
{question}

[Answer of assistant 1]
{answer}

[Answer of assistant 2]
{prediction}

[What to do]
Grade each answer from 1 (useless) to 10 (excellent) by how helpful, relevant, correct and detailed it is, given the \
description. Neither the order of the two nor their length as such may count. The first line of your reply holds the two \
grades and nothing else: assistant 1's, a space, assistant 2's. Explain them in the lines below."""


def judge_fields(line: Line) -> dict[str, str]:
    """``answer`` is GPT-4's, from the description of the picture, which is ``context``."""
    return with_answer(line) | {"context": str(reference_of(line, "context"))}


def judge(ask: Ask, prompt: str, line: Line) -> Said:
    """Temperature 0.2, 1024 tokens, one try (LLaVA c121f04). The scorer reads the two grades off the first line."""
    review, model = ask(prompt, 0.2, 1024)
    return {"grade": {"content": review}, "model": model}


LLAVA_BENCH = Benchmark(
    "llava_bench",
    "LLaVA-Bench (in the wild)",
    sizes={60: "all"},
    protocols={
        "llava": Protocol(
            llava_bench.rule, "grades against the reference answers'", llava_bench.metrics, form=Form(bare, 1024)
        )
    },
    hub=of_lmms("llava-bench-in-the-wild", "train"),
    columns=columns,
    table="LLaVA's folder or parquet files",
    gold=gold,
    llava=LlavaFolder(("llava-bench-in-the-wild",), question_file("questions.jsonl", "images", (".",), gold)),
    grades=grades,
    judge=Judge(
        JUDGE_PROMPT,
        judge_fields,
        judge,
        {"grade": {"content": ""}},
        system="You are a helpful and precise assistant for checking the quality of the answer.",  # LLaVA c121f04
    ),
)
