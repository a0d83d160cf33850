"""Prompts of VLMEvalKit (e8e78f0; image_mcq.py, image_vqa.py, image_yorn.py) for a model without prompts of its own, which is how it
asks MGM. 1024 new tokens, as in its MGM wrapper; "no" limit belongs to a benchmark there.
"""

from __future__ import annotations

from minigemini.benchmarks.prompts.form import (
    CITED,
    SHORT,
    Form,
    bare,
    followed_by,
    images_of_numbers,
    required_choices,
)
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules.option_letter import LETTERS
from minigemini.benchmarks.stored_image import StoredImage

TOKENS = 1024
# What pandas takes for an empty cell when it reads the table.
EMPTY = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA")
    + ("NULL", "NaN", "None", "n/a", "nan", "null")
)


def choice(question: Question) -> str:
    """Options of which the cell is empty are left out, those after them are not."""
    required_choices(question)
    return open_or_choice(question)


def open_or_choice(question: Question) -> str:
    lines = [] if question.hint in EMPTY else [f"Hint: {question.hint}\n"]
    lines.append(f"Question: {question.text}\n")
    listed = [
        f"{letter}. {text}\n" for letter, text in zip(LETTERS, question.choices, strict=False) if text not in EMPTY
    ]
    if listed:
        lines += ["Options:\n", *listed, "Please select the correct answer from the options above. \n"]
    return "".join(lines)


def mmmu(question: Question) -> str:
    """The text is cut where an image is cited; for a model that cannot interleave the pieces become lines."""
    return "\n".join(CITED.split(open_or_choice(question))[::2])


def images_of_mmmu(question: Question) -> tuple[StoredImage, ...]:
    """The first that is cited, all that such a model is shown; the first of the row where none is."""
    cited = CITED.findall(open_or_choice(question))
    return images_of_numbers(question, [int(cited[0])] if cited else [1])


CHOICE = Form(choice, TOKENS)
VQA = Form(followed_by(SHORT), TOKENS)
BARE = Form(bare, TOKENS)
FORMS = {
    **dict.fromkeys(
        ("mmbench", "mmbench_cn", "seed_bench", "scienceqa", "ai2d", "mmstar", "blink", "realworldqa"), CHOICE
    ),
    **dict.fromkeys(("textvqa", "gqa", "docvqa", "infovqa", "chartqa"), VQA),
    **dict.fromkeys(
        ("vizwiz", "ocrbench", "pope", "mme", "hallusionbench"), BARE
    ),  # MME's table asks "Please answer ..."
    "mmmu": Form(mmmu, TOKENS, images_of_mmmu),
}
