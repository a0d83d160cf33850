"""What the columns of each benchmark's parquet files mean (the data sets that lmms-eval 75571cf and MMMU, MathVista, ... name).

Ids are those that ``foreign/gold.py`` gives where the columns have them, else the number of the row over all files, which is
lmms-eval's doc_id. ``reference["image"]`` is a digest of the picture.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigemini.benchmarks.formats import mathvista, mgm, mme_tool
from minigemini.benchmarks.formats.gold import POPE_OFFSETS
from minigemini.benchmarks.formats.vlmevalkit import listed
from minigemini.benchmarks.question import Question, cell, text_cell
from minigemini.benchmarks.rules.hallusionbench import PLACE
from minigemini.benchmarks.rules.option_letter import LETTERS
from minigemini.benchmarks.stored_image import StoredImage

Named = tuple[tuple[str, StoredImage], ...]


@dataclass(frozen=True)
class Record:
    """A row's cells, and the pictures (name, picture) of each column that holds some."""

    row: dict[str, Any]
    images: dict[str, Named]
    place: str

    def get(self, name: str) -> Any:
        return cell(self.row, name, self.place)

    def text(self, name: str) -> str:
        return text_cell(self.row, name, self.place)

    def texts(self, name: str) -> list[str]:
        return [str(value) for value in self.get(name)]

    def pictures(self, *columns: str) -> Named:
        """
        Raises:
            ValueError: a column is not there, or all are empty.
        """
        missing = [name for name in columns if name not in self.images]
        if missing:
            raise ValueError(f"{self.place}: no column {missing[0]!r} of pictures; there are {', '.join(self.images)}")
        found = tuple(picture for name in columns for picture in self.images[name])
        if not found:
            raise ValueError(f"{self.place}: column {columns[0]!r} is empty, a picture is missing")
        return found


def question_of(
    record: Record, id: Any, kind: str, reference: dict[str, Any], shown: Named | None = None, **more: Any
) -> Question:
    """A row with the columns ``question`` and ``image``, unless said otherwise."""
    shown = record.pictures("image") if shown is None else shown
    image = {"image": "+".join(name for name, _ in shown)} if shown else {}
    text = more.pop("text", None)
    return Question(
        id=str(id),
        kind=kind,
        text=record.text("question") if text is None else text,
        images=tuple(picture for _, picture in shown),
        reference=reference | image,
        place=record.place,
        **more,
    )


def choice_of(record: Record, id: Any, kind: str, answer: Any, choices: list[str], **more: Any) -> Question:
    return question_of(record, id, kind, {"answer": answer, "choices": choices}, choices=tuple(choices), **more)


def textvqa(record: Record, number: int) -> Question:
    ocr = tuple(record.texts("ocr_tokens")) if record.row.get("ocr_tokens") is not None else None
    return question_of(record, record.row.get("image_id", number), "", {"answers": record.texts("answers")}, ocr=ocr)


def vqav2(record: Record, number: int) -> Question:
    answers = [str(one["answer"]) for one in record.get("answers")]
    return question_of(record, record.get("question_id"), record.text("answer_type"), {"answers": answers})


def vizwiz(record: Record, number: int) -> Question:
    id = Path(str(record.get("question_id"))).stem
    return question_of(record, id, record.text("category"), {"answers": record.texts("answers")})


def gqa(record: Record, number: int) -> Question:
    """``types`` says which questions are open."""
    kind = "open" if record.get("types")["structural"] == "query" else "binary"
    return question_of(record, record.get("id"), kind, {"answer": record.text("answer")})


def scienceqa(record: Record, number: int) -> Question:
    shown = record.images.get("image", ())
    question = choice_of(
        record, number, "", LETTERS[record.get("answer")], record.texts("choices"),
        shown=shown, hint=record.row.get("hint") or "",
    )  # fmt: skip
    question.reference["is_multimodal"] = bool(shown)
    return question


def pope(record: Record, number: int) -> Question:
    split = record.text("category")
    if split not in POPE_OFFSETS:
        raise ValueError(f"{record.place}: column 'category' is {split!r}, not one of {', '.join(POPE_OFFSETS)}")
    return question_of(
        record, POPE_OFFSETS[split] + int(record.get("question_id")), split, {"answer": record.text("answer")}
    )


def mme(record: Record, number: int) -> Question:
    id = mme_tool.task_and_image(record.text("question_id"), record.place)
    question = question_of(record, id, record.text("category"), {"answer": record.text("answer")})
    question.reference["image"] = id  # pairs are told by it; one picture is in two tasks
    return question


def mmbench(record: Record, number: int) -> Question:
    choices = []
    for letter in LETTERS[:5]:
        option = record.row.get(letter)
        if option is None or option == "nan":  # how an empty cell was stored
            break
        choices.append(str(option))
    hint = record.row.get("hint")
    return choice_of(
        record, record.get("index"), record.text("category"), record.text("answer"), choices,
        hint="" if hint in (None, "nan") else hint,
    )  # fmt: skip


def seed_bench(record: Record, number: int) -> Question:
    choices = [str(record.get(f"choice_{letter}")) for letter in "abcd"]
    return choice_of(record, record.get("question_id"), record.text("data_type"), record.text("answer"), choices)


def options_of(record: Record) -> list[str]:
    """A list, or as MMMU has it the text of a Python list."""
    options = record.get("options")
    if isinstance(options, str):
        try:
            options = ast.literal_eval(options)
        except (SyntaxError, ValueError):
            options = None
    if not isinstance(options, list):
        raise ValueError(f"{record.place}: column 'options' is no list but {record.row['options']!r}")
    return [str(option) for option in options]


def mmmu(record: Record, number: int) -> Question:
    """An open question has no options; several right answers are the text of a list. Rows of the split without answers say "?"."""
    id, answer = record.text("id"), record.text("answer")
    choices = options_of(record) if record.text("question_type") == "multiple-choice" else []
    subject = mgm.SUBJECT.fullmatch(id)
    gold = listed(answer)
    columns = [f"image_{place}" for place in range(1, 8) if f"image_{place}" in record.images]
    question = choice_of(
        record, id, subject[1] if subject else "", answer if choices or len(gold) < 2 else gold, choices,
        shown=record.pictures(*columns),
    )  # fmt: skip
    question.reference["question_type"] = record.text("question_type")
    return question


def mmmu_pro(record: Record, number: int) -> Question:
    """In the vision setting the question is in the picture: columns image, options, answer."""
    columns = [f"image_{place}" for place in range(1, 8) if f"image_{place}" in record.images]
    text = record.text("question") if columns else ""
    shown = record.pictures(*columns) if columns else record.pictures("image")
    return choice_of(
        record, record.get("id"), record.row.get("subject") or "", record.text("answer"), options_of(record),
        shown=shown, text=text,
    )  # fmt: skip


def mathvista_row(record: Record, number: int) -> Question:
    ((_, picture), *_) = record.pictures("decoded_image")
    return mathvista.question_of(record.row, picture, record.text("image"), record.place)


def ai2d(record: Record, number: int) -> Question:
    return choice_of(record, number, "", LETTERS[int(record.get("answer"))], options_of(record))


def mmstar(record: Record, number: int) -> Question:
    """The options are in the question."""
    reference = {"answer": record.text("answer"), "l2_category": record.text("l2_category")}
    return question_of(record, record.get("index"), record.text("category"), reference)


def blink(record: Record, number: int) -> Question:
    columns = [f"image_{place}" for place in range(1, 5) if f"image_{place}" in record.images]
    return choice_of(
        record, record.get("idx"), record.text("sub_task"), record.text("answer").strip("()"), record.texts("choices"),
        shown=record.pictures(*columns), asked=record.text("prompt"),
    )  # fmt: skip


def realworldqa(record: Record, number: int) -> Question:
    return question_of(record, number, "", {"answer": record.text("answer")})


def chartqa(record: Record, number: int) -> Question:
    answer = record.get("answer")
    answers = [str(one) for one in answer] if isinstance(answer, list) else [str(answer)]
    return question_of(record, number, record.text("type"), {"answers": answers})


def documents(record: Record, number: int) -> Question:
    return question_of(record, record.get("questionId"), "", {"answers": record.texts("answers")})


def ocrbench(record: Record, number: int) -> Question:
    return question_of(record, number, record.text("question_type"), {"answers": record.texts("answer")})


def hallusionbench(record: Record, number: int) -> Question:
    place = {key: str(record.get(key)) for key in PLACE}
    reference = place | {"answer": str(record.get("gt_answer"))}
    if record.row.get("gt_answer_details"):
        reference["answer_details"] = record.text("gt_answer_details")
    return question_of(record, "_".join(place.values()), place["category"], reference)


def mmvet(record: Record, number: int) -> Question:
    capability = record.get("capability")
    capabilities = capability.split(",") if isinstance(capability, str) else list(capability)
    reference = {"answer": record.text("answer"), "capability": [one.strip() for one in capabilities]}
    return question_of(record, record.get("question_id"), "", reference)


def llava_bench(record: Record, number: int) -> Question:
    caption = record.get("caption")
    reference = {
        "answer": record.text("gpt_answer"),
        "context": caption if isinstance(caption, str) else "\n".join(caption),
    }
    return question_of(record, record.get("question_id"), record.text("category"), reference)


COLUMNS: dict[str, Callable[[Record, int], Question]] = {
    "textvqa": textvqa,
    "vqav2": vqav2,
    "vizwiz": vizwiz,
    "gqa": gqa,
    "scienceqa": scienceqa,
    "pope": pope,
    "mme": mme,
    "mmbench": mmbench,
    "mmbench_cn": mmbench,
    "seed_bench": seed_bench,
    "mmmu": mmmu,
    "mmmu_pro": mmmu_pro,
    "mathvista": mathvista_row,
    "ai2d": ai2d,
    "mmstar": mmstar,
    "blink": blink,
    "realworldqa": realworldqa,
    "chartqa": chartqa,
    "docvqa": documents,
    "infovqa": documents,
    "ocrbench": ocrbench,
    "hallusionbench": hallusionbench,
    "mmvet": mmvet,
    "llava_bench": llava_bench,
}
IMAGES_APART = {"gqa": ("id", "imageId")}  # the pictures' own rows, and the column that names them
