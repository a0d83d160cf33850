"""MME (Fu et al. 2023, arXiv 2306.13394): 1187 images with two yes/no questions each, in 14 tasks.

Per task 100 * accuracy + 100 * share of images with both questions right; perception is the sum over ten tasks (2000 at
most), cognition over four (800). Reproduces the eval_tool's calculation.py (branch Evaluation of
BradyFU/Awesome-Multimodal-Large-Language-Models). The tool pairs questions by line order, lmms-eval and VLMEvalKit by
image; here two questions belong together when task and image agree, and anything else than two is refused.

Fixture: the tool's own sample (LaVIN), perception and cognition to all digits, and per task.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.rules.verdict import Reading, Verdict, make_verdict, reference_of
from minigemini.benchmarks.statistics.metric import Array, Metric, by_kind, metric, points_of

PERCEPTION = (
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")


def rule(read: Callable[[str], Reading]) -> Callable[[Line], Verdict]:
    def judge(line: Line) -> Verdict:
        gold = reference_of(line, "answer").strip().lower().rstrip(".")
        if gold not in ("yes", "no"):
            raise ValueError(f"row {line['id']!r}: the answer is {gold!r}, neither yes nor no")
        reading = read(line["prediction"])
        pair = f"{line['kind']}/{reference_of(line, 'image')}"
        return make_verdict(line, float(reading.answer == gold), reading, together=pair, gold=gold)

    return judge


def metrics(verdicts: Sequence[Verdict]) -> list[Metric]:
    """Perception, cognition and every task.

    Raises:
        ValueError: an unknown or a missing task, or an image without exactly two questions.
    """
    pairs = defaultdict(list)
    for verdict in verdicts:
        pairs[verdict.together].append(verdict)
    for name, pair in pairs.items():
        if len(pair) != 2:
            raise ValueError(f"MME: {name} has {len(pair)} questions; the score is defined for two an image")
    tasks = by_kind(verdicts)
    if tasks.keys() != {*PERCEPTION, *COGNITION}:
        missing = sorted({*PERCEPTION, *COGNITION} - tasks.keys())
        unknown = sorted(tasks.keys() - {*PERCEPTION, *COGNITION})
        raise ValueError(f"MME: tasks missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}")

    def contributions(verdict: Verdict) -> list[float]:
        """Points, rows, pairs that are right, pairs; what the pair contributes stands with its first row."""
        pair = pairs[verdict.together]
        first = verdict is pair[0]
        return [points_of(verdict), 1, first * min(map(points_of, pair)), first]

    def total(name: str, members: Sequence[str]) -> Metric:
        part = [verdict for verdict in verdicts if verdict.kind in members]
        place = {task: 4 * column for column, task in enumerate(members)}
        rows = []
        for verdict in part:
            row = [0.0] * (4 * len(members))
            row[place[verdict.kind] : place[verdict.kind] + 4] = contributions(verdict)
            rows.append(row)

        def formula(sums: Array) -> Array:
            return np.stack([task_score(sums[..., start : start + 4]) for start in place.values()]).sum(axis=0)

        return metric(name, part, rows, formula, "points")

    return [
        total("perception", PERCEPTION),
        total("cognition", COGNITION),
        *(total(task, (task,)) for task in (*PERCEPTION, *COGNITION)),
    ]


def task_score(sums: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return 100 * sums[..., 0] / sums[..., 1] + 100 * sums[..., 2] / sums[..., 3]
