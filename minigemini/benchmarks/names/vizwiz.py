"""VizWiz VQA (Gurari et al. 2018). LLaVA's question file is that of test, whose answers EvalAI keeps (challenge 2185): they are written
for upload. With the authors' val.json in the folder, val is asked and scored.
"""

from collections.abc import Sequence
from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark, Cells, Form, Line, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.image_folder import ImageFolder
from minigemini.benchmarks.formats.lines import Row, gold_row, read_json
from minigemini.benchmarks.formats.llava_layout import LlavaFolder, present, unanswered_file
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.formats.vlmevalkit import parse_list
from minigemini.benchmarks.names.vqav2 import answers_of
from minigemini.benchmarks.prompts import SHORT, UNANSWERABLE, followed_by
from minigemini.benchmarks.question import Question, text_cell
from minigemini.benchmarks.rules.vqa_soft_accuracy import m4c, m4c_accuracy, uploaded_accuracy
from minigemini.benchmarks.upload import write_answers

TEST = "llava_test.jsonl"


def columns(record: Record, number: int) -> Question:
    id, answers = Path(str(record.get("question_id"))).stem, record.gold_texts("answers")
    return record.question(id, "" if answers is None else record.text("category"), {"answers": answers})


def table(row: Row, cells: Cells) -> list[Row]:
    answers = cells.get("answers", "")
    return [{**row, "reference": row["reference"] | ({"answers": parse_list(answers)} if answers else {})}]


def gold(path: Path) -> list[Row]:
    """Annotations/val.json; the id is the image's name without its suffix, as in lmms-eval."""
    return [
        gold_row(Path(row["image"]).stem, row["answer_type"], answers=answers_of(row), image=row["image"])
        for row in read_json(path)
    ]


def read_folder(benchmark: Benchmark, folder: Path, images: Path | None) -> list[Question]:
    path = next((folder / name for name in ("val.json", "Annotations/val.json") if (folder / name).exists()), None)
    if path is None and (folder / TEST).exists():
        return unanswered_file(TEST, "test")(benchmark, folder, images)
    path = path or present(folder / "val.json")
    shown = ImageFolder(images or folder / "val")
    questions = []
    for number, (known, row) in enumerate(zip(gold(path), read_json(path), strict=True), start=1):
        place = f"{path}, row {number}"
        text, image = text_cell(row, "question", place), shown.image(known["reference"]["image"], place)
        questions.append(Question(known["id"], known["kind"], text, (image,), known["reference"], place))
    shown.require_all()
    return questions


def upload(lines: Sequence[Line], folder: Path) -> Path:
    """As LLaVA cleans them. Parquet files name no picture; it is the id with its suffix."""
    rows = []
    for line in lines:
        image = line["reference"]["image"]
        rows.append({"image": image if Path(image).suffix else f"{line['id']}.jpg", "answer": m4c(line["prediction"])})
    return write_answers(folder / "upload.json", rows)


VIZWIZ = Benchmark(
    "vizwiz",
    "VizWiz VQA",
    sizes={4319: "val"},
    protocols={
        "llava": Protocol(
            uploaded_accuracy,
            "the server's rule for an upload cleaned by m4c; test needs EvalAI",
            form=Form(followed_by(UNANSWERABLE + SHORT), 128),
            misses_gold=True,  # ten equal answers are compared as they are, the reply has lost its marks
        ),
        "lmms": Protocol(m4c_accuracy, "lmms-eval's m4c on val", task="vizwiz_vqa_val"),
    },
    hub=of_lmms("VizWiz-VQA", "val"),
    columns=columns,
    table=table,
    several_answers=True,
    gold=gold,
    llava=LlavaFolder(("vizwiz",), read_folder),
    upload=upload,
)
