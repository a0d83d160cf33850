"""The gold answers of a benchmark: from the files it is published in, our own lines (.jsonl), or VLMEvalKit's data (.tsv).

Rows have an ``id`` as LLaVA's question files have it, a ``kind``, a ``reference`` and, where ids do not tell rows apart, the question.
"""

from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark
from minigemini.benchmarks.formats import vlmevalkit
from minigemini.benchmarks.formats.lines import Row, read_gold_lines


def read(path: Path, benchmark: Benchmark) -> list[Row]:
    """Raises ValueError: the benchmark's own files cannot be read, and this is neither .jsonl nor .tsv."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.suffix == ".jsonl":
        return read_gold_lines(path)
    if path.suffix == ".tsv":
        return vlmevalkit.read_gold(path, benchmark)
    if benchmark.gold is None:
        raise ValueError(
            f"{path}: gold answers of {benchmark.name} are read from our lines (.jsonl) or VLMEvalKit's data (.tsv)"
        )
    try:
        return benchmark.gold(path)
    except KeyError as error:
        raise ValueError(f"{path}: not the gold answers of {benchmark.name}, {error} is missing") from None
