"""Prompts that benchmarks themselves prescribe: MMMU-Pro (direct), OCRBench and HallusionBench (the bare question).

MMMU-Pro: bb0b95a, mmmu-pro/infer/prompts.yaml and infer_transformers.py (40b550c). Its scripts allow different numbers of tokens;
1024 cuts nobody's answer.
"""

from __future__ import annotations

from minigemini.benchmarks.prompts.form import CITED, Form, bare, images_of_numbers, options
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.stored_image import StoredImage

STANDARD = "Answer with the option letter from the given choices directly."
VISION = (
    f"{STANDARD} The last line of your response should be of the following format: 'Answer: $LETTER' (without quotes) "
    "where LETTER is one of options."
)


def listed(question: Question) -> str:
    return f"{question.text}\n{options(question.choices)}\n{STANDARD}"


def mmmu_pro(question: Question) -> str:
    """In the vision setting, question and options are in the image and the text is empty."""
    return CITED.sub("[image]", listed(question)) if question.text else VISION


def images_of_mmmu_pro(question: Question) -> tuple[StoredImage, ...]:
    """In the order in which they are cited."""
    if not question.text:
        return question.images
    return images_of_numbers(question, [int(number) for number in CITED.findall(listed(question))])


FORMS = {
    "mmmu_pro": Form(mmmu_pro, 1024, images_of_mmmu_pro),
    "ocrbench": Form(bare, 128),
    "hallusionbench": Form(bare, 1024),
}
