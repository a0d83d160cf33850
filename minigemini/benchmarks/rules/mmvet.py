"""MM-Vet (Yu et al. 2023): 218 open questions, graded 0..1 by a language model.

Reproduces the aggregation of mm-vet_evaluator (yuweihao/MM-Vet acde843): 100 times the mean grade; of several runs of the
judge, the mean of the runs. The judge of the published LLaVA numbers calls itself "gpt-4" and has no date; grades of different
judges are not comparable, and its name is printed. A grade is stored as the tool stores it: ``{"model": [..], "content": [..],
"score": [..]}`` with one item a run, null where the judge gave none: it failed on that row. Without stored grades there is no number.

Fixtures: LLaVA-1.5 7B and 13B, one and three runs. Capabilities need mm-vet.json (``--gold``); no fixture for them.
"""

from collections.abc import Sequence

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules.verdict import UNANSWERED, UNASKED, Reading, Verdict, make_verdict
from minigemini.benchmarks.statistics.metric import Metric, mean_points, metric, ratio

CAPABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")


def rule(line: Line) -> Verdict:
    """``kind`` becomes the question's capabilities joined by "+", if the reference names them."""
    kind = "+".join(line["reference"].get("capability", ())) or line["kind"]
    if "grade" not in line:
        verdict = make_verdict(line, None, UNASKED)
    else:
        scores = line["grade"]["score"]
        if None in scores:
            verdict = make_verdict(line, None, UNANSWERED)
        elif not scores or not all(isinstance(score, int | float) and 0 <= score <= 1 for score in scores):
            raise ValueError(f"row {line['id']!r}: the grades are {scores!r}; each must be a number in 0..1")
        else:
            verdict = make_verdict(line, sum(scores) / len(scores), Reading(scores, "judge"))
    return Verdict(**{**vars(verdict), "kind": kind})


def metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
    """The total, each run's, each capability's. Raises ValueError: not every row was graded equally often."""
    runs = {len(verdict.reading) for verdict in verdicts if verdict.reading is not None}
    if len(runs) != 1:
        raise ValueError(f"MM-Vet: rows have {sorted(runs)} grades; all must have the same number")
    found = [mean_points("total", verdicts)]
    (count,) = runs
    for run in range(count if count > 1 else 0):
        found.append(
            metric(f"run {run + 1}", verdicts, [(v.reading[run] if v.reading else 0.0, 1) for v in verdicts], ratio)
        )
    for capability in CAPABILITIES:
        part = [verdict for verdict in verdicts if capability in verdict.kind.split("+")]
        found += [mean_points(capability, part)] if part else []
    return found
