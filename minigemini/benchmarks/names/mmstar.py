"""MMStar (Chen et al. 2024): six categories of 250 questions. Its parquet files have the options in the question.

Asked by the prompt that its authors show (eval/vlmeval/vlm/llava_next.py, 79e6d1c).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from minigemini.benchmarks.benchmark import Benchmark, Cells, Form, Protocol
from minigemini.benchmarks.formats.hub import Hub
from minigemini.benchmarks.formats.lines import Row
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.prompts import LETTER, lettered
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import lmms_letter, option_letter
from minigemini.benchmarks.statistics.metric import mean_of
from minigemini.benchmarks.vlmevalkit_letters import vlmevalkit_letters


def columns(record: Record, number: int) -> Question:
    reference = {"answer": record.gold_text("answer"), "l2_category": record.text("l2_category")}
    return record.question(record.get("index"), record.text("category"), reference)


def with_finer_category(row: Row, fields: Mapping[str, Any]) -> Row:
    """From a table, or from lmms-eval's samples."""
    finer = fields.get("l2_category")
    return {**row, "reference": row["reference"] | ({"l2_category": finer} if finer else {})}


def table(row: Row, cells: Cells) -> list[Row]:
    return [with_finer_category(row, cells)]


def asked(question: Question) -> str:
    """VLMEvalKit's table has the options beside the question."""
    return lettered(question) if question.choices else question.text + LETTER


MMSTAR = Benchmark(
    "mmstar",
    "MMStar",
    sizes={1500: "val"},
    protocols={
        "official": Protocol(
            option_letter.rule(option_letter.mmstar),
            "MMStar's own script: the first character, or after a phrase",
            mean_of("categories"),
            form=Form(asked, 512),
        ),
        "lmms": Protocol(
            lmms_letter.mmstar_rule,
            "lmms-eval: the surest letter of the reply",
            mean_of("finer categories"),
            task="mmstar",
        ),
        "vlmevalkit": replace(vlmevalkit_letters("MMStar"), metrics=mean_of("categories")),
    },
    hub=Hub(("Lin-Chen/MMStar",), ""),
    columns=columns,
    table=table,
    options=True,
    sample=with_finer_category,
)
