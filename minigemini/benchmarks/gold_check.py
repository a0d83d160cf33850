"""Gold answers that no reply can equal: found before the first answer, by giving each as a reply."""

from collections.abc import Sequence
from typing import Any

from minigemini.benchmarks.benchmark import Line, Protocol
from minigemini.benchmarks.rules.option_letter import LETTERS
from minigemini.benchmarks.rules.verdict import Verdict

GOLD = {"answer", "answers"}  # keys of a reference
FROM_JUDGES = {"grade", "extraction"}  # keys of a line


def has_gold(lines: Sequence[Line]) -> bool:
    """Whether any row has a gold answer; in a test split none has."""
    return any(GOLD & line["reference"].keys() for line in lines)


def wrong_type(line: Line) -> str | None:
    """What is wrong with the form of a line's gold answer: ``answer`` is a text (or several), ``answers`` a list of texts."""
    for key in GOLD & line["reference"].keys():
        gold = line["reference"][key]
        texts = isinstance(gold, list) and gold and all(isinstance(one, str) for one in gold)
        if not (texts or (key == "answer" and isinstance(gold, str))):
            return f"{key!r} is {gold!r}, not a {'text' if key == 'answer' else 'list of texts'}"
    return None


def unreachable(protocol: Protocol, line: Line, verdict: Verdict) -> str | None:
    """Why the gold answer, given as reply, is not right; None where it is, or where only a judge can say it.

    Args:
        verdict: on the line as it is: what the rule takes for its gold answer.
    """
    if not GOLD & line["reference"].keys() or is_not_offered(line):
        return None
    reply = protocol.right_reply(line, verdict.gold)
    choices: Any = line["reference"].get("choices")
    if choices and reply in tuple(LETTERS[len(choices) :]):
        return f"the right answer is {reply!r}, and there are {len(choices)} options"
    without_judge = {key: value for key, value in line.items() if key not in FROM_JUDGES}
    if protocol.rule({**without_judge, "prediction": reply}).points != 0:
        return None
    key = "answer" if "answer" in line["reference"] else "answers"
    if choices == [] and reply in tuple(LETTERS):
        return f"the right answer is {reply!r}, and there are no options"
    return f"{key!r} is {line['reference'][key]!r}: no reply is right, not even this one"


def is_not_offered(line: Line) -> bool:
    """Is the right option an empty one? The tools do not show it, and count the row as wrong."""
    answer, choices = line["reference"].get("answer"), line["reference"].get("choices") or ()
    return any(answer == letter and not text for letter, text in zip(LETTERS, choices, strict=False))
