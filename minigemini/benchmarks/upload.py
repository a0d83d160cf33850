"""Answers to a split whose gold answers only a server has, in the form that it takes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minigemini.benchmarks.benchmark import Benchmark, Line


def write_answers(path: Path, stored: Any) -> Path:
    path.write_text(json.dumps(stored, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def write_upload(benchmark: Benchmark, lines: Sequence[Line], folder: Path) -> str:
    """Writes what can be uploaded into ``folder``, and says what that is."""
    if benchmark.upload is None:
        return "no gold answers, so no number; the answers are in predictions.jsonl (the form that a server takes is not known here)"
    return f"no gold answers, so no number: {benchmark.upload(lines, folder).name} is what the benchmark's server takes"
