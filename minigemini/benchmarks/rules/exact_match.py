"""Whole replies compared with the answer: GQA, RealWorldQA. No fixtures; by hand, ``lmms`` by ``make test-lmms-eval``.

- ``gqa``: LLaVA c121f04, convert_gqa_for_eval.py: final periods dropped, lower case; then GQA's eval.py, exact equality.
  (LLaVA's patch leaves out validity, plausibility and grounding; they are meaningless on its data.)
- ``lmms_gqa``: lmms-eval 0.7.3: the reply is stripped; case and all punctuation ignored on both sides.
- ``realworldqa``: xAI published no script; every question asks for the bare letter, word or number. Case, space round it and final periods
  are ignored.
- ``lmms_realworldqa``: lmms-eval 0.7.3: so too, but where the answer is a letter, the reply's surest one.
"""

import string
from collections.abc import Callable

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules import lmms_letter
from minigemini.benchmarks.rules.verdict import Reading, Verdict, make_verdict, reference_of

PUNCTUATION = str.maketrans("", "", string.punctuation)


def gqa(reply: str, answer: str) -> tuple[str, bool]:
    reply = reply.rstrip(".").lower()
    return reply, reply == answer


def lmms_gqa(reply: str, answer: str) -> tuple[str, bool]:
    reply = lmms_letter.lower(reply.strip()).translate(PUNCTUATION)
    return reply, reply == lmms_letter.lower(answer).translate(PUNCTUATION)


def realworldqa(reply: str, answer: str) -> tuple[str, bool]:
    reply = reply.lower().strip().rstrip(".")
    return reply, reply == answer.lower().strip()


def lmms_realworldqa(reply: str, answer: str) -> tuple[str, bool]:
    gold = answer.strip().upper()
    if gold not in tuple(lmms_letter.SURE_OF):
        return realworldqa(reply, answer)
    letter = lmms_letter.surest(reply).answer
    return letter or "", letter == gold


def rule(compare: Callable[[str, str], tuple[str, bool]]) -> Callable[[Line], Verdict]:
    def judge(line: Line) -> Verdict:
        reply, right = compare(line["prediction"], reference_of(line, "answer"))
        return make_verdict(line, float(right), Reading(reply, "whole reply"))

    return judge
