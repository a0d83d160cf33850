"""Questions in our own form, JSONL, one a line:

    {"id": "1", "kind": "", "question": "...", "choices": [..], "hint": "", "ocr": [..], "images": ["a.jpg"], "reference": {..}}

``id``, ``reference`` and either ``question`` (the protocol makes the prompt) or ``prompt`` (used as it is, under any protocol) are
required. Images are paths beneath the folder of images, by default the file's own.
"""

from pathlib import Path
from typing import Any

from minigemini.benchmarks.formats.image_folder import ImageFolder
from minigemini.benchmarks.formats.lines import read_jsonl
from minigemini.benchmarks.question import Question, cell, text_cell

KEYS = {"id", "kind", "question", "prompt", "choices", "hint", "ocr", "images", "reference"}


def read(path: Path, images: Path | None) -> list[Question]:
    """Raises ValueError: a line is not of this form; its number is named; FileNotFoundError: images are missing."""
    folder = ImageFolder(path.parent if images is None else images)
    questions = [
        _question(row, f"{path}, row {number}", folder) for number, row in enumerate(read_jsonl(path), start=1)
    ]
    folder.require_all()
    return questions


def _question(row: dict[str, Any], place: str, folder: ImageFolder) -> Question:
    if "question_id" in row:
        raise ValueError(f"{place}: this is a question file of LLaVA; give the folder in which it lies")
    unknown = sorted(set(row) - KEYS)
    if unknown:
        raise ValueError(f"{place}: unknown key {unknown[0]!r}; known are {', '.join(sorted(KEYS))}")
    if ("question" in row) == ("prompt" in row):
        raise ValueError(f"{place}: either 'question' or 'prompt' is needed")
    names = _texts(row, "images", place)
    reference = cell(row, "reference", place)
    if not isinstance(reference, dict):
        raise ValueError(f"{place}: 'reference' is {reference!r}, not an object")
    choices = tuple(_texts(row, "choices", place) or reference.get("choices") or ())
    reference = {**({"choices": list(choices)} if choices else {}), **reference}
    if names:
        reference = {"image": "+".join(names), **reference}
    return Question(
        id=str(cell(row, "id", place)),
        kind=str(row.get("kind", "")),
        text=text_cell(row, "question", place) if "question" in row else "",
        images=tuple(folder.image(name, place) for name in names),
        reference=reference,
        place=place,
        choices=choices,
        hint=str(row.get("hint", "")),
        ocr=tuple(_texts(row, "ocr", place)) if "ocr" in row else None,
        prompt=text_cell(row, "prompt", place) if "prompt" in row else None,
    )


def _texts(row: dict[str, Any], key: str, place: str) -> list[str]:
    texts = row.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{place}: {key!r} is {texts!r}, not a list of texts")
    return texts
