"""What an answer says to the image generator, judged without any picture."""

from __future__ import annotations

from collections.abc import Sequence

from minigemini.benchmarks.benchmark import Score
from minigemini.benchmarks.statistics.wilson import wilson
from minigemini.conversation import PROMPT_END, PROMPT_START, find_prompts


def has_well_formed_prompts(answer: str) -> bool:
    """Does the answer hold prompts, perhaps among words, and every one by the grammar that constrained decoding keeps to?

    Each ``<h>`` has its ``</h>``; between them is a letter or a digit and no ``<``.
    """
    prompts = [span.prompt for span in find_prompts(answer)]
    if not prompts or not answer.count(PROMPT_START) == answer.count(PROMPT_END) == len(prompts):
        return False
    return all("<" not in prompt and any(c.isalnum() for c in prompt) for prompt in prompts)


def is_one_prompt(answer: str) -> bool:
    """Is the whole answer one well-formed prompt, with nothing but white space around it?"""
    answer = answer.strip()
    whole = [(span.start, span.end) for span in find_prompts(answer)] == [(0, len(answer))]
    return whole and has_well_formed_prompts(answer)


def balanced_accuracy(wanted: Sequence[bool], decided: Sequence[bool]) -> Score:
    """The mean of the accuracies of the two classes; of one, where the examples have only one."""
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for want, got in zip(wanted, decided, strict=True):
        hits[want].append(want == got)
    sides = [side for side in hits.values() if side]  # a smoke run of two examples may have one class only
    value = sum(sum(side) / len(side) for side in sides) / len(sides)
    # The mean of two accuracies varies like one accuracy over 4 / (1/n1 + 1/n2) examples: n1 + n2 for even classes.
    worth = len(sides) ** 2 / sum(1 / len(side) for side in sides)
    return Score(value, len(decided), wilson(value, worth))
