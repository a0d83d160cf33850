"""A published benchmark in a suite: the model answers as the protocol asks, and its rule judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

import minigemini
from minigemini.evaluation.benchmark import Example
from minigemini.evaluation.load_model import EvaluatedModel
from minigemini.evaluation.predict import predict
from minigemini.evaluation.published import published_numbers
from minigemini.evaluation.questions import hub, read_examples
from minigemini.evaluation.score import NEEDS_JUDGE, Scored, interval_text, is_whole, metric_as_json, score, value_text
from minigemini.evaluation.scorers.protocols import BENCHMARKS
from minigemini.evaluation.share import Share
from minigemini.evaluation.suite import PublishedPart, Suite, part_name
from minigemini.evaluation.view import BLIND, FULL, View


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
        """Numbers of the same benchmark and protocol that others printed, a line a metric; none beside a part of the rows."""
        found: dict[str, list[str]] = {}
        if not is_whole(self.scored.benchmark, len(self.scored.verdicts)):
            return []
        for one in published_numbers():
            if (one.benchmark, one.protocol) == (self.scored.benchmark, self.scored.protocol):
                found.setdefault(one.metric, []).append(f"{one.model} {one.value:g}")
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
            lines.append(f"**{NEEDS_JUDGE}**: no number. See `minigemini eval judge`.")
        rate = f"{scored.unparsable} of {len(scored.verdicts)} answers could not be read and count as wrong."
        return "\n".join([*lines, "", "  \n".join([rate, *scored.notes, *self._published()])]) + "\n"


def examples_of(key: str, part: PublishedPart, suite: Suite, limit: int | None) -> list[Example]:
    """The rows of a part; with ``limit`` those of the first so many images of each kind, so that what belongs together
    (MME's pairs, MMBench's rotations) stays together.

    Raises:
        FileNotFoundError, ValueError: as ``questions.read_examples``.
    """
    benchmark, protocol = part_name(key).split("@")
    examples = read_examples(benchmark, protocol, data_of(benchmark, part, suite), images_of_part(part, suite))
    if limit is None:
        return examples
    images: dict[str, dict[str, None]] = {}
    for example in examples:
        images.setdefault(example.kind, {})[image_of(example)] = None
    first = {kind: set(list(names)[:limit]) for kind, names in images.items()}
    return [example for example in examples if image_of(example) in first[example.kind]]


def image_of(example: Example) -> str:
    return str(example.reference.get("image", example.id))


def data_of(benchmark: str, part: PublishedPart, suite: Suite) -> str:
    """Where a part's data is, as ``questions.read_examples`` takes it.

    What the part says, below the suite's data; else a file or folder there that has the benchmark's name; else the suite's data
    itself: a file, ``hub:``, or LLaVA's folder of all benchmarks.
    """
    if part.path is not None:
        return part.path if part.path.startswith(hub.HUB) else str(Path(suite.data) / part.path)
    named = [Path(suite.data) / f"{benchmark}{suffix}" for suffix in ("", ".jsonl", ".tsv", ".parquet")]
    return str(next((path for path in named if path.exists()), suite.data))


def images_of_part(part: PublishedPart, suite: Suite) -> Path | None:
    return None if part.images is None else Path(suite.data) / part.images


def evaluate_published(
    key: str,
    part: PublishedPart,
    suite: Suite,
    examples: Sequence[Example],
    model: EvaluatedModel,
    out: Path,
    limit: int | None,
    controls: bool,
    progress: Progress,
    share: Share,
) -> PublishedResult:
    """Answers and judges; leaves the predictions of every run in ``out``."""
    name = part_name(key)
    benchmark, protocol = name.split("@")

    def run(view: View) -> Scored:
        lines = predict(
            model.loaded, name, examples, out / view.name, suite.batch_size, progress, view, share, model.settings
        )
        return score(benchmark, lines, protocol, partial=limit is not None)

    scored = run(FULL)
    blind = run(BLIND) if controls and part.blind else None
    images, data = images_of_part(part, suite), data_of(benchmark, part, suite)
    about = {
        "data": hub.pinned(benchmark, data) if data.startswith(hub.HUB) else data,
        "images": None if images is None else str(images),
        "limit": limit,
        "minigemini": minigemini.__version__,
        "torch": torch.__version__,
    }
    return PublishedResult(model.name, scored, blind, about)
