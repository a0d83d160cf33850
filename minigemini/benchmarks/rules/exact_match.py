"""Whole replies compared with the answer: GQA, RealWorldQA. No fixtures; by hand.

- ``gqa``: LLaVA c121f04, convert_gqa_for_eval.py: final periods dropped, lower case; then GQA's eval.py, exact equality.
  (LLaVA's patch leaves out validity, plausibility and grounding; they are meaningless on its data.)
- ``lmms_gqa``: lmms-eval 75571cf: case and all punctuation ignored on both sides, nothing stripped.
- ``stripped``: VLMEvalKit e8e78f0 (GQA): stripped and lower-cased.
- ``realworldqa``: lmms-eval 75571cf: lower case, stripped, final periods dropped. Not all questions have options.
"""

from __future__ import annotations

import string
from collections.abc import Callable

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules.verdict import Reading, Verdict, judged, reference_of

PUNCTUATION = str.maketrans("", "", string.punctuation)


def gqa(reply: str, answer: str) -> tuple[str, bool]:
    reply = reply.rstrip(".").lower()
    return reply, reply == answer


def lmms_gqa(reply: str, answer: str) -> tuple[str, bool]:
    reply = reply.lower().translate(PUNCTUATION)
    return reply, reply == answer.lower().translate(PUNCTUATION)


def stripped(reply: str, answer: str) -> tuple[str, bool]:
    reply = reply.strip().lower()
    return reply, reply == answer.strip().lower()


def realworldqa(reply: str, answer: str) -> tuple[str, bool]:
    reply = reply.lower().strip().rstrip(".")
    return reply, reply == answer.lower().strip()


def rule(compare: Callable[[str, str], tuple[str, bool]]) -> Callable[[Line], Verdict]:
    def judge(line: Line) -> Verdict:
        reply, right = compare(line["prediction"], reference_of(line, "answer"))
        return judged(line, float(right), Reading(reply, "whole reply"))

    return judge
