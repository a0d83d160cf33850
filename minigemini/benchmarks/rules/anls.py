"""Average normalised Levenshtein similarity (Biten et al. 2019): DocVQA, InfoVQA.

Per question the best over the answers of 1 - distance / length of the longer, lower-cased, white space folded; what falls
below one half is 0.

- ``rrc``: the script of the Robust Reading Competition: exactly one half counts, and the length is taken *before* folding, and of the
  upper-cased text.
- ``lmms``: lmms-eval 0.7.3: the same, but the reply is stripped first (``make test-lmms-eval``).
- ``paper``: one half is 0 too, and the length is that of what was compared.

No fixture: no scored sample is public. ``rrc`` and ``paper`` by hand.
"""

from collections.abc import Callable

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules.verdict import Reading, Verdict, make_verdict, reference_of

THRESHOLD = 0.5


def edit_distance(a: str, b: str) -> int:
    """Levenshtein's: insertions, deletions and substitutions, each one."""
    previous = list(range(len(b) + 1))
    for row, left in enumerate(a, start=1):
        current = [row]
        for column, right in enumerate(b, start=1):
            substituted = previous[column - 1] + (left != right)
            current.append(min(substituted, previous[column] + 1, current[-1] + 1))
        previous = current
    return previous[-1]


def fold(text: str) -> str:
    return " ".join(text.lower().split())


def rrc_similarity(reply: str, answer: str) -> float:
    length = max(len(reply.upper()), len(answer.upper()))
    similarity = 1 - (edit_distance(fold(reply), fold(answer)) / length if length else 0.0)
    return similarity if similarity >= THRESHOLD else 0.0


def lmms_similarity(reply: str, answer: str) -> float:
    return rrc_similarity(reply.strip(), answer)


def paper_similarity(reply: str, answer: str) -> float:
    reply, answer = fold(reply), fold(answer)
    length = max(len(reply), len(answer))
    similarity = 1 - (edit_distance(reply, answer) / length if length else 0.0)
    return similarity if similarity > THRESHOLD else 0.0


def rule(similarity: Callable[[str, str], float]) -> Callable[[Line], Verdict]:
    def judge(line: Line) -> Verdict:
        reply = line["prediction"]
        best = max(similarity(reply, answer) for answer in reference_of(line, "answers"))
        return make_verdict(line, best, Reading(fold(reply), "whole reply"))

    return judge
