"""DATE_samples_TASK.jsonl of lmms-eval (0.7): doc_id, target, filtered_resps, input, and a field for each metric.

It stores neither images nor rows, so ``target`` is all that is known of the gold answer: enough for letters, yes/no and exact
matches. Kinds and question ids are found in the metric fields where a task puts them there (MME, POPE, MMMU, ...); for options, ten
human answers or images, give ``--gold``; rows are then joined by doc_id, the number of the row. BLINK is fourteen tasks: put their
files together (``cat``); its rows have ids.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minigemini.benchmarks.formats.lines import Row, read_jsonl, required

KIND = ("category", "sub_task", "subdomain", "question_type")  # the names tasks give it, in this order
LIST_OF_ANSWERS = {"textvqa", "vqav2", "vizwiz", "docvqa", "infovqa", "chartqa", "ocrbench"}


def read(path: Path, benchmark: str) -> list[Row]:
    """Rows sorted by doc_id: the ranks of a run take every n-th row."""
    rows = [row_of(row, benchmark, path) for row in read_jsonl(path)]
    return sorted(rows, key=lambda row: row.get("row", 0))


def row_of(row: Row, benchmark: str, path: Path) -> Row:
    doc_id, target = required(row, "doc_id", path), required(row, "target", path)
    details: dict[str, Any] = {}
    for value in row.values():
        if isinstance(value, dict):
            details.update(value)
    kind = next((str(details[key]) for key in KIND if key in details), "")
    numbered: Row = {"id": str(doc_id), "row": int(doc_id)}
    if benchmark == "blink" and "id" in details:
        numbered = {"id": details["id"]}  # each of the fourteen tasks counts its rows from 0
    return {
        **numbered,
        "kind": kind,
        "prediction": reply_of(row, path),
        "prompt": row["input"] if isinstance(row.get("input"), str) else "",
        "reference": reference_of(target, details, benchmark),
        "target": target,
    }


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


def reference_of(target: Any, details: dict[str, Any], benchmark: str) -> dict[str, Any]:
    if benchmark in LIST_OF_ANSWERS:
        return {"answers": [str(answer) for answer in (target if isinstance(target, list) else [target])]}
    reference = {"answer": target if isinstance(target, list) else str(target)}
    if benchmark == "blink":
        reference["answer"] = str(target).strip("()")
    if benchmark == "mmstar" and "l2_category" in details:
        reference["l2_category"] = details["l2_category"]
    if benchmark == "mme" and "question_id" in details:
        reference["image"] = str(details["question_id"])  # the task's question_id is the image's name
    return reference
