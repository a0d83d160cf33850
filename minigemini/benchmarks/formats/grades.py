"""Files in which a judge's grades are stored; they stand for the answers, which need not be there."""

from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark
from minigemini.benchmarks.formats.lines import Row


def read(path: Path, benchmark: Benchmark) -> list[Row]:
    """Raises ValueError: the benchmark has no such files."""
    if benchmark.grades is None:
        raise ValueError(f"{benchmark.name} has no judge whose grades are stored in a file of their own")
    return benchmark.grades(path)
