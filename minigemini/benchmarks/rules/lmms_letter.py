"""How lmms-eval 0.7.3 reads the letter of an option; its tasks see every reply stripped.

Every reader: (reply, choices) -> Reading, as in :mod:`option_letter`. ``make test-lmms-eval`` compares each with the tool's own task.
"""

import re
import string
from collections.abc import Sequence

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules import option_letter
from minigemini.benchmarks.rules.option_letter import LETTERS, letters
from minigemini.benchmarks.rules.verdict import NOTHING, Reading, Verdict, reference_of

SURE_OF = "ABCD"  # the letters that mmstar and realworldqa know
ANNOUNCED = (
    *(f"{word}answer is" for word in ("", "the ", "correct ", "the correct ", "best ", "the best ", "my ")),
    *(f"{word}option is" for word in ("correct ", "the correct ", "best ", "the best ")),
    *(f"{word}choice is" for word in ("", "the ", "correct ", "the correct ", "my ")),
    *("i choose", "i select", "i pick"),
    *("옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは"),
)
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def lower(text: str) -> str:
    """As numpy does it for the tool's exact_match: not longer than before, where "İ" becomes two characters."""
    return text.lower()[: len(text)]


def scienceqa(reply: str, choices: Sequence[str]) -> Reading:
    """A letter of any case, or a capital and a period at the start."""
    reply = reply.strip()
    if reply.lower() in tuple(LETTERS.lower()):
        return Reading(reply.lower().upper(), "exact")
    if reply[:1].isupper() and reply[1:2] == ".":
        return Reading(reply[0], "letter and period at the start")
    return NOTHING


def seed_bench(reply: str, choices: Sequence[str]) -> Reading:
    """The first character, in any case."""
    first = reply.strip()[:1].lower()
    return Reading(first.upper(), "first character") if first in tuple(LETTERS.lower()) else NOTHING


def ai2d(reply: str, choices: Sequence[str]) -> Reading:
    """A capital and a period at the start; else the reply without punctuation is the letter, in any case."""
    start = re.match(r"\s*([A-Z])\.", reply)
    bare = lower(start[1] if start else reply.strip()).translate(WITHOUT_PUNCTUATION)
    return Reading(bare.upper(), "exact") if bare in tuple(LETTERS.lower()) else NOTHING


def surest(reply: str, choices: Sequence[str] = ()) -> Reading:
    """Where the reply, without the punctuation round it, has a capital A to D: alone at its start, alone at its end, after a phrase that
    announces an answer, as "(A)", "A.", "A:", "A)", "A ", or anywhere. The first of these that there is; in it the letter that is furthest
    to the right. After a phrase each letter counts where it is first, so "the answer is B, not A, because" is an A.
    """
    text = reply.strip()
    for mark in ",.!?;:'\"":
        text = text.strip(mark)
    text, padded = text.strip(), f" {text} "
    if text[:1] in tuple(SURE_OF) and not text[1:2].isalpha():
        return Reading(text[0], "at the start")
    if text[-1:] in tuple(SURE_OF) and not text[-2:-1].isalpha():
        return Reading(text[-1], "at the end")
    lowered = padded.lower()
    ends = [lowered.find(phrase) + len(phrase) for phrase in ANNOUNCED if phrase in lowered]
    announced = {padded.find(letter, end): letter for end in ends for letter in SURE_OF}
    if ends and max(announced) >= 0:
        return Reading(announced[max(announced)], "announced")
    for form in ("({})", "{}.", "{}:", "{})", "{} ", "{}"):
        places = {padded.rfind(form.format(letter)): letter for letter in SURE_OF}
        if max(places) >= 0:
            return Reading(places[max(places)], f"as {form.format('A')!r}")
    return NOTHING


def blink(reply: str, choices: Sequence[str]) -> Reading:
    """A letter of the options, by the first of these that there is: the first line, of at most four characters, is nothing else; the last
    one after "answer" or "answer is"; the last "(A)"; the first character, brackets and spaces before it ignored. Any case but in "(A)".
    """
    one = f"([{letters(choices) or LETTERS}])"
    reply = reply.strip()
    line = reply.partition("\n")[0].strip()
    alone = re.fullmatch(rf"(?i)\(?{one}\)?[.,:)\s]*", line) if len(line) <= 4 else None
    if alone:
        return Reading(alone[1].upper(), "alone")
    after = re.findall(rf"(?i)answers?(?:\s+is)?\s*[-:]?\s*\(?{one}(?![A-Za-z])", reply)
    for found, path in ((after, "after 'answer'"), (re.findall(rf"\({one}\)", reply), "in brackets")):
        if found:
            return Reading(found[-1].upper(), path)
    first = re.match(rf"(?i)[(\s]*{one}", reply)
    return Reading(first[1].upper(), "first letter") if first else NOTHING


def mmstar_rule(line: Line) -> Verdict:
    """``kind`` becomes the finer category (``l2_category``): the tool's average is the mean of those eighteen."""
    kind = reference_of(line, "l2_category")
    return option_letter.rule(lambda reply, _: surest(reply))({**line, "kind": kind})
