"""Numbers to hold a run against, in ``eval/expected/*.json``: lists of flat objects, one number each; or a results.json of ours."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigemini import shipped
from minigemini.benchmarks.formats.lines import read_json

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


def published_numbers(folder: Path = EXPECTED) -> list[PublishedNumber]:
    """Every number in ``folder``.

    Raises:
        ValueError: an entry has a field too many or too few.
    """
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


def comparable(benchmark: str, protocol: str, metrics: Collection[str]) -> list[PublishedNumber]:
    """The published ones among a run's own metrics, under its benchmark and protocol. Only for a run on all rows."""
    return [
        number
        for number in published_numbers()
        if (number.benchmark, number.protocol) == (benchmark, protocol) and number.metric in metrics
    ]


def _of_results(file: Path, results: dict[str, Any]) -> list[PublishedNumber]:
    """A tabletop's results.json: its shares as percent, and its seed as the protocol, as ``judged_run`` has them."""
    return [
        PublishedNumber(
            results["benchmark"],
            f"n = {row['n']}",
            row["kind"],
            f"seed {results['about']['seed']}",
            results["model"],
            100 * row["value"],
            f"eval/expected/{file.name}",
        )
        for row in results["rows"]
    ]
