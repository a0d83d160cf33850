"""What MGM's evaluation scripts leave behind: a folder of shards CHUNKS_IDX.jsonl, or one file they were put together in.

Most benchmarks: LLaVA's rows. MMMU (run_llava.py): id, question_type, answer, response and index2ans, with the gold answer.
MathVista: the problem with its response and, after extract_answer.py, as ``{pid: problem}`` with the extraction.
"""

from __future__ import annotations

import re
from pathlib import Path

from minigemini.benchmarks.formats import llava
from minigemini.benchmarks.formats.lines import Row, read_json, read_jsonl, required

SHARD = re.compile(r"(\d+)_(\d+)\.jsonl")
SUBJECT = re.compile(r"[a-z]+_(.+)_\d+")  # validation_Art_Theory_3
PROBLEM = ("question_type", "answer_type", "precision", "choices", "answer")


def read(path: Path, benchmark: str) -> list[Row]:
    """
    Raises:
        ValueError: shards are missing, or of two runs over different numbers of processes.
    """
    files = shards(path) if path.is_dir() else [path]
    rows = []
    for file in files:
        stored = read_json(file) if file.suffix == ".json" else read_jsonl(file)
        if isinstance(stored, dict):
            stored = [{"pid": pid, **problem} for pid, problem in stored.items()]
        rows += [row_of(row, benchmark, file) for row in stored]
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


def row_of(row: Row, benchmark: str, path: Path) -> Row:
    if benchmark == "mmmu":
        return mmmu_row(row, path)
    if benchmark == "mathvista":
        return mathvista_row(row, path)
    return llava.row_of(row, path)


def mmmu_row(row: Row, path: Path) -> Row:
    id = str(required(row, "id", path))
    subject = SUBJECT.fullmatch(id)
    choices = row.get("index2ans", {})
    return {
        "id": id,
        "kind": subject[1] if subject else "",
        "prediction": required(row, "response", path),
        "reference": {
            "answer": required(row, "answer", path),
            "question_type": required(row, "question_type", path),
            "choices": [choices[letter] for letter in sorted(choices)],
        },
    }


def mathvista_row(row: Row, path: Path) -> Row:
    extraction = {"extraction": row["extraction"]} if "extraction" in row else {}
    return {
        "id": str(required(row, "pid", path)),
        "kind": row.get("metadata", {}).get("task", ""),
        "prediction": required(row, "response", path),
        "reference": mathvista_problem(row, path),
        **extraction,
    }


def mathvista_problem(row: Row, path: Path) -> Row:
    image = {"image": row["image"]} if "image" in row else {}
    asked = row.get("query") or row.get("question")  # for a judge, with the hint and the choices if it can be
    question = {"question": asked} if asked else {}
    return {key: required(row, key, path) for key in PROBLEM} | {"metadata": row.get("metadata", {})} | image | question
