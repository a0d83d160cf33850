"""Scored lines -> a result; and ``minigemini eval score``: anybody's predictions, without a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.names import protocol_of
from minigemini.benchmarks.score import Predictions, Scored, judges_of, read_lines, score, uses_judge
from minigemini.benchmarks.statistics.metric import Metric
from minigemini.evaluation.reporting.result import Control, Number, Result, write_json
from minigemini.evaluation.reporting.table import print_result
from minigemini.evaluation.running.suite import Kind, Part

FALLBACK = "the tool's fallback"
NOTHING_PROMISED = Part()


def as_result(
    scored: Scored,
    model: str = "",
    runs: Mapping[str, Sequence[Metric]] | None = None,
    part: Part = NOTHING_PROMISED,
    about: Mapping[str, Any] | None = None,
    path: Path = Path(),
) -> Result:
    """
    Args:
        runs: what the models that serve as controls reach.
        part: what is promised of the numbers.
    """
    expected = part.expected.scores() if part.expected else {}
    computed = {**scored.controls, **({FALLBACK: scored.with_fallback} if scored.with_fallback else {})}
    numbers = []
    for metric in scored.metrics:
        kind = part.kinds.get(metric.name, Kind())
        controls = {name: _control(name, own, kind, own.interval) for name, own in _beside(metric, runs or {})}
        controls |= {name: _control(name, own, kind, None) for name, own in _beside(metric, computed)}
        promised = (kind.floor, expected.get(metric.name), part.expected.within if part.expected else 0.0)
        numbers.append(as_number(metric, *promised, controls))
    return Result(
        benchmark=scored.benchmark,
        protocol=scored.protocol,
        says=protocol_of(scored.benchmark, scored.protocol)[1].says,
        numbers=numbers,
        model=model,
        status=scored.status,
        whole=scored.whole,
        judges=judges_of(scored.lines) if uses_judge(scored.benchmark, scored.protocol, scored.lines) else [],
        expected_of=part.expected.name if part.expected else None,
        notes=scored.notes,
        about=about or {},
        verdicts=scored.verdicts,
        prompts=[_prompt(line) for line in scored.lines],
        answers=[_answer(line) for line in scored.lines],
        path=path,
    )


def as_number(
    metric: Metric,
    floor: float | None = None,
    expected: float | None = None,
    within: float = 0.0,
    controls: Mapping[str, Control] | None = None,
) -> Number:
    beside = (floor, expected, within, controls or {})
    return Number(metric.name, metric.value, metric.unit, metric.n, len(metric.images), metric.interval, *beside)


def _beside(metric: Metric, controls: Mapping[str, Sequence[Metric]]) -> list[tuple[str, Metric]]:
    """Of each control the same number, where it is one over as many rows."""
    found = [(name, own) for name, metrics in controls.items() for own in metrics]
    return [(name, own) for name, own in found if (own.name, own.n) == (metric.name, metric.n)]


def _control(name: str, metric: Metric, kind: Kind, interval: tuple[float, float] | None) -> Control:
    below = kind.floor if name in kind.must_fail else None
    return Control(metric.value, interval, below, kind.ceilings.get(name))


def _prompt(line: Line) -> str:
    return line.get("prompt") or line.get("question") or line["reference"].get("prompt", "")


def _answer(line: Line) -> str:
    """What the model said; of a drawing, what was seen in it."""
    return line["prediction"] if "prediction" in line else line["seen"]


def score_file(
    benchmark: str,
    predictions: Predictions,
    protocol: str | None = None,
    official_random: bool = False,
    out: Path | None = None,
) -> int:
    """``minigemini eval score``: prints the numbers and writes them, with every verdict, to ``out``. The exit code: 0.

    Raises:
        ValueError: what :func:`score.score` and the readers refuse.
        FileNotFoundError: a file is not there.
    """
    protocol_of(benchmark, protocol)  # a wrong name is said before anything is read
    result = as_result(score(benchmark, read_lines(benchmark, predictions), protocol, official_random))
    if out is not None:
        write_json(out, result.as_json())  # first: whoever reads what is printed may go away in the middle
    print_result(result, Console(soft_wrap=True))
    if out is not None:
        print(f"written: {out}")
    return 0
