"""DATE_samples_TASK.jsonl of lmms-eval (0.7): doc_id, target, filtered_resps, input, and a field for each metric.

It stores neither images nor rows, so ``target`` is all that is known of the gold answer: enough for letters, yes/no and exact
matches. Kinds and question ids are found in the metric fields where a task puts them there (MME, POPE, MMMU, ...); for options, ten
human answers or images, give ``--gold``; rows are then joined by doc_id, the number of the row.
"""

from pathlib import Path
from typing import Any

from minigemini.benchmarks.benchmark import Benchmark
from minigemini.benchmarks.formats.lines import Row, read_jsonl, required

KIND = ("category", "sub_task", "subdomain", "question_type")  # the names tasks give it, in this order


def read(path: Path, benchmark: Benchmark) -> list[Row]:
    """Rows sorted by doc_id: the ranks of a run take every n-th row."""
    rows = [row_of(row, benchmark, path) for row in read_jsonl(path)]
    return sorted(rows, key=lambda row: row.get("row", 0))


def row_of(row: Row, benchmark: Benchmark, path: Path) -> Row:
    doc_id, target = required(row, "doc_id", path), required(row, "target", path)
    details: dict[str, Any] = {}
    for value in row.values():
        if isinstance(value, dict):
            details.update(value)
    kind = next((str(details[key]) for key in KIND if key in details), "")
    read_row = {
        "id": str(doc_id),
        "row": int(doc_id),
        "kind": kind,
        "prediction": reply_of(row, path),
        "prompt": row["input"] if isinstance(row.get("input"), str) else "",
        "reference": reference_of(target, benchmark),
        "target": target,
    }
    return benchmark.sample(read_row, details)


def reply_of(row: Row, path: Path) -> str:
    """The one reply of a row, however deep the lists around it are."""
    reply = required(row, "filtered_resps", path)
    while isinstance(reply, list):
        if len(reply) != 1:
            raise ValueError(f"{path}, doc_id {row['doc_id']}: {len(reply)} replies; one is scored")
        reply = reply[0]
    if not isinstance(reply, str):
        raise ValueError(f"{path}, doc_id {row['doc_id']}: the reply is no text but {reply!r}")
    return reply


def reference_of(target: Any, benchmark: Benchmark) -> dict[str, Any]:
    if benchmark.several_answers:
        return {"answers": [str(answer) for answer in (target if isinstance(target, list) else [target])]}
    return {"answer": target if isinstance(target, list) else str(target)}
