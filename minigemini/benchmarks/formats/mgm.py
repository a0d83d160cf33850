"""What MGM's evaluation scripts leave behind: a folder of shards CHUNKS_IDX.jsonl, or one file they were put together in.

LLaVA's rows, but for MMMU and MathVista, whose rows bring their gold answers.
"""

import re
from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark
from minigemini.benchmarks.formats import llava
from minigemini.benchmarks.formats.lines import Row, read_json, read_jsonl

SHARD = re.compile(r"(\d+)_(\d+)\.jsonl")


def read(path: Path, benchmark: Benchmark) -> list[Row]:
    """Raises ValueError: shards are missing, or of two runs over different numbers of processes."""
    files = shards(path) if path.is_dir() else [path]
    rows = []
    for file in files:
        stored = read_json(file) if file.suffix == ".json" else read_jsonl(file)
        if isinstance(stored, dict):
            stored = [{"pid": pid, **problem} for pid, problem in stored.items()]
        rows += [
            llava.row_of(row, file, benchmark) if benchmark.mgm_row is None else benchmark.mgm_row(row, file)
            for row in stored
        ]
    return rows


def shards(folder: Path) -> list[Path]:
    """The files of one run, in the order in which its script concatenates them."""
    found = {
        tuple(map(int, match.groups())): file for file in folder.iterdir() if (match := SHARD.fullmatch(file.name))
    }
    counts = {chunks for chunks, _ in found}
    if len(counts) != 1:
        raise ValueError(
            f"{folder}: shards CHUNKS_IDX.jsonl of one run are needed; found those of {sorted(counts) or 'none'}"
        )
    (chunks,) = counts
    missing = [f"{chunks}_{index}.jsonl" for index in range(chunks) if (chunks, index) not in found]
    if missing:
        raise ValueError(f"{folder}: {len(missing)} of {chunks} shards are missing: {', '.join(missing)}")
    return [found[chunks, index] for index in range(chunks)]
