"""Numbers to hold a run against, in ``eval/expected/*.json``: lists of flat objects, one number each; or a results.json of ours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigemini import shipped
from minigemini.benchmarks.formats.lines import read_json
from minigemini.benchmarks.names import BENCHMARKS
from minigemini.evaluation.reporting.result import Result, parse_result

EXPECTED = shipped.ROOT / "eval" / "expected"


@dataclass(frozen=True)
class PublishedNumber:
    """
    Attributes:
        benchmark, protocol: as in ``benchmarks.names``; numbers of another protocol are not comparable.
        split: of which data, and what else the number depends on.
        metric: a name that the protocol's metrics have, where we can compute it at all.
        value: in the metric's unit.
        source: where it is printed.
    """

    benchmark: str
    split: str
    metric: str
    protocol: str
    model: str
    value: float
    source: str


def read_published(folder: Path = EXPECTED) -> list[PublishedNumber]:
    """Every number in ``folder``. Raises ValueError: an entry has a field too many or too few."""
    found = []
    for file in sorted(folder.glob("*.json")):
        stored = read_json(file)
        if isinstance(stored, dict):
            found += _of_results(file, stored)
            continue
        for number, entry in enumerate(stored):
            try:
                found.append(PublishedNumber(**entry))
            except TypeError as error:
                raise ValueError(f"{file}, entry {number}: {error}") from None
    return found


def find_comparable(result: Result) -> list[PublishedNumber]:
    """The published ones among a result's own numbers, under its benchmark and protocol. None beside a part of the rows."""
    if not result.whole:
        return []
    names = [number.name for number in result.numbers]
    asked = (result.benchmark, result.protocol)
    return [one for one in read_published() if (one.benchmark, one.protocol) == asked and one.metric in names]


def list_published(result: Result) -> list[str]:
    """Numbers that others printed, a line a metric and split. Those of our own benchmarks are a suite's ``expected``."""
    if result.benchmark not in BENCHMARKS or BENCHMARKS[result.benchmark].ours:
        return []
    found: dict[str, list[str]] = {}
    for one in find_comparable(result):
        split = f" ({one.split})" if one.split else ""
        found.setdefault(f"{one.metric}{split}", []).append(f"{one.model} {one.value:g}")
    return [f"published, {metric}: {', '.join(values)}" for metric, values in found.items()]


def _of_results(file: Path, stored: dict[str, Any]) -> list[PublishedNumber]:
    """The numbers of a results file of ours."""
    result = parse_result(stored, file)
    source = f"eval/expected/{file.name}"
    return [
        PublishedNumber(result.benchmark, f"n = {one.n}", one.name, result.protocol, result.model, one.value, source)
        for one in result.numbers
    ]
