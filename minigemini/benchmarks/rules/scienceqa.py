"""ScienceQA test (Lu et al. 2022): 4241 questions, 2017 of them with an image; "IMG" is what tables print.

LLaVA's script (c121f04, eval_science_qa.py) counts a row as IMG when its prompt holds "<image>"; here when the reference says
``"is_multimodal": true``. A letter beyond the options is wrong. Fixture: LLaVA-1.5-13B, 3155 of 4241 and 1445 of 2017.
"""

from collections.abc import Callable, Sequence

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules import option_letter
from minigemini.benchmarks.rules.verdict import Verdict, reference_of
from minigemini.benchmarks.statistics.metric import Metric, mean_points

IMAGE, TEXT = "IMG", "text"


def rule(read: option_letter.Reader) -> Callable[[Line], Verdict]:
    def judge(line: Line) -> Verdict:
        verdict = option_letter.rule(read)(line)
        kind = IMAGE if reference_of(line, "is_multimodal") else TEXT
        return Verdict(**{**vars(verdict), "kind": kind})

    return judge


def metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
    """IMG, all, and text only."""
    parts = {kind: [verdict for verdict in verdicts if verdict.kind == kind] for kind in (IMAGE, TEXT)}
    return [
        *([mean_points("IMG accuracy", parts[IMAGE])] if parts[IMAGE] else []),
        mean_points("accuracy", verdicts),
        *([mean_points("text accuracy", parts[TEXT])] if parts[TEXT] else []),
    ]
