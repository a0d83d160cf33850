"""RealWorldQA (xAI 2024): the question asks for the bare letter, word or number itself, and holds its options where it has some."""

from minigemini.benchmarks.benchmark import Benchmark, Form, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.parquet import columns_of
from minigemini.benchmarks.prompts import with_options_inside
from minigemini.benchmarks.rules import exact_match
from minigemini.benchmarks.vlmevalkit_letters import vlmevalkit_letters

REALWORLDQA = Benchmark(
    "realworldqa",
    "RealWorldQA",
    sizes={765: "test"},
    protocols={
        "official": Protocol(
            exact_match.rule(exact_match.realworldqa),
            "the reply is the answer that the question asks for",
            form=Form(with_options_inside, 16),
        ),
        "lmms": Protocol(
            exact_match.rule(exact_match.lmms_realworldqa),
            "lmms-eval: the surest letter of the reply, or the word",
            task="realworldqa",
        ),
        "vlmevalkit": vlmevalkit_letters("RealWorldQA"),
    },
    hub=of_lmms("RealWorldQA", "test"),
    columns=columns_of(None, None, "answer"),
    options=True,
)
