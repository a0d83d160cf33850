"""ScienceQA test (Lu et al. 2022): 4241 questions, 2017 of them with an image; "IMG" is what tables print."""

from collections.abc import Iterator
from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark, Cells, Form, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.lines import Row, gold_row, read_json
from minigemini.benchmarks.formats.llava_layout import LlavaFolder, question_file, row_of
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.prompts import LETTER, lettered
from minigemini.benchmarks.question import Question, cell, text_cell
from minigemini.benchmarks.rules import lmms_letter, option_letter, scienceqa
from minigemini.benchmarks.rules.option_letter import LETTERS


def columns(record: Record, number: int) -> Question:
    shown, answer = record.images.get("image", ()), record.gold("answer")
    question = record.choice(
        number, "", None if answer is None else LETTERS[int(answer)], record.texts("choices"),
        shown=shown, hint=record.row.get("hint") or "",
    )  # fmt: skip
    question.reference["is_multimodal"] = bool(shown)
    return question


def table(row: Row, cells: Cells) -> list[Row]:
    """VLMEvalKit's has the questions with an image only."""
    return [{**row, "reference": row["reference"] | {"is_multimodal": True}}]


def gold(path: Path) -> list[Row]:
    """A folder with problems.json and pid_splits.json; the test split."""
    problems, rows = read_json(path / "problems.json"), []
    for id in read_json(path / "pid_splits.json")["test"]:
        answer, choices, image = (problems[id][key] for key in ("answer", "choices", "image"))
        rows.append(gold_row(id, "", answer=LETTERS[answer], choices=choices, is_multimodal=image is not None))
    return rows


def llava_rows(path: Path) -> Iterator[Row]:
    """A list of conversations. LLaVA's runner takes out "<image>" and adds the request for a letter (--single-pred-prompt)."""
    for number, row in enumerate(read_json(path), start=1):
        place = f"{path}, row {number}"
        said = text_cell(cell(row, "conversations", place)[0], "value", place)
        yield row_of(cell(row, "id", place), said.replace("<image>", "").strip() + LETTER, row.get("image"), place)


def with_context(question: Question) -> str:
    return (f"Context: {question.hint}\n" if question.hint else "") + lettered(question)


SCIENCEQA = Benchmark(
    "scienceqa",
    "ScienceQA test",
    sizes={4241: "test", 2017: "test, with image"},
    protocols={
        "llava": Protocol(
            scienceqa.rule(option_letter.llava_scienceqa),
            "LLaVA's parser",
            scienceqa.metrics,
            form=Form(with_context, 1024),
        ),
        "lmms": Protocol(
            scienceqa.rule(lmms_letter.scienceqa), "lmms-eval's parser", scienceqa.metrics, task="scienceqa"
        ),
        "vlmevalkit": Protocol(
            scienceqa.rule(option_letter.vlmevalkit),
            "VLMEvalKit's matching of letters and option texts, no judge",
            scienceqa.metrics,
            task="ScienceQA_TEST",
        ),
    },
    hub=of_lmms("ScienceQA", "test", "ScienceQA-FULL"),
    columns=columns,
    table=table,
    options=True,
    gold=gold,
    llava=LlavaFolder(("scienceqa",), question_file("llava_test_CQM-A.json", "images/test", (".",), gold, llava_rows)),
)
