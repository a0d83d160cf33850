"""How each tool reads yes or no from a reply (POPE, MME, HallusionBench). Every function: reply -> Reading."""

import re

from minigemini.benchmarks.rules.verdict import NOTHING, Reading
from minigemini.benchmarks.rules.vqa_soft_accuracy import PERIOD_CORRECTED, without_punctuation

YES, NO = "yes", "no"
WORD_YES = re.compile(r"\byes\b", re.IGNORECASE)


def pope(reply: str) -> Reading:
    """POPE e3e3926, evaluate.py (LLaVA c121f04, eval_pope.py): the words before the first period, commas dropped; "No",
    "not" or "no" among them is a no. The tool takes everything else for a yes, also silence; here a reply without
    the word is unparsable, and the tool's yes is had with ``--official-random``.
    """
    start = reply.split(".")[0].replace(",", "")
    if any(word in start.split(" ") for word in ("No", "not", "no")):
        return Reading(NO, "word")
    return Reading(YES, "word") if WORD_YES.search(start) else NOTHING


def whole_reply(reply: str) -> Reading:
    """lmms-eval 0.7.3, tasks/pope: the stripped, lower-cased reply must be the word; "Yes." is neither."""
    reply = reply.strip().lower()
    return Reading(reply, "exact") if reply in (YES, NO) else NOTHING


def mme(reply: str) -> Reading:
    """MME's eval_tool, calculation.py: the lower-cased reply, else "yes", then "no", anywhere in its first four characters.

    Nothing is stripped: a leading space shifts the window. "not", "now" and "none" are a no.
    """
    reply = reply.lower()
    if reply in (YES, NO):
        return Reading(reply, "exact")
    for word in (YES, NO):
        if word in reply[:4]:
            return Reading(word, "first four characters")
    return NOTHING


def mme_lmms(reply: str) -> Reading:
    """lmms-eval 0.7.3, tasks/mme: as MME's tool, after stripping and dropping periods; "y" and "n" alone count too."""
    reply = reply.lower().strip().replace(".", "")
    if reply in ("y", "n"):
        return Reading({"y": YES, "n": NO}[reply], "letter")
    return mme(reply) if len(reply) != 1 else NOTHING


def one_of_the_words(reply: str) -> Reading:
    """VLMEvalKit e8e78f0, YOrN_Extraction: exactly one of the two words, anywhere, after its punctuation rule. Fixture: MME,
    cognition 248.93.
    """
    words = without_punctuation(reply.lower(), PERIOD_CORRECTED).split()
    found = [word for word in (YES, NO) if word in words]
    return Reading(found[0], "word") if len(found) == 1 else NOTHING
