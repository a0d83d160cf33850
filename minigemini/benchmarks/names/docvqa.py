"""DocVQA (Mathew et al. 2021) and InfoVQA (2022), val; the answers to test are with the Robust Reading Competition."""

from collections.abc import Sequence
from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark, Form, Line, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.parquet import columns_of
from minigemini.benchmarks.prompts import SHORT, followed_by
from minigemini.benchmarks.rules import anls
from minigemini.benchmarks.upload import write_answers


def upload(lines: Sequence[Line], folder: Path) -> Path:
    rows = [{"questionId": int(line["id"]), "answer": line["prediction"]} for line in lines]
    return write_answers(folder / "upload.json", rows)


def make(name: str, title: str, rows: int, config: str) -> Benchmark:
    return Benchmark(
        name,
        title,
        sizes={rows: "val"},
        protocols={
            "lmms": Protocol(
                anls.rule(anls.lmms_similarity),
                "as the competition's script, on the stripped reply",
                form=Form(followed_by(SHORT), 32),
            ),
            "official": Protocol(
                anls.rule(anls.rrc_similarity), "ANLS as the Robust Reading Competition's script computes it"
            ),
            "paper": Protocol(anls.rule(anls.paper_similarity), "ANLS as its paper defines it: exactly one half is 0"),
        },
        hub=of_lmms("DocVQA", "validation", config),
        columns=columns_of("questionId", None, "answers", several=True),
        several_answers=True,
        upload=upload,
    )


DOCVQA = make("docvqa", "DocVQA val", 5349, "DocVQA")
INFOVQA = make("infovqa", "InfoVQA val", 2801, "InfographicVQA")
