"""MMMU (Yue et al. 2024) and MMMU-Pro: letters, and open answers, from replies of any length.

- ``llava``: MMMU's own mmmu/utils/eval_utils.py (bb0b95a; the copy in MGM 769820c is the same), which the LLaVA and MGM
  tables used. A reply from which no letter can be read gets a random one (module seeded with 42 at import, so the
  outcome depends on the order of the file); here it is wrong, and the random one is had with ``--official-random``.
- ``eval only``: the tool's other path, for files that hold final answers: letters are compared as they are.
- ``lmms``: lmms-eval 0.7.3, tasks/mmmu (``make test-lmms-eval``): the stripped reply; also "A " (without a space before it) and "A."
  count as letters. Versions 0.7.2 and 75571cf call every open question wrong; that is not reproduced.
- ``mmmu_pro``: MMMU-Pro's evaluate.py: a single letter after the last "Answer:", else as ``lmms``, but not stripped.
- ``vlmevalkit``: e8e78f0: an open question becomes a choice between A, the answer's text, and B, "Other Answers".

The published numbers are rounded to three places. Fixtures: the two example runs per id, with and without luck (LLaVA-1.5-13B
330 / 329, Qwen-VL 325 / 309 of 900), three files of the eval-only path, and VLMEvalKit's 328 and 223.
"""

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules import option_letter
from minigemini.benchmarks.rules.option_letter import letters
from minigemini.benchmarks.rules.verdict import FALLBACK, NOTHING, Reading, Verdict, make_verdict, reference_of

STRIPPED_IN_TURN = (",", ".", "!", "?", ";", ":", "'")  # each once, so ".," keeps its period
LOOSELY = ("{} ", "{}.")
TAIL_AFTER = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),  # 1,234
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),  # 1e5
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),  # 12.5
)


def official_letter(reply: str, choices: Sequence[str]) -> Reading:
    """ "(A)", else " A ", else, in more than five words, an option's text; of several, the last."""
    return _letter(reply, choices, (" {} ",))


def lmms_letter(reply: str, choices: Sequence[str]) -> Reading:
    return _letter(reply.strip(), choices, LOOSELY)


def pro_letter(reply: str, choices: Sequence[str]) -> Reading:
    _, said, answer = reply.rpartition("Answer:")
    found = [letter for letter in letters(choices) if letter in answer.strip()] if said else []
    return Reading(found[0], "after Answer:") if len(found) == 1 else _letter(reply, choices, LOOSELY)


def _letter(reply: str, choices: Sequence[str], bare_forms: Sequence[str]) -> Reading:
    for mark in STRIPPED_IN_TURN:
        reply = reply.strip(mark)
    reply = f" {reply} "
    for form in ("({})", *bare_forms):
        found = [letter for letter in letters(choices) if form.format(letter) in reply]
        if found:
            # the last of several is looked for as "(A)" or " A ", whatever form found them
            place = form if form == "({})" else " {} "
            return Reading(max(found, key=lambda letter: reply.rfind(place.format(letter))), f"as {form.format('A')!r}")
    if len(reply.split()) > 5:
        texts = dict(zip(letters(choices), (choice.lower() for choice in choices), strict=True))
        named = [letter for letter, text in texts.items() if text in reply.lower()]
        if named:
            return Reading(max(named, key=lambda letter: reply.lower().rfind(texts[letter])), "text of the option")
    return NOTHING


def open_candidates(reply: str) -> list[str | float]:
    """What an open reply may be saying: tails of its lines and the numbers in them, sorted, each once.

    The tool also splits at a period before a capital, after lower-casing: that never happens.
    """
    reply = reply.strip().strip(".").lower()
    parts = reply.split("\n")
    tails = []
    for number, part in enumerate(parts):
        marks = (*TAIL_AFTER, "=") if number == len(parts) - 1 else TAIL_AFTER
        shortest = ""
        for mark in marks:
            if mark in part:
                tail = part.split(mark)[-1].strip()
                if not shortest or len(tail) < len(shortest):
                    shortest = tail
        if shortest and shortest not in STRIPPED_IN_TURN:
            tails.append(shortest)
    tails = tails or [reply]
    found = tails + [number for tail in tails for pattern in NUMBERS for number in pattern.findall(tail)]
    return sorted(
        {value for text in found for value in normalise(text)}, key=lambda value: (str(value), str(type(value)))
    )


def normalise(text: str) -> list[str | float]:
    """A number rounded to two places; else lower case, a single letter with a space on either side."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        text = text.lower()
        return [f" {text}", f"{text} "] if len(text) == 1 else [text]


def open_is_right(candidates: Sequence[str | float], gold: str | Sequence[str]) -> bool:
    """A gold text inside a candidate, or a gold number equal to one."""
    answers = [value for text in ([gold] if isinstance(gold, str) else gold) for value in normalise(text)]
    texts = [value for value in answers if isinstance(value, str)]
    return any(
        any(text in candidate for text in texts) if isinstance(candidate, str) else candidate in answers
        for candidate in candidates
    )


def rule(read: option_letter.Reader) -> Callable[[Line], Verdict]:
    """A reference without choices is an open question. ``answer``: a letter, or one or several texts."""

    def judge(line: Line) -> Verdict:
        choices, gold = reference_of(line, "choices"), reference_of(line, "answer")
        if not choices:
            candidates = open_candidates(line["prediction"])
            return make_verdict(line, float(open_is_right(candidates, gold)), Reading(candidates, "open"))
        reading = read(line["prediction"], choices)
        return make_verdict(line, float(is_one_of(reading.answer, gold)), reading)

    return judge


def lmms_rule(line: Line) -> Verdict:
    """Where several answers to an open question are right, the tool looks for the text of their list, which no reply has."""
    gold = reference_of(line, "answer")
    reference = {**line["reference"], "answer": gold if isinstance(gold, str) else str(gold)}
    return rule(lmms_letter)({**line, "reference": reference})


def is_one_of(answer: Any, gold: str | Sequence[str]) -> bool:
    return answer == gold or (not isinstance(gold, str) and answer in gold)


def lucky(line: Line, random: Random) -> Verdict:
    """What the tools make of a reply without a letter: a random one."""
    letter = random.choice(letters(reference_of(line, "choices")))
    return make_verdict(line, float(is_one_of(letter, reference_of(line, "answer"))), Reading(letter, FALLBACK))


def eval_only(line: Line) -> Verdict:
    """main_eval_only.py: a letter as it is; an open answer is normalised, but nothing is searched in it."""
    gold, reply = reference_of(line, "answer"), line["prediction"]
    if reference_of(line, "question_type") == "multiple-choice":
        return make_verdict(line, float(is_one_of(reply, gold)), Reading(reply, "exact"))
    candidates = open_candidates(reply)
    return make_verdict(line, float(open_is_right(candidates, gold)), Reading(candidates, "open"))


def vlmevalkit(line: Line) -> Verdict:
    choices, gold = reference_of(line, "choices"), reference_of(line, "answer")
    if choices:
        return option_letter.rule(option_letter.vlmevalkit)(line)
    reading = option_letter.vlmevalkit(line["prediction"], [str(gold), "Other Answers"])
    return make_verdict(line, float(reading.answer == "A"), reading)
