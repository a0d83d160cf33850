"""Answers of LLaVA's evaluation scripts (model_vqa*.py): JSONL with question_id, prompt and text, no gold answers.

A question_id is not unique: TextVQA's is the image, of which 5000 rows have 3166, and MME's stands for two questions. The question
is recovered from the prompt where it is needed (see ``join``).
"""

from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark
from minigemini.benchmarks.formats.lines import Row, gold_row, read_json, read_jsonl, reply_of, required

OCR_LINE = "Reference OCR token:"


def read(path: Path, benchmark: Benchmark) -> list[Row]:
    """Also reads ``{id: text}``, LLaVA's upload for MM-Vet."""
    if path.suffix == ".json":
        stored = read_json(path)
        if not isinstance(stored, dict):
            raise ValueError(f"{path}: LLaVA stores answers as JSONL, or as one object of id and text")
        return [row_of({"question_id": id, "text": text}, path, benchmark) for id, text in stored.items()]
    return [row_of(row, path, benchmark) for row in read_jsonl(path)]


def row_of(row: Row, path: Path, benchmark: Benchmark) -> Row:
    prompt = row.get("prompt", "")
    id = benchmark.llava_id(str(required(row, "question_id", path)))
    reply = reply_of(row, "text", path, id)
    return {
        **gold_row(id, row.get("category", "")), "prediction": reply, "prompt": prompt, "question": question_of(prompt)
    }  # fmt: skip


def question_of(prompt: str) -> str:
    """The question in a prompt: its first line, or the second where the OCR tokens stand first."""
    lines = prompt.split("\n")
    return lines[1] if lines[0].startswith(OCR_LINE) and len(lines) > 1 else lines[0]
