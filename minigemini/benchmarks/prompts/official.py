"""Prompts that benchmarks themselves prescribe.

- MMMU-Pro (direct): bb0b95a, mmmu-pro/infer/prompts.yaml and infer_transformers.py (40b550c). Its scripts allow different numbers of
  tokens; 1024 cuts nobody's answer.
- BLINK: its own ``prompt`` column. (For three tasks eval/test_benchmark.py, 0cca9a3, would put a disclaimer before it, against GPT-4V's
  refusals; as written there that line is an error, and no other model had it.)
- MMStar: the question with its options and the request of eval/vlmeval/vlm/llava_next.py (79e6d1c), the prompt its authors show.
- RealWorldQA: the question, which asks for the bare letter, word or number.
- OCRBench and HallusionBench: the bare question.
"""

from __future__ import annotations

from minigemini.benchmarks.prompts.form import (
    CITED,
    LETTER,
    Form,
    bare,
    images_of_numbers,
    lettered,
    options,
)
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


def blink(question: Question) -> str:
    if not question.asked:
        raise ValueError(f"{question.place}: BLINK is asked by its own 'prompt' column, which is not there")
    return question.asked


def mmstar(question: Question) -> str:
    """The options are in the question; VLMEvalKit's table has them beside it."""
    return lettered(question) if question.choices else question.text + LETTER


FORMS = {
    "blink": Form(blink, 1024),
    "mmstar": Form(mmstar, 512),
    "realworldqa": Form(bare, 16),
    "mmmu_pro": Form(mmmu_pro, 1024, images_of_mmmu_pro),
    "ocrbench": Form(bare, 128),
    "hallusionbench": Form(bare, 1024),
}
