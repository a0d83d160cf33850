"""MathVista testmini (Lu et al. 2024): 1000 problems, 540 of them with choices.

The published number needs a language model that extracts the answer from the reply (GPT-4 0613 for MGM). ``llava`` takes
its stored extractions and reproduces evaluation/calculate_score.py (lupantech/MathVista 53d5258; MGM's copy gives the same):
of a choice, a letter in brackets wins, else a bare letter, else the choice at the least edit distance, the first of
equals; an integer is str(int(float(x))), a float str(round(float(x), precision)). Then strings are compared.

One difference, on purpose: an *empty* extraction is wrong. The tool takes the choice nearest to "" and so gives 16.8 % to a
judge that is not there; that is had with ``--official-random``. An empty extraction of a reply that is not empty is a judge
that failed: wrong, and with more than 1 % of them there is no score.

``rules`` is another number under another name: no judge, only what can be read off (:func:`read_off`).

Fixtures: every run of expected.json, per problem, and the breakdown of LLaVA's (whose grade and skill labels were made anew
since). MGM on today's data files calls round() with 1.0 as precision and calls all decimals wrong; not reproduced.
"""

import re
from collections.abc import Sequence
from random import Random
from typing import Any

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules.anls import edit_distance
from minigemini.benchmarks.rules.option_letter import letters
from minigemini.benchmarks.rules.verdict import (
    FALLBACK,
    NOTHING,
    UNANSWERED,
    UNASKED,
    Reading,
    Verdict,
    make_verdict,
    reference_of,
)
from minigemini.benchmarks.statistics.metric import Metric, by_kind, mean_points

IN_BRACKETS = re.compile(r"\(([a-zA-Z])\)")
QUOTED_ANSWER = re.compile(r'The answer is "(.*)"\.')
LAST_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")


def normalise(extraction: str, problem: dict[str, Any]) -> Reading:
    """What an extraction stands for, as the string that is compared with the answer.

    Args:
        extraction: what the judge, or a rule, found in the reply.
        problem: ``question_type``, ``answer_type``, ``precision`` and ``choices``.
    """
    if problem["question_type"] == "multi_choice":
        choices = problem["choices"]
        extraction = extraction.strip()
        bracketed = IN_BRACKETS.search(extraction)
        letter = bracketed[1].upper() if bracketed else extraction
        if letter in tuple(letters(choices)):
            return Reading(choices[letters(choices).index(letter)], "letter")
        # of "(x) text" with an x beyond the choices, the tool goes on with the letter alone
        nearest = min(choices, key=lambda choice: edit_distance(letter, choice))
        return Reading(nearest, "exact" if nearest == letter else "nearest choice")
    kind = problem["answer_type"]
    if kind == "list":
        return Reading(extraction, "exact")
    try:
        number = float(extraction)
        if kind == "integer":
            return Reading(str(int(number)), "number")
        return Reading(str(round(number, int(problem["precision"]))), "number")
    except (ValueError, OverflowError):  # not a number, or infinite
        return NOTHING


def rule(line: Line) -> Verdict:
    """By the stored extraction of a judge, ``line["extraction"]``; without it the row is not judged. Our judge may find that the
    reply holds ``no_answer``.
    """
    problem, gold = line["reference"], reference_of(line, "answer")
    if "extraction" not in line:
        reading = exactly(line["prediction"], problem)
        if reading is NOTHING:
            return make_verdict(line, None, UNASKED)
        return make_verdict(line, float(reading.answer == gold), reading)
    extraction = line["extraction"]
    if extraction is None or not str(extraction).strip():
        if line["prediction"].strip() and not line.get("no_answer"):
            return make_verdict(line, None, UNANSWERED)
        return make_verdict(line, 0.0, NOTHING)
    reading = normalise(str(extraction), problem)
    return make_verdict(line, float(reading.answer == gold), reading)


def nearest_to_nothing(line: Line, _: Random) -> Verdict:
    """What the tool makes of an empty extraction."""
    reading = normalise("", line["reference"])
    return make_verdict(line, float(reading.answer == reference_of(line, "answer")), Reading(reading.answer, FALLBACK))


def exactly(reply: str, problem: dict[str, Any]) -> Reading:
    """The replies for which the tool asks no judge: a choice word for word, or nothing but a number."""
    if problem["question_type"] == "multi_choice":
        return Reading(reply, "exact") if reply in problem["choices"] else NOTHING
    return normalise(reply, problem) if problem["answer_type"] in ("integer", "float") else NOTHING


def read_off(reply: str, problem: dict[str, Any]) -> Reading:
    """Our own rule: as :func:`exactly`; else 'The answer is "x".'; else the last letter in brackets or the only choice that is
    named; else the last number. Nothing is guessed by distance.
    """
    reading = exactly(reply, problem)
    if reading is not NOTHING:
        return reading
    quoted = QUOTED_ANSWER.search(reply)
    text = quoted[1] if quoted else reply.strip()
    if problem["question_type"] == "multi_choice":
        choices = problem["choices"]
        marked = [letter.upper() for letter in IN_BRACKETS.findall(text) if letter.upper() in letters(choices)]
        bare = text.rstrip(".")
        if marked or bare in tuple(letters(choices)):
            return Reading(choices[letters(choices).index(marked[-1] if marked else bare)], "letter")
        named = [choice for choice in choices if re.search(rf"(?<!\w){re.escape(choice)}(?!\w)", text)]
        return Reading(named[0], "text of the option") if len(named) == 1 else NOTHING
    if problem["answer_type"] == "list":
        found = re.findall(r"\[[^\[\]]*\]", text)
        return Reading(found[-1], "list") if found else NOTHING
    numbers = LAST_NUMBER.findall(text)
    return normalise(numbers[-1].replace(",", ""), problem) if numbers else NOTHING


def rule_without_judge(line: Line) -> Verdict:
    reading = read_off(line["prediction"], line["reference"])
    return make_verdict(line, float(reading.answer == reference_of(line, "answer")), reading)


def metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
    """Overall, and by kind (the task of the problem's metadata)."""
    parts = sorted(by_kind(verdicts).items())
    return [mean_points("accuracy", verdicts), *(mean_points(kind, part) for kind, part in parts if len(parts) > 1)]
