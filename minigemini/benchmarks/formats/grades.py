"""Files in which a judge's grades are stored; they stand for the answers, which need not be there.

- MM-Vet (the evaluator's *-grade-Nruns.json): ``{id: {"model": [..], "content": [..], "score": [..]}}``
- LLaVA-Bench (eval_gpt_review_bench.py): JSONL of question_id, category, content and tuple
- MathVista (extract_answer.py): ``{pid: problem}`` with response and extraction
- HallusionBench: a list or JSONL of the benchmark's rows, with the judge's 0, 1 or 2 as ``grade``
"""

from __future__ import annotations

from pathlib import Path

from minigemini.benchmarks.formats import mgm
from minigemini.benchmarks.formats.lines import Row, read_json, read_jsonl, required
from minigemini.benchmarks.rules.hallusionbench import PLACE


def read(path: Path, benchmark: str) -> list[Row]:
    """
    Raises:
        ValueError: the benchmark has no judge.
    """
    if benchmark == "mmvet":
        return [
            {"id": str(id), "kind": "", "prediction": "", "reference": {}, "grade": grade}
            for id, grade in read_json(path).items()
        ]
    if benchmark == "llava_bench":
        return [
            {
                "id": str(required(row, "question_id", path)),
                "kind": str(required(row, "category", path)).removeprefix("llava_bench_"),
                "prediction": "",
                "reference": {},
                "grade": row,
            }
            for row in read_jsonl(path)
        ]
    if benchmark == "mathvista":
        return mgm.read(path, benchmark)
    if benchmark == "hallusionbench":
        stored = read_json(path) if path.suffix == ".json" else read_jsonl(path)
        return [_hallusion(row, path) for row in stored]
    raise ValueError(
        f"{benchmark} has no judge; --format grades is for mmvet, llava_bench, mathvista and hallusionbench"
    )


def _hallusion(row: Row, path: Path) -> Row:
    place = {key: str(required(row, key, path)) for key in PLACE}
    return {
        "id": "_".join(place.values()),
        "kind": place["category"],
        "prediction": row.get("model_prediction", ""),
        "reference": {**place, "answer": row.get("gt_answer", "")},
        "grade": required(row, "grade", path),
    }
