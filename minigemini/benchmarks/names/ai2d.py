"""AI2D test (Kembhavi et al. 2016), with the labels masked or not, many points apart."""

from minigemini.benchmarks.benchmark import Benchmark, Form, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.names.mmmu import options_of
from minigemini.benchmarks.prompts import lettered
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import lmms_letter, option_letter
from minigemini.benchmarks.rules.option_letter import LETTERS
from minigemini.benchmarks.vlmevalkit_letters import vlmevalkit_letters


def columns(record: Record, number: int) -> Question:
    answer = record.gold("answer")
    return record.choice(number, "", None if answer is None else LETTERS[int(answer)], options_of(record))


AI2D = Benchmark(
    "ai2d",
    "AI2D test",
    sizes={3088: "test"},
    protocols={
        "lmms": Protocol(
            option_letter.rule(lmms_letter.ai2d),
            "lmms-eval: the reply is the letter, or begins with it and a period",
            form=Form(lettered, 16),
        ),
        "vlmevalkit": vlmevalkit_letters("AI2D_TEST"),
    },
    hub=of_lmms("ai2d", "test"),
    columns=columns,
    options=True,
)
