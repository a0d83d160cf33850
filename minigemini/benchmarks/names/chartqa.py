"""ChartQA test (Masry et al. 2022): 1250 questions by people, 1250 made from captions."""

from minigemini.benchmarks.benchmark import Benchmark, Cells, Form, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.lines import Row
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.prompts import followed_by
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import relaxed_accuracy


def columns(record: Record, number: int) -> Question:
    answer = record.gold("answer")
    answers = None if answer is None else [str(one) for one in (answer if isinstance(answer, list) else [answer])]
    return record.question(number, record.text("type"), {"answers": answers})


def table(row: Row, cells: Cells) -> list[Row]:
    return [{**row, "kind": cells.get("split") or ""}]


CHARTQA = Benchmark(
    "chartqa",
    "ChartQA test",
    sizes={2500: "test"},
    protocols={
        "lmms": Protocol(
            relaxed_accuracy.rule,
            "relaxed accuracy of the stripped reply",
            relaxed_accuracy.metrics,
            form=Form(followed_by("\nAnswer the question with a single word."), 16),
        )
    },
    hub=of_lmms("ChartQA", "test"),
    columns=columns,
    table=table,
    several_answers=True,
)
