"""How a protocol asks: text, images, length of the answer, decoding."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minigemini.benchmarks.benchmark import Sampling
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules.option_letter import LETTERS
from minigemini.benchmarks.stored_image import StoredImage

SHORT = "\nAnswer the question using a single word or phrase."
LETTER = "\nAnswer with the option's letter from the given choices directly."
CITED = re.compile(r"<image (\d+)>")  # MMMU's way to say where an image belongs


def all_images(question: Question) -> tuple[StoredImage, ...]:
    return question.images


def first_image(question: Question) -> tuple[StoredImage, ...]:
    return question.images[:1]


def images_of_numbers(question: Question, numbers: Sequence[int]) -> tuple[StoredImage, ...]:
    """
    Raises:
        ValueError: the text cites an image that the row does not have.
    """
    unknown = [number for number in numbers if not 1 <= number <= len(question.images)]
    if unknown:
        raise ValueError(f"{question.place}: <image {unknown[0]}> is cited; there are {len(question.images)} images")
    return tuple(question.images[number - 1] for number in numbers)


@dataclass(frozen=True)
class Form:
    """
    Attributes:
        text: the user's turn, without the images' markers, which the chat template writes before it.
        max_new_tokens: of the answer.
        images: those that are shown, in their order.
        sampling: None: greedy.
    """

    text: Callable[[Question], str]
    max_new_tokens: int
    images: Callable[[Question], tuple[StoredImage, ...]] = all_images
    sampling: Sampling | None = None


def bare(question: Question) -> str:
    return question.text


def followed_by(suffix: str) -> Callable[[Question], str]:
    return lambda question: question.text + suffix


def options(choices: Sequence[str]) -> str:
    """Lines "A. text"."""
    return "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))


def required_choices(question: Question) -> tuple[str, ...]:
    if not question.choices:
        raise ValueError(f"{question.place}: no options, and this protocol's prompt lists them")
    return question.choices


def lettered(question: Question) -> str:
    return f"{question.text}\n{options(required_choices(question))}{LETTER}"
