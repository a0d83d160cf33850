"""A published benchmark in a suite: the model answers as the protocol asks, and its rule judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

import minigemini
from minigemini.benchmarks.benchmark import Example
from minigemini.benchmarks.formats import hub
from minigemini.benchmarks.formats.read import read_examples
from minigemini.benchmarks.gold_check import has_gold
from minigemini.benchmarks.names import BENCHMARKS
from minigemini.benchmarks.score import (
    NEEDS_JUDGE,
    NO_GOLD,
    Scored,
    interval_text,
    metric_as_json,
    score,
    value_text,
    without_gold,
)
from minigemini.benchmarks.upload import write_upload
from minigemini.evaluation.reporting.expected import comparable
from minigemini.evaluation.running.evaluated_model import EvaluatedModel
from minigemini.evaluation.running.predict import predict
from minigemini.evaluation.running.share import Share
from minigemini.evaluation.running.suite import PublishedPart, Suite
from minigemini.evaluation.running.view import BLIND, FULL, View


@dataclass(frozen=True)
class PublishedResult:
    """
    Attributes:
        model: as it was named.
        scored: what the model reached.
        blind: what it reached without the pictures; None where it was not asked.
        about: where the examples came from, and whether all of them were asked.
    """

    model: str
    scored: Scored
    blind: Scored | None
    about: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The JSON of ``eval score``, with the model and where the pictures are."""
        blind = None if self.blind is None else [metric_as_json(metric) for metric in self.blind.metrics]
        return {**self.scored.as_json(), "model": self.model, "blind": blind, "about": self.about}

    def _beside(self) -> dict[str, dict[str, float]]:
        if self.blind is None:
            return {}
        return {"blind": {metric.name: metric.value for metric in self.blind.metrics}}

    def _published(self) -> list[str]:
        """Numbers of the same benchmark and protocol that others printed, a line a metric and split; none beside a part of the rows."""
        found: dict[str, list[str]] = {}
        scored = self.scored
        if scored.whole:
            for one in comparable(scored.benchmark, scored.protocol, [metric.name for metric in scored.metrics]):
                split = f" ({one.split})" if one.split else ""
                found.setdefault(f"{one.metric}{split}", []).append(f"{one.model} {one.value:g}")
        return [f"published, {metric}: {', '.join(values)}" for metric, values in found.items()]

    def print(self, console: Console) -> None:
        self.scored.print(console, self._beside())
        for line in self._published():
            console.print(line, style="dim", highlight=False)

    def markdown(self) -> str:
        scored, beside = self.scored, self._beside()
        says = BENCHMARKS[scored.benchmark].protocols[scored.protocol].says
        lines = [f"# {scored.benchmark}@{scored.protocol}: {self.model}", "", says, ""]
        if scored.metrics:
            lines.append("| " + " | ".join(["", "value", "95 % interval", "n", "images", *beside]) + " |")
            lines.append("|---|" + "---:|" * (4 + len(beside)))
            for metric in scored.metrics:
                cells = [metric.name, value_text(metric), interval_text(metric), str(metric.n), str(len(metric.images))]
                cells += [f"{column[metric.name]:.2f}" if metric.name in column else "" for column in beside.values()]
                lines.append("| " + " | ".join(cells) + " |")
        else:
            how = " See `minigemini eval judge`." if scored.status == NEEDS_JUDGE else ""
            lines.append(f"**{scored.status}**: no number.{how}")
        rate = f"{scored.unparsable} of {len(scored.verdicts)} answers could not be read and count as wrong."
        return "\n".join([*lines, "", "  \n".join([rate, *scored.notes, *self._published()])]) + "\n"


def examples_of(part: str, source: Source, limit: int | None) -> list[Example]:
    """The rows of ``benchmark@protocol``; with ``limit`` those of the first so many images of each kind, so that what belongs together
    (MME's pairs, MMBench's rotations) stays together.

    Raises:
        FileNotFoundError, ValueError: as ``read_examples``.
    """
    benchmark, protocol = part.split("@")
    examples = read_examples(benchmark, protocol, source.data, source.images)
    if limit is None:
        return examples
    images: dict[str, dict[str, None]] = {}
    for example in examples:
        images.setdefault(example.kind, {})[image_of(example)] = None
    first = {kind: set(list(names)[:limit]) for kind, names in images.items()}
    return [example for example in examples if image_of(example) in first[example.kind]]


def image_of(example: Example) -> str:
    return str(example.reference.get("image", example.id))


@dataclass(frozen=True)
class Source:
    """Where a part's data is, as ``read_examples`` takes it: absolute, and of the hub with its commit, so that a report
    finds the same from anywhere."""

    data: str
    images: Path | None


def source_of(benchmark: str, part: PublishedPart, suite: Suite) -> Source:
    """What the part says, below the suite's data; else a file or folder there that has the benchmark's name; else the suite's data
    itself: a file, ``hub:``, or LLaVA's folder of all benchmarks.

    Raises:
        ValueError: the hub was asked for and cannot be reached.
    """
    asked = part.path or suite.place
    if asked.startswith(hub.HUB):
        return Source(hub.pinned(BENCHMARKS[benchmark], asked), None)
    folder = Path(suite.place).resolve()
    images = None if part.images is None else folder / part.images
    if part.path is not None:
        return Source(str(folder / part.path), images)
    named = [folder / f"{benchmark}{suffix}" for suffix in ("", ".jsonl", ".tsv", ".parquet")]
    return Source(str(next((path for path in named if path.exists()), folder)), images)


def evaluate_published(
    part: str,
    blind: bool,
    source: Source,
    examples: Sequence[Example],
    model: EvaluatedModel,
    out: Path,
    limit: int | None,
    progress: Progress,
    share: Share,
) -> PublishedResult:
    """Answers and judges; leaves the predictions of every run in ``out``.

    Args:
        part: ``benchmark@protocol``.
        blind: also answer without the pictures.
        limit: as it was asked for: with one, the rows are no whole benchmark.
    """
    benchmark, protocol = part.split("@")

    def run(view: View) -> Scored:
        lines = predict(model, part, examples, out / view.folder, progress, view, share)
        if not has_gold(lines):
            return without_gold(benchmark, protocol, lines)
        return score(benchmark, lines, protocol, partial=limit is not None)

    scored = run(FULL)
    if scored.status == NO_GOLD and share.first:
        scored = replace(scored, notes=[write_upload(BENCHMARKS[benchmark], scored.lines, out)])
    without = run(BLIND) if blind else None
    about = {
        "data": source.data,
        "images": None if source.images is None else str(source.images),
        "limit": limit,
        "minigemini": minigemini.__version__,
        "torch": torch.__version__,
    }
    return PublishedResult(model.name, scored, without, about)
