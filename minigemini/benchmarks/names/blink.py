"""BLINK val (Fu et al. 2024): fourteen tasks, whose mean is published; up to four pictures a question.

Asked by its own ``prompt`` column. (For three tasks eval/test_benchmark.py, 0cca9a3, would put a disclaimer before it, against GPT-4V's
refusals; as written there that line is an error, and no other model had it.)
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from minigemini.benchmarks.benchmark import Benchmark, Form, Protocol
from minigemini.benchmarks.formats.hub import Hub
from minigemini.benchmarks.formats.lines import Row
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import lmms_letter, option_letter
from minigemini.benchmarks.statistics.metric import mean_of
from minigemini.benchmarks.vlmevalkit_letters import vlmevalkit_letters


def columns(record: Record, number: int) -> Question:
    answer = record.gold_text("answer")
    return record.choice(
        record.get("idx"), record.text("sub_task"), answer and answer.strip("()"), record.texts("choices"),
        shown=record.pictures(*record.numbered(4)), asked=record.text("prompt"),
    )  # fmt: skip


def sample(row: Row, fields: Mapping[str, Any]) -> Row:
    """lmms-eval has fourteen tasks (put their files together), each of which counts its rows from 0; their fields have ids."""
    read = {**row, "reference": {"answer": row["reference"]["answer"].strip("()")}}
    if "id" in fields:
        del read["row"]
        read["id"] = str(fields["id"])
    return read


def asked(question: Question) -> str:
    if not question.asked:
        raise ValueError(f"{question.place}: BLINK is asked by its own 'prompt' column, which is not there")
    return question.asked


BLINK = Benchmark(
    "blink",
    "BLINK val",
    sizes={1901: "val"},
    protocols={
        "official": Protocol(
            option_letter.rule_with_choices(option_letter.blink),
            "BLINK's own script without its judge: the letter, or the only one in brackets",
            mean_of("tasks"),
            form=Form(asked, 1024),
        ),
        "lmms": Protocol(
            option_letter.rule_with_choices(lmms_letter.blink),
            "lmms-eval: the letter alone, after 'answer', in brackets, or first",
            mean_of("tasks"),
            task="blink",
        ),
        "vlmevalkit": replace(vlmevalkit_letters("BLINK"), metrics=mean_of("tasks")),
    },
    hub=Hub(("BLINK-Benchmark/BLINK",), "val"),
    columns=columns,
    options=True,
    sample=sample,
)
