"""Prompts of lmms-eval's tasks (75571cf; for single tasks also 2bb5e98, 205d72d, 3a4260c) with their default settings.

Where a task names no number of new tokens, that of lmms-eval's llava model (1024) is taken. Its default stop at an empty line is
not applied: it is an artefact that cuts answers.
"""

from __future__ import annotations

from minigemini.benchmarks.prompts.form import (
    CITED,
    LETTER,
    SHORT,
    Form,
    followed_by,
    images_of_numbers,
    options,
    required_choices,
)
from minigemini.benchmarks.prompts.llava import UNANSWERABLE, scienceqa, seed_bench
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules.option_letter import LETTERS
from minigemini.benchmarks.stored_image import StoredImage

UNLIMITED = 1024  # lmms-eval's llava model, where a task names no limit
PLEASE = " Please answer yes or no."


def stripped(question: Question) -> str:
    return question.text.strip()


def capitalised(suffix: str) -> Form:
    """``str.capitalize``: all but the first letter becomes lower case, names too."""
    return Form(lambda question: question.text.capitalize() + suffix, UNLIMITED)


def without_please(suffix: str, tokens: int) -> Form:
    """Of two spaces before MME's "Please" one stays."""
    return Form(lambda question: question.text.strip().replace(PLEASE, "") + suffix, tokens)


def lettered(question: Question) -> str:
    return f"{question.text}\n{options(required_choices(question))}{LETTER}"


def mmmu(question: Question) -> str:
    if not question.choices:
        return f"{question.text}\n{SHORT}"
    return f"{question.text}\n{options(question.choices)}\n{LETTER}"


def images_of_mmmu(question: Question) -> tuple[StoredImage, ...]:
    """Those that the prompt cites, each once, by their number; "<image 1>" stays in the text as words."""
    return images_of_numbers(question, sorted({int(number) for number in CITED.findall(mmmu(question))}))


def blink(question: Question) -> str:
    if not question.asked:
        raise ValueError(f"{question.place}: lmms-eval's prompt is BLINK's own 'prompt' column, which is not there")
    letters = ", ".join(LETTERS[: len(required_choices(question))])
    return (
        f"Note: You only need to respond with {letters} without providing any additional information.\n{question.asked}"
    )


FORMS = {
    "textvqa": capitalised(SHORT),
    "vizwiz": capitalised(UNANSWERABLE + SHORT),
    "vqav2": Form(followed_by(SHORT), 16),
    "gqa": Form(followed_by(SHORT), 16),
    "pope": Form(lambda question: question.text.strip() + SHORT, 128),
    "mme": without_please(SHORT, 16),
    "scienceqa": Form(scienceqa, 16),
    "seed_bench": Form(seed_bench, UNLIMITED),
    "mmmu": Form(mmmu, 128, images_of_mmmu),
    "ai2d": Form(lettered, 16),
    "mmstar": without_please(LETTER.removesuffix("."), UNLIMITED),  # the options are in the question
    "blink": Form(blink, 1024),
    "realworldqa": Form(stripped, 16),  # the question asks for the letter, or the word, itself
    "chartqa": Form(followed_by("\nAnswer the question with a single word."), 16),
    "docvqa": Form(followed_by(SHORT), 32),
    "infovqa": Form(followed_by(SHORT), 32),
    "ocrbench": Form(stripped, 128),
}
