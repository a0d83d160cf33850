"""Prompts of the LLaVA-1.5 and Mini-Gemini tables (LLaVA c121f04 with its eval.zip, MGM 769820c).

The chat template puts "<image>\\n" before the text, as the tools do. 128 new tokens where ``model_vqa_loader`` answers, 1024 where
``model_vqa``, ``model_vqa_mmbench``, ``model_vqa_science`` and ``model_math_vista`` do, 128 for MMMU. All greedy but MMMU in MGM's
script, which samples (``mgm``).
"""

from __future__ import annotations

from itertools import takewhile

from minigemini.benchmarks.benchmark import Sampling
from minigemini.benchmarks.formats.join import ANSWER_YES_OR_NO
from minigemini.benchmarks.prompts.form import (
    LETTER,
    SHORT,
    Form,
    bare,
    first_image,
    followed_by,
    lettered,
    options,
    required_choices,
)
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules.option_letter import LETTERS

UNANSWERABLE = "\nWhen the provided information is insufficient, respond with 'Unanswerable'."
CHINESE_LETTER = "\n请直接回答选项字母。"
MATHVISTA_HINT = "Hint: Please answer the question "
MATHVISTA_HINTS = {  # by the type of the answer and the places of a decimal
    ("text", None): "and provide the correct option letter, e.g., A, B, C, D, at the end.",
    ("integer", None): "requiring an integer answer and provide the final value, e.g., 1, 2, 3, at the end.",
    ("float", 1): "requiring a floating-point number with one decimal place and provide the final value, "
    "e.g., 1.2, 1.3, 1.4, at the end.",
    ("float", 2): "requiring a floating-point number with two decimal places and provide the final value, "
    "e.g., 1.23, 1.34, 1.45, at the end.",
    ("list", None): "requiring a Python list as an answer and provide the final list, "
    "e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the end.",
}


def textvqa(question: Question) -> str:
    """With reference OCR tokens; the line stays where there are none (115 of 5000 rows)."""
    if question.ocr is None:
        raise ValueError(
            f"{question.place}: no OCR tokens; LLaVA's and MGM's prompts hold them (12 points for LLaVA-1.5). Give LLaVA's "
            "question file or data with an ocr_tokens column; lmms-eval asks without them"
        )
    return f"{question.text}\nReference OCR token: {', '.join(question.ocr)}{SHORT}"


def yes_or_no(question: Question) -> str:
    """Without the request that MME's (and some copies of POPE's) questions end with."""
    return ANSWER_YES_OR_NO.sub("", question.text) + SHORT


def is_missing(cell: str) -> bool:
    """As LLaVA takes a cell of MMBench: a real option "None" is lost."""
    return cell.strip() == "" or cell.lower() in ("nan", "none")


def mmbench(suffix: str) -> Form:
    def text(question: Question) -> str:
        choices = list(takewhile(lambda choice: not is_missing(choice), required_choices(question)))
        hint = "" if is_missing(question.hint) else f"{question.hint}\n"
        return f"{hint}{question.text}\n{options(choices)}{suffix}"

    return Form(text, 1024)


def scienceqa(question: Question) -> str:
    context = f"Context: {question.hint}\n" if question.hint else ""
    return context + lettered(question)


def mmmu(question: Question) -> str:
    """MMMU's llava1.5.yaml as YAML folds it: one empty line before the request, none before that of an open question."""
    if not question.choices:
        return question.text + SHORT
    listed = "".join(f"({letter}) {choice}\n" for letter, choice in zip(LETTERS, question.choices, strict=False))
    return f"{question.text}\n{listed}{LETTER}"


def mathvista(question: Question) -> str:
    """MathVista's query (53d5258, build_query.py) with no examples and without the "Solution: " that is never appended."""
    kind, precision = question.reference["answer_type"], question.reference["precision"]
    key = (kind, int(precision) if kind == "float" and precision is not None else None)
    if key not in MATHVISTA_HINTS:
        raise ValueError(f"{question.place}: MathVista has no prompt for {kind!r} with {precision!r} decimal places")
    unit = f" (Unit: {question.reference['unit']})" if question.reference.get("unit") else ""
    listed = "".join(f"\n({letter}) {choice}" for letter, choice in zip(LETTERS, question.choices, strict=False))
    choices = f"\nChoices:{listed}" if listed else ""
    # the tool strips the query it has put together
    return f"{MATHVISTA_HINT}{MATHVISTA_HINTS[key]}\nQuestion: {question.text}{unit}{choices}".strip()


FORMS = {
    "textvqa": Form(textvqa, 128),
    "vqav2": Form(followed_by(SHORT), 128),
    "gqa": Form(followed_by(SHORT), 128),
    "vizwiz": Form(followed_by(UNANSWERABLE + SHORT), 128),
    "pope": Form(yes_or_no, 128),
    "mme": Form(yes_or_no, 128),
    "seed_bench": Form(lettered, 128),
    "scienceqa": Form(scienceqa, 1024),
    "mmbench": mmbench(LETTER),
    "mmbench_cn": mmbench(CHINESE_LETTER),
    "mmvet": Form(bare, 1024),
    "llava_bench": Form(bare, 1024),
    "mathvista": Form(mathvista, 1024),
    "mmmu": Form(mmmu, 128, first_image),  # whatever images the question cites
}
MGM = {"mmmu": Form(mmmu, 128, first_image, Sampling(temperature=1.0, num_beams=5))}
RULES = {"mathvista": FORMS["mathvista"]}  # another way to read the same answers
