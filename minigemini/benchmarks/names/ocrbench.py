"""OCRBench (Liu et al. 2024): 1000 questions, asked as they are."""

from minigemini.benchmarks.benchmark import Benchmark, Form, Protocol
from minigemini.benchmarks.formats.hub import Hub
from minigemini.benchmarks.formats.parquet import columns_of
from minigemini.benchmarks.prompts import bare
from minigemini.benchmarks.rules import containment

OCRBENCH = Benchmark(
    "ocrbench",
    "OCRBench",
    sizes={1000: "all"},
    protocols={
        "official": Protocol(
            containment.rule, "the answer is in the reply; points", containment.metrics, form=Form(bare, 128)
        ),
        "lmms": Protocol(
            containment.lmms_rule, "lmms-eval: full-width characters folded", containment.metrics, task="ocrbench"
        ),
    },
    hub=Hub(("echo840/OCRBench",), "test"),
    columns=columns_of(None, "question_type", "answer", several=True),
    several_answers=True,
)
