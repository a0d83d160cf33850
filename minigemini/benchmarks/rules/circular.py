"""MMBench (Liu et al. 2023): a question counts only when all rotations of its options are answered rightly.

The rows of one question have the indices base + 1,000,000 k. Reproduces the server's circular accuracy for replies that
are letters; what is not goes to a judge there, and is unparsable here unless ``line["extraction"]`` holds what a judge took it
for (a letter; "Z" for no option; "" where the judge failed). Three data sets are called "MMBench dev":
dev_20230712 (4377 rows, 1176 questions; LLaVA's and MGM's), VLMEvalKit's MMBench_DEV_EN (1164 questions) and V11.

No fixture; by hand. (Of LLaVA-1.5-13B, 796 of 1176 were reported for this rule, which is the published 67.7.)
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules import option_letter
from minigemini.benchmarks.rules.verdict import NOTHING, UNANSWERED, Reading, Verdict, make_verdict, reference_of
from minigemini.benchmarks.statistics.metric import Metric, mean_points, metric, points_of, ratio

ROTATION = 1_000_000


def rule(read: option_letter.Reader) -> Callable[[Line], Verdict]:
    def judge(line: Line) -> Verdict:
        if not line["id"].isdigit():
            raise ValueError(f"row {line['id']!r}: MMBench's index is a whole number")
        reading = read(line["prediction"], reference_of(line, "choices"))
        if reading is NOTHING and "extraction" in line:
            reading = Reading(line["extraction"], "judge") if line["extraction"] else UNANSWERED
        points = None if reading is UNANSWERED else float(reading.answer == reference_of(line, "answer"))
        base = str(int(line["id"]) % ROTATION)
        verdict = make_verdict(line, points, reading, together=base)
        # a row whose image is not known at least shares it with the question's other rotations
        return verdict if "image" in line["reference"] else Verdict(**{**vars(verdict), "image": base})

    return judge


def metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
    """Circular, vanilla (every row counts), first pass (only the unrotated rows), then circular by kind."""
    first = [verdict for verdict in verdicts if int(verdict.id) < ROTATION]
    kinds = sorted({verdict.kind for verdict in verdicts})
    return [
        all_right("circular accuracy", verdicts),
        mean_points("vanilla accuracy", verdicts),
        *([mean_points("first pass accuracy", first)] if first else []),
        *(all_right(kind, [v for v in verdicts if v.kind == kind]) for kind in kinds if len(kinds) > 1),
    ]


def all_right(name: str, verdicts: Sequence[Verdict]) -> Metric:
    """The share of groups (:attr:`Verdict.together`) in which every answer is right; a group has one image."""
    groups = defaultdict(list)
    for verdict in verdicts:
        groups[verdict.together].append(verdict)
    heads = [group[0] for group in groups.values()]
    return metric(name, heads, [(min(map(points_of, group)), 1) for group in groups.values()], ratio)
