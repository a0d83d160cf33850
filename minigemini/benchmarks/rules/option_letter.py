"""How each tool reads the letter of an option from a reply (ScienceQA, SEED-Bench, MMBench, AI2D, MMStar, BLINK, ...).

Every reader: (reply, choices) -> Reading, where ``choices`` are the options' texts in order. A letter beyond the last
option is read, and wrong. Fixtures: :func:`llava_scienceqa` (5 failures of 4241) and :func:`exact` (SEED-Bench);
:func:`vlmevalkit` through MMMU's two example runs. Others by hand. lmms-eval's readers: :mod:`lmms_letter`.
"""

import re
import string
from collections.abc import Callable, Sequence

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules.verdict import NOTHING, Reading, Verdict, make_verdict, reference_of

Reader = Callable[[str, Sequence[str]], Reading]

ANSWER_IS = re.compile(r"The answer is ([A-Z]).")
ANSWER_IS_LOOSELY = re.compile(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**")
REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
LETTERS = string.ascii_uppercase


def letters(choices: Sequence[str]) -> str:
    return LETTERS[: len(choices)]


def exact(reply: str, choices: Sequence[str]) -> Reading:
    """The reply is the letter and nothing else: LLaVA's SEED-Bench upload compares so ("A." and "a" are wrong)."""
    return Reading(reply, "exact") if reply in tuple(LETTERS) else NOTHING


def llava_scienceqa(reply: str, choices: Sequence[str]) -> Reading:
    """LLaVA c121f04, eval_science_qa.py: a bare letter A to E; "A. " at the start; one "The answer is A." """
    if reply in tuple("ABCDE"):
        return Reading(reply, "exact")
    if reply[:1] in tuple("ABCDE") and reply[1:3] == ". ":
        return Reading(reply[0], "letter and period at the start")
    found = ANSWER_IS.findall(reply)
    return Reading(found[0], "the answer is") if len(found) == 1 else NOTHING


def mmstar(reply: str, choices: Sequence[str]) -> Reading:
    """MMStar 79e6d1c, eval/vlmeval/evaluate/mmstar.py: the first character of the stripped reply in any case, or the one after "(",
    "option " or "the answer is ". An "A" that starts a sentence is an answer.
    """
    reply = reply.lower().strip().replace("\n", " ")
    for start in ("(", "option ", "the answer is ", ""):
        if reply.startswith(start) and reply[len(start) : len(start) + 1] in tuple(string.ascii_lowercase):
            return Reading(reply[len(start)].upper(), f"after {start!r}" if start else "first character")
    return NOTHING


def blink(reply: str, choices: Sequence[str]) -> Reading:
    """BLINK 0cca9a3, eval/test_benchmark.py: the reply is "A" or "(A)"; else the only option's "(A)" among the words of its last
    paragraph, or of all of it. What is left goes to a judge there (GPT-3.5); here it is unparsable.
    """
    if reply in tuple("ABCDE") or reply in tuple(f"({letter})" for letter in "ABCDE"):
        return Reading(reply.strip("()"), "exact")
    for part in (reply.split("\n\n")[-1], reply):
        found = [letter for letter in letters(choices[:5]) if f"({letter})" in part.split()]
        if len(found) == 1:
            return Reading(found[0], "the only one in brackets")
    return NOTHING


def vlmevalkit(reply: str, choices: Sequence[str]) -> Reading:
    """VLMEvalKit e8e78f0, matching_util.can_infer, without a judge.

    ``.()[],:;!*#{}`` become spaces; exactly one option letter among the words and among the last four of them; else
    "(correct) answer is X"; else exactly one option whose text is in the reply, unless the reply is longer than twice all
    options together. What is left goes to the judge there; here it is unparsable. (VERBOSE set in the environment changes
    what the tool does with an "A"; it is taken as not set.)
    """
    if "Failed to obtain answer via API" in reply:
        return NOTHING
    if any(refusal in reply for refusal in REFUSALS):
        return Reading("Z", "refusal")
    words = re.sub(r"[.()\[\],:;!*#{}]", " ", reply).split()
    offered = {letter: text for letter, text in zip(LETTERS, choices, strict=False) if text}  # an empty one is none
    found = [letter for letter in offered if letter in words]
    if len(found) == 1 and words.index(found[0]) > len(words) - 5:
        return Reading(found[0], "letter")
    if not found and "Z" in words:
        return Reading("Z", "letter")
    said = ANSWER_IS_LOOSELY.search(reply)
    if said and said[1].upper() in offered:
        return Reading(said[1].upper(), "the answer is")
    if len(reply) > 2 * sum(map(len, choices)):
        return NOTHING
    named = [letter for letter, text in offered.items() if text.lower() in reply.lower()]
    return Reading(named[0], "text of the option") if len(named) == 1 else NOTHING


def rule(read: Reader) -> Callable[[Line], Verdict]:
    """Right when the letter read is the answer's."""

    def judge(line: Line) -> Verdict:
        reading = read(line["prediction"], line["reference"].get("choices", ()))
        return make_verdict(line, float(reading.answer == reference_of(line, "answer")), reading)

    return judge


def rule_with_choices(read: Reader) -> Callable[[Line], Verdict]:
    """As :func:`rule`, for readers that compare with the options: without them in the reference it is an error."""

    def judge(line: Line) -> Verdict:
        reference_of(line, "choices")
        return rule(read)(line)

    return judge
