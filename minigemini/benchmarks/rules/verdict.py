"""One answer judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from minigemini.benchmarks.benchmark import Line

UNPARSABLE = "unparsable"
FALLBACK = "fallback"
NOT_JUDGED, JUDGE_FAILED = "not judged", "judge failed"
EXPECTED = "expected value"  # of a guess


class Reading(NamedTuple):
    """What a rule reads from a reply (None: nothing), and which of its steps did it."""

    answer: Any
    path: str


NOTHING = Reading(None, UNPARSABLE)
UNASKED = Reading(None, NOT_JUDGED)
UNANSWERED = Reading(None, JUDGE_FAILED)


@dataclass(frozen=True)
class Verdict:
    """
    Attributes:
        id: of the line.
        kind: the split, task or subject it belongs to.
        points: 0..1 (MM-Vet's and VQA's rules give fractions); None where a judge has to say it and has not.
        reading: what was understood of the reply, plain JSON; None where nothing was.
        path: the step of the rule by which it was understood; :data:`UNPARSABLE` where nothing was (such an answer is
            wrong); :data:`FALLBACK` where it was asked for what the tool then does instead (a random choice, mostly);
            :data:`NOT_JUDGED` and :data:`JUDGE_FAILED` where a judge was not asked, or asked in vain.
        gold: the right answer, plain JSON.
        image: what the answer is about. Answers about one image are not independent of each other.
        together: answers with the same value here count as one (an MME pair, the rotations of an MMBench question).
    """

    id: str
    kind: str
    points: float | None
    reading: Any
    path: str
    gold: Any
    image: str
    together: str = ""


def make_verdict(line: Line, points: float | None, reading: Reading, together: str = "", gold: Any = None) -> Verdict:
    """The verdict on ``line``. A row whose image is not known is taken as an image of its own."""
    reference = line["reference"]
    return Verdict(
        id=line["id"],
        kind=line["kind"],
        points=points,
        reading=reading.answer,
        path=reading.path,
        gold=reference.get("answer", reference.get("answers")) if gold is None else gold,
        image=str(reference.get("image", line["id"])),
        together=together,
    )


def reference_of(line: Line, key: str) -> Any:
    """``line["reference"][key]``.

    Raises:
        ValueError: it is not there; a file of predictions without the gold answers was given.
    """
    if key not in line["reference"]:
        raise ValueError(f"row {line['id']!r}: nothing says its {key!r}; give the gold answers with --gold")
    return line["reference"][key]
