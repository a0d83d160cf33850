"""Parts of prompts that several benchmarks share."""

import re
from collections.abc import Callable, Sequence

from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules.option_letter import LETTERS
from minigemini.benchmarks.stored_image import StoredImage

SHORT = "\nAnswer the question using a single word or phrase."
LETTER = "\nAnswer with the option's letter from the given choices directly."
UNANSWERABLE = "\nWhen the provided information is insufficient, respond with 'Unanswerable'."
CITED = re.compile(r"<image (\d+)>")  # MMMU's way to say where an image belongs
PLEASE = re.compile(r" {1,2}Please answer yes or no\.")  # one or two spaces: MME's data has both


def bare(question: Question) -> str:
    return question.text


def followed_by(suffix: str) -> Callable[[Question], str]:
    return lambda question: question.text + suffix


def options(choices: Sequence[str], form: str = "{}. {}") -> str:
    """Lines "A. text". An empty option is left out, and those after it keep their letters."""
    return "\n".join(form.format(letter, text) for letter, text in zip(LETTERS, choices, strict=False) if text)


def required_choices(question: Question) -> tuple[str, ...]:
    if not question.choices:
        raise ValueError(f"{question.place}: no options, and this protocol's prompt lists them")
    return question.choices


def lettered(question: Question) -> str:
    return f"{question.text}\n{options(required_choices(question))}{LETTER}"


def yes_or_no(question: Question) -> str:
    """LLaVA's, without the request that MME's (and some copies of POPE's) questions end with."""
    return PLEASE.sub("", question.text) + SHORT


def first_image(question: Question) -> tuple[StoredImage, ...]:
    return question.images[:1]


def images_of_numbers(question: Question, numbers: Sequence[int]) -> tuple[StoredImage, ...]:
    """Raises ValueError: the text cites an image that the row does not have."""
    unknown = [number for number in numbers if not 1 <= number <= len(question.images)]
    if unknown:
        raise ValueError(f"{question.place}: <image {unknown[0]}> is cited; there are {len(question.images)} images")
    return tuple(question.images[number - 1] for number in numbers)


def with_options_inside(question: Question) -> str:
    """The question, which holds its options.

    Raises:
        ValueError: the data has them in columns of their own, so that they would not be shown.
    """
    missing = [choice for choice in question.choices if choice not in question.text]
    if missing:
        raise ValueError(f"{question.place}: the option {missing[0]!r} is not in the question; give parquet files")
    return question.text
