"""MM-Vet v1 (Yu et al. 2023): 218 questions, asked as they are; a judge grades every answer."""

from collections.abc import Sequence
from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark, Form, Line, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.lines import Row, gold_row, graded_row, read_json
from minigemini.benchmarks.formats.llava_layout import LlavaFolder, question_file
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.judge import Ask, Judge, Said, with_answer
from minigemini.benchmarks.prompts import bare
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import mmvet
from minigemini.benchmarks.upload import write_answers


def columns(record: Record, number: int) -> Question:
    capability = record.get("capability")
    capabilities = capability.split(",") if isinstance(capability, str) else list(capability)
    reference = {"answer": record.gold_text("answer"), "capability": [one.strip() for one in capabilities]}
    return record.question(record.get("question_id"), "", reference)


def gold(path: Path) -> list[Row]:
    """mm-vet.json, for the capabilities, and the question for a judge."""
    rows = []
    for id, row in read_json(path).items():
        asked = {"question": row["question"]} if "question" in row else {}
        rows.append(
            gold_row(id, "", answer=row["answer"], capability=row["capability"], image=row["imagename"], **asked)
        )
    return rows


def llava_id(id: str) -> str:
    """0, 1, ... in LLaVA's question file and v1_0, v1_1, ... in mm-vet.json."""
    return id if id.startswith("v1_") else f"v1_{id}"


def grades(path: Path) -> list[Row]:
    """The evaluator's *-grade-Nruns.json: ``{id: {"model": [..], "content": [..], "score": [..]}}``."""
    return [graded_row(id, "", grade) for id, grade in read_json(path).items()]


JUDGE_PROMPT = """\
You grade the answer of a model to a question about a picture that you do not see. Compare it with the right answer only.

Give a number from 0.0 (nothing of it is right) to 1.0 (all that is asked is there and right), in steps of 0.1. \
In the right answer, <AND> stands between parts that must all be there, each an equal share of the grade; <OR> stands \
between alternatives of which one is enough. Other words with the same meaning are right. What the right answer does \
not speak of does neither good nor harm unless it contradicts it.

Question: {question}
Right answer: {answer}
The model's answer: {prediction}

Reply with the number alone.
Grade: """
TEMPERATURES = (0.0, 0.0, 0.5, 1.0, 1.5)
AGAIN = "\nPredict the correctness of the answer (digit): "


def judge_fields(line: Line) -> dict[str, str]:
    fields = with_answer(line)
    return fields | {"answer": fields["answer"].replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")}


def judge(ask: Ask, prompt: str, line: Line) -> Said:
    """The first word as a number in 0..1; five tries at rising temperature, all but the first with another sentence behind the
    prompt (yuweihao/MM-Vet acde843). The tool then says 0.0; here the judge failed. It asks for 3 tokens at most, which is
    "0.7" to GPT-4 and "0." to some others; the grade is the first word anyway, so there is room for 8.
    """
    for number, temperature in enumerate(TEMPERATURES):
        reply, model = ask(prompt + (AGAIN if number else ""), temperature, 8)
        grade = as_grade(reply)
        if grade is not None:
            break
    return {"grade": {"model": [model], "content": [reply], "score": [grade]}, "model": model}


def as_grade(reply: str) -> float | None:
    try:
        grade = float((reply.split() or [""])[0])
    except ValueError:
        return None
    return grade if 0 <= grade <= 1 else None


def upload(lines: Sequence[Line], folder: Path) -> Path:
    """For the evaluator's own page: {id: answer}."""
    return write_answers(folder / "upload.json", {line["id"]: line["prediction"] for line in lines})


MMVET = Benchmark(
    "mmvet",
    "MM-Vet",
    sizes={218: "v1"},
    protocols={"llava": Protocol(mmvet.rule, "mean of a judge's grades", mmvet.metrics, form=Form(bare, 1024))},
    hub=of_lmms("MMVet", "test"),
    columns=columns,
    gold=gold,
    llava=LlavaFolder(("mm-vet", "mmvet"), question_file("llava-mm-vet.jsonl", "images", ("mm-vet.json",), gold)),
    llava_id=llava_id,
    grades=grades,
    judge=Judge(JUDGE_PROMPT, judge_fields, judge, {"grade": {"score": [None]}}),
    upload=upload,
)
