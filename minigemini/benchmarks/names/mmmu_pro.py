"""MMMU-Pro (Yue et al. 2024), one of its settings: standard with 10 options, or with 4, or vision, where the question is in the picture.

The direct prompt of its own scripts (bb0b95a, mmmu-pro/infer/prompts.yaml; 40b550c, infer_transformers.py), which allow different
numbers of tokens; 1024 cuts nobody's answer.
"""

from minigemini.benchmarks.benchmark import Benchmark, Form, Protocol
from minigemini.benchmarks.formats.hub import Hub
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.names.mmmu import options_of
from minigemini.benchmarks.prompts import CITED, images_of_numbers, options
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import mmmu
from minigemini.benchmarks.stored_image import StoredImage
from minigemini.benchmarks.vlmevalkit_letters import vlmevalkit_letters

STANDARD = "Answer with the option letter from the given choices directly."
VISION = (
    f"{STANDARD} The last line of your response should be of the following format: 'Answer: $LETTER' (without quotes) "
    "where LETTER is one of options."
)


def columns(record: Record, number: int) -> Question:
    """In the vision setting the columns are image, options, answer."""
    cited = record.numbered(7)
    return record.choice(
        record.get("id"), record.row.get("subject") or "", record.gold_text("answer"), options_of(record),
        shown=record.pictures(*(cited or ["image"])), text=record.text("question") if cited else "",
    )  # fmt: skip


def list_options(question: Question) -> str:
    return f"{question.text}\n{options(question.choices)}\n{STANDARD}"


def asked(question: Question) -> str:
    return CITED.sub("[image]", list_options(question)) if question.text else VISION


def cited_images(question: Question) -> tuple[StoredImage, ...]:
    """In the order in which they are cited."""
    if not question.text:
        return question.images
    return images_of_numbers(question, [int(number) for number in CITED.findall(list_options(question))])


MMMU_PRO = Benchmark(
    "mmmu_pro",
    "MMMU-Pro",
    sizes={1730: "one setting"},
    protocols={
        "official": Protocol(
            mmmu.rule(mmmu.pro_letter),
            "MMMU-Pro's evaluate.py",
            form=Form(asked, 1024, cited_images),
            fallback=mmmu.lucky,
        ),
        "vlmevalkit": vlmevalkit_letters("MMMU_Pro_10c"),
    },
    hub=Hub(("MMMU/MMMU_Pro",), "test", ("standard (10 options)",)),
    columns=columns,
    options=True,
)
