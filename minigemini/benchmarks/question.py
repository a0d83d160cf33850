"""A row of a benchmark as its data has it, before a protocol makes a prompt of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minigemini.benchmarks.stored_image import StoredImage


@dataclass(frozen=True)
class Question:
    """
    Attributes:
        id: as ``formats/gold.py`` has it; not always unique.
        kind: the split, task or subject it counts in.
        text: the bare question; "" where the data has the whole ``prompt``, or the question is in the picture.
        images: all there are; a protocol may show fewer.
        reference: what ``score`` needs, plain JSON. A judge's ``question`` is ``text``, unless there is one in here.
        place: file and row, for messages.
        choices: texts of the options.
        hint: what is to be read before the question; "" if nothing.
        ocr: TextVQA's reference tokens; None where the data does not say.
        asked: the question with its options as the data words it (BLINK); "" if it does not.
        prompt: the whole text of the user's turn, where the data has it ready.
        prompt_of: the protocol ``prompt`` belongs to; None: a user's own, for any.
    """

    id: str
    kind: str
    text: str
    images: tuple[StoredImage, ...]
    reference: dict[str, Any]
    place: str
    choices: tuple[str, ...] = ()
    hint: str = ""
    ocr: tuple[str, ...] | None = None
    asked: str = ""
    prompt: str | None = None
    prompt_of: str | None = None


def cell(row: Mapping[str, Any], name: str, place: str) -> Any:
    """``row[name]``. Raises ValueError: it is missing or empty; file, row and column are named."""
    value = row.get(name)
    if value is None:
        has = "is empty" if name in row else f"is not there; there are {', '.join(row)}"
        raise ValueError(f"{place}: column {name!r} {has}")
    return value


def text_cell(row: Mapping[str, Any], name: str, place: str) -> str:
    """As :func:`cell`, for what must be a text."""
    value = cell(row, name, place)
    if not isinstance(value, str):
        raise ValueError(f"{place}: column {name!r} holds {value!r}, not a text")
    return value
