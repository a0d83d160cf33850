"""How a language model grades, or reads, the answers of a benchmark: what it is told, and how its reply is understood.

The prompts are our own words: the published ones are other people's text, some with long tables of examples. A number made with them
is therefore **not comparable with the published tables**, and says so. ``--judge-prompt FILE`` takes the published prompt, or any other,
with the same fields in braces (a brace that is meant as such is doubled).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules.verdict import reference_of

Said = dict[str, Any]
"""What is added to a line: ``grade`` or ``extraction``, and the ``model`` that said it."""
Ask = Callable[[str, float, int], "tuple[str, str]"]
"""(prompt, temperature, most tokens) -> (reply, name of the model)."""


@dataclass(frozen=True)
class Judge:
    """
    Attributes:
        prompt: our own.
        fields: what every prompt of this benchmark must hold, from a line.
        judge: asks, once or more, and understands.
        failed: what is stored where the judge said nothing that can be understood.
        needed: whether the rule without a judge leaves this line to it.
        system: a first message that every prompt has.
        protocol: the one that scores by what the judge says.
    """

    prompt: str
    fields: Callable[[Line], dict[str, str]]
    judge: Callable[[Ask, str, Line], Said]
    failed: Said
    needed: Callable[[Line], bool] = lambda line: True
    system: str = ""
    protocol: str = "llava"


def question_of(line: Line) -> str:
    """The bare question where the gold answers bring it, else what stood in the predictions. The model's prompt is none: with
    system text, options and the request for a letter it would make another number of the same benchmark.
    """
    question = line["reference"].get("question") or line.get("question")
    if question:
        return question
    raise ValueError(f"row {line['id']!r}: nothing says its 'question'; give the gold answers with --gold")


def with_answer(line: Line) -> dict[str, str]:
    return {
        "question": question_of(line),
        "answer": str(reference_of(line, "answer")),
        "prediction": line["prediction"],
    }
