"""HallusionBench (Guan et al. 2024): yes/no questions about figures, asked as they are.

Ids are category, subcategory, set, figure and question.
"""

from pathlib import Path
from typing import Any

from minigemini.benchmarks.benchmark import Benchmark, Cells, Form, Line, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.lines import Row, gold_row, read_json, read_jsonl, required
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.judge import Ask, Judge, Said, question_of
from minigemini.benchmarks.prompts import bare
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import hallusionbench
from minigemini.benchmarks.rules.hallusionbench import PLACE
from minigemini.benchmarks.rules.verdict import reference_of


def columns(record: Record, number: int) -> Question:
    place = {key: str(record.get(key)) for key in PLACE}
    reference = place | {"answer": str(record.get("gt_answer"))}
    if record.row.get("gt_answer_details"):
        reference["answer_details"] = record.text("gt_answer_details")
    return record.question("_".join(place.values()), place["category"], reference)


def table(row: Row, cells: Cells) -> list[Row]:
    """Set, figure and question are the last three parts of the index. Rows without a picture are left out, as VLMEvalKit does."""
    pictured = [name for name in ("image", "image_path") if name in cells]
    if pictured and not any(cells[name] for name in pictured):
        return []
    parts = row["id"].split("_")
    if len(parts) < 3:
        raise ValueError(f"index {row['id']!r}: does not end with the numbers of set, figure and question")
    names = (cells.get("category", ""), cells.get("l2-category", ""), *parts[-3:])
    return [{**row, "reference": row["reference"] | dict(zip(PLACE, names, strict=True))}]


def row_at(place: dict[str, str], **reference: str) -> Row:
    return gold_row("_".join(place.values()), place["category"], **place, **reference)


def gold(path: Path) -> list[Row]:
    """HallusionBench.json."""
    keys = {"answer": "gt_answer", "answer_details": "gt_answer_details", "question": "question"}
    return [
        row_at({key: str(row[key]) for key in PLACE}, **{key: row[theirs] for key, theirs in keys.items()})
        for row in read_json(path)
    ]


def grades(path: Path) -> list[Row]:
    """A list or JSONL of the benchmark's rows, with the judge's 0, 1 or 2 as ``grade``."""
    rows = []
    for row in read_json(path) if path.suffix == ".json" else read_jsonl(path):
        known = row_at({key: str(required(row, key, path)) for key in PLACE}, answer=row.get("gt_answer", ""))
        said = {"prediction": row.get("model_prediction", ""), "grade": required(row, "grade", path)}
        rows.append(known | said)
    return rows


def yes_or_no(line: Line, gold: Any) -> str:
    return {"1": "Yes", "0": "No"}.get(str(gold), str(gold))


JUDGE_PROMPT = """\
A model answered a question about a figure that you do not see. Compare its answer with the reference answer. Reply with one word:
correct, if it agrees with the reference answer in what was asked;
incorrect, if it contradicts it;
unclear, if it commits itself to neither, or says that it cannot tell.

Question: {question}
Reference answer: {answer}
The model's answer: {prediction}

One word: """


def judge_fields(line: Line) -> dict[str, str]:
    """The tool compares with the answer in words (gt_answer_details)."""
    answer = line["reference"].get("answer_details") or reference_of(line, "answer")
    return {"question": question_of(line), "answer": str(answer), "prediction": line["prediction"]}


def judge(ask: Ask, prompt: str, line: Line) -> Said:
    """ "incorrect" anywhere is 0, else "correct" 1 (tianyi-lab/HallusionBench 08e51de). The tool takes everything else for 2,
    unclear, which is right for some questions; here "unclear" must have been said. The tool leaves the temperature to the server; here 0.
    """
    reply, model = ask(prompt, 0.0, 256)
    found = [grade for word, grade in (("incorrect", 0), ("correct", 1), ("unclear", 2)) if word in reply.lower()]
    return {"grade": found[0] if found else None, "model": model}


HALLUSIONBENCH = Benchmark(
    "hallusionbench",
    "HallusionBench",
    sizes={951: "image", 1129: "all"},
    protocols={
        "official": Protocol(
            hallusionbench.graded,
            "a judge's grades",
            hallusionbench.metrics,
            form=Form(bare, 1024),
            right_reply=yes_or_no,
        ),
        "vlmevalkit": Protocol(
            hallusionbench.rule,
            "VLMEvalKit: yes/no words, images only",
            hallusionbench.metrics,
            task="HallusionBench",
            right_reply=yes_or_no,
        ),
    },
    hub=of_lmms("HallusionBench", "image"),
    columns=columns,
    table=table,
    gold=gold,
    grades=grades,
    judge=Judge(JUDGE_PROMPT, judge_fields, judge, {"grade": None}, protocol="official"),
)
