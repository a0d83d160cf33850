"""MMMU val (Yue et al. 2024): 847 questions with options, 53 open ones. MGM's script samples; its other benchmarks are greedy."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minigemini.benchmarks.benchmark import Benchmark, Cells, Form, Line, Protocol, Sampling, first_gold
from minigemini.benchmarks.formats.hub import Hub
from minigemini.benchmarks.formats.lines import Row, gold_row, read_json, reply_of, required
from minigemini.benchmarks.formats.llava_layout import LlavaFolder
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.formats.vlmevalkit import parse_list
from minigemini.benchmarks.prompts import LETTER, SHORT, first_image, options
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import mmmu
from minigemini.benchmarks.upload import write_answers

SUBJECT = re.compile(r"[a-z]+_(.+)_\d+")  # validation_Art_Theory_3


def subject_of(id: str) -> str:
    subject = SUBJECT.fullmatch(id)
    return subject[1] if subject else ""


def options_of(record: Record) -> list[str]:
    """A list, or as MMMU has it the text of a Python list."""
    found = record.get("options")
    if isinstance(found, str):
        try:
            found = ast.literal_eval(found)
        except (SyntaxError, ValueError):
            found = None
    if not isinstance(found, list):
        raise ValueError(f"{record.place}: column 'options' is no list but {record.row['options']!r}")
    return [str(option) for option in found]


def gold_of(answer: str) -> str | list[str]:
    """Of an open question there may be several right answers, as the text of a list."""
    several = parse_list(answer)
    return several if len(several) > 1 else answer


def columns(record: Record, number: int) -> Question:
    """An open question has no options."""
    id, answer = record.text("id"), record.gold_text("answer")
    choices = options_of(record) if record.text("question_type") == "multiple-choice" else []
    question = record.choice(
        id, subject_of(id), answer if choices or answer is None else gold_of(answer), choices,
        shown=record.pictures(*record.numbered(7)),
    )  # fmt: skip
    question.reference["question_type"] = record.text("question_type")
    return question


def table(row: Row, cells: Cells) -> list[Row]:
    """MMMU_DEV_VAL.tsv holds dev too."""
    if cells.get("split") == "dev":
        return []
    answer = row["reference"].get("answer")
    return [row if answer is None else {**row, "reference": row["reference"] | {"answer": gold_of(answer)}}]


def gold(path: Path) -> list[Row]:
    """answer_dict_val.json, for the eval-only protocol: it has no options."""
    return [
        gold_row(id, subject_of(id), answer=row["ground_truth"], question_type=row["question_type"])
        for id, row in read_json(path).items()
    ]


def mgm_row(row: Row, path: Path) -> Row:
    """run_llava.py: id, question_type, answer, response and index2ans."""
    id, choices = str(required(row, "id", path)), row.get("index2ans", {})
    reply = reply_of(row, "response", path, id)
    known = {key: required(row, key, path) for key in ("answer", "question_type")}
    choices = [choices[letter] for letter in sorted(choices)]
    return {**gold_row(id, subject_of(id), **known, choices=choices), "prediction": reply}


def asked(question: Question) -> str:
    """MMMU's llava1.5.yaml as YAML folds it: one empty line before the request, none before that of an open question."""
    if not question.choices:
        return question.text + SHORT
    return f"{question.text}\n{options(question.choices, '({}) {}')}\n{LETTER}"


def upload(lines: Sequence[Line], folder: Path) -> Path:
    """EvalAI takes {id: answer}: the letter that MMMU's parser reads, an open answer as it is."""
    answers = {}
    for line in lines:
        choices = line["reference"]["choices"]
        letter = mmmu.official_letter(line["prediction"], choices).answer if choices else line["prediction"]
        answers[line["id"]] = letter or ""
    return write_answers(folder / "upload.json", answers)


def of_two(line: Line, gold: Any) -> str:
    """The letter of an open question's answer is A in VLMEvalKit."""
    return first_gold(line, gold) if line["reference"]["choices"] else "A"


MMMU_LETTERS = mmmu.rule(mmmu.official_letter)
MMMU = Benchmark(
    "mmmu",
    "MMMU val",
    sizes={900: "val"},
    protocols={
        # the first image is shown, whatever images the question cites
        "llava": Protocol(
            MMMU_LETTERS,
            "MMMU's own parser; MGM's table, greedy or not",
            form=Form(asked, 128, first_image),
            fallback=mmmu.lucky,
        ),
        "mgm": Protocol(
            MMMU_LETTERS,
            "MMMU's own parser on answers decoded as MGM's script does: sampled at temperature 1 with 5 beams, with a seed a row; "
            "MGM's own seed depends on its number of GPUs",
            form=Form(asked, 128, first_image, Sampling(temperature=1.0, num_beams=5)),
            fallback=mmmu.lucky,
        ),
        "eval-only": Protocol(mmmu.eval_only, "MMMU's path for files of final answers: letters as they are"),
        "lmms": Protocol(
            mmmu.lmms_rule,
            "lmms-eval 0.7.3",
            task="mmmu_val",
            fallback=mmmu.lucky,
            right_reply=lambda line, gold: str(gold),  # of several the tool looks for the text of the list
        ),
        "vlmevalkit": Protocol(
            mmmu.vlmevalkit,
            "VLMEvalKit: open questions as a choice of two, no judge",
            task="MMMU_DEV_VAL",
            right_reply=of_two,
        ),
    },
    hub=Hub(("MMMU/MMMU", "lmms-lab-encoder/MMMU", "lmms-lab/MMMU"), "validation"),
    columns=columns,
    table=table,
    options=True,
    gold=gold,
    llava=LlavaFolder(("MMMU",)),
    mgm_row=mgm_row,
    upload=upload,
)
