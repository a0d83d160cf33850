"""``minigemini eval ablate``: the same model on the same rows, with less of the pictures, or more.

What the high-resolution tower is worth is not told by another model that was trained without it. Here nothing is trained: mining is
left out, or finds blank pictures, or larger ones; or there are no pictures at all. Every difference has a paired interval.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import transformers
from rich.console import Console
from rich.table import Table

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.gold_check import has_gold
from minigemini.benchmarks.names.tabletop import DRAWN, TABLETOP, tabletop_metrics, tabletop_verdict
from minigemini.benchmarks.score import NEEDS_JUDGE, NO_GOLD, score
from minigemini.benchmarks.statistics.metric import Metric
from minigemini.benchmarks.statistics.paired import Difference, differences
from minigemini.evaluation.running.evaluate import Parts, check_prompts, read_parts
from minigemini.evaluation.running.evaluated_model import EvaluatedModel, this_share
from minigemini.evaluation.running.predict import predict
from minigemini.evaluation.running.suite import load_suite
from minigemini.evaluation.running.view import BLIND, FULL, View
from minigemini.progress import progress_bar

MINING_OFF = View("mining off", mining=False)
BLANK = View("high-res blank", blank=True)


@dataclass(frozen=True)
class Ablation:
    """Of one part of the suite: what every view gives, and what it differs from the whole model by.

    ``differences`` are by view, in the order of the part's metrics; A is the whole model, B the view.
    """

    part: str
    metrics: Sequence[Metric]
    differences: Mapping[str, Sequence[Difference]]

    def as_json(self) -> dict[str, Any]:
        return {
            "model": {metric.name: metric.value for metric in self.metrics},
            "views": {
                name: [{**vars(one), "difference": one.value, "resolved": one.resolved} for one in found]
                for name, found in self.differences.items()
            },
        }

    def print(self, console: Console) -> None:
        """The part's first number in every view."""
        first = self.metrics[0]
        console.print(f"{self.part}: {first.name}, n = {first.n}", style="bold", highlight=False)
        table = Table(box=None, pad_edge=False)
        for heading in ("", "value", "difference", "95 % interval", "p", ""):
            table.add_column(heading, justify="left" if not heading else "right")
        table.add_row("model", f"{first.value:.2f}", "", "", "", "")
        for name, found in self.differences.items():
            one = found[0]
            table.add_row(
                name,
                f"{one.b:.2f}",
                f"{one.value:+.2f}",
                _interval(one),
                f"{one.p:.4f}",
                "" if one.resolved else "not resolved",
            )
        console.print(table, highlight=False)

    def markdown(self) -> str:
        """Every number in every view; what is resolved in bold."""
        lines = [f"# {self.part}", "", "| " + " | ".join(["", "n", "model", *self.differences]) + " |"]
        lines.append("|---|" + "---:|" * (2 + len(self.differences)))
        for row, metric in enumerate(self.metrics):
            cells = [metric.name, str(metric.n), f"{metric.value:.2f}"]
            for found in self.differences.values():
                one = found[row]
                text = f"{one.b:.2f} ({one.value:+.2f}, {_interval(one)})"
                cells.append(f"**{text}**" if one.resolved else text)
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"


def _interval(one: Difference) -> str:
    return f"{one.interval[0]:+.2f} .. {one.interval[1]:+.2f}" if one.interval else "one image"


EXPLAINED = """
- mining off: the tokens are those of the low-resolution tower alone.
- high-res blank: the high-resolution pictures are all grey (zero after normalisation); mining runs and finds nothing.
- high-res N: the picture is N pixels wide for the high-resolution tower; nothing was trained for it.
- blind: no picture at all.

In brackets the difference from the whole model, with a 95 % interval (paired bootstrap by image); bold where it is resolved.
"""


def ablate(
    suite: str,
    model: str,
    out: Path,
    high_res_sizes: Sequence[int] = (),
    limit: int | None = None,
    overrides: Sequence[str] = (),
    bits: Literal[4, 8] | None = None,
) -> int:
    """Answers a suite in every view; prints the table and leaves it in ``out`` as ``ablation.json`` and ``ablation.md``.

    The whole model's predictions lie where ``eval`` puts them: with the same ``out`` they are not made twice.

    Args:
        high_res_sizes: further sides of the high-resolution pictures, in pixels; twice the model's own if none is given.
        suite, model, limit, overrides, bits: as of :func:`evaluate.evaluate`.

    Raises:
        ValueError: the model has no high-resolution tower, or a size does not fit it; and as :func:`evaluate.evaluate`.
    """
    transformers.utils.logging.disable_progress_bar()
    chosen = load_suite(suite, overrides)
    if limit is not None and limit < 1:
        raise ValueError(f"--limit {limit}: at least one example of each kind is needed")
    parts = read_parts(chosen, limit)
    _refuse_what_has_no_number(parts)
    out.mkdir(parents=True, exist_ok=True)
    share = this_share()
    answering = EvaluatedModel(model, bits, chosen.batch_size)
    config = answering.loaded[0].config
    if config.high_res_vision_config is None:
        raise ValueError(f"{model} has no high-resolution tower: there is no mining to leave out")
    sizes = list(high_res_sizes) or [2 * config.high_res_vision_config.image_size]
    for size in sizes:
        config.check_high_res_size(size, "--high-res-size")
    check_prompts(parts, answering)
    views = [FULL, MINING_OFF, BLANK, *(View(f"high-res {size}", high_res_size=size) for size in sizes), BLIND]

    found = []
    with progress_bar(share.first) as progress:
        for name, part in parts.items():
            asked = [example for example in part.examples if example.kind != DRAWN]
            folders = {view: FULL.folder if view is FULL else f"ablation/{view.folder}" for view in views}
            runs = {
                view.name: predict(answering, name, asked, out / name / folders[view], progress, view, share)
                for view in views
            }
            if share.first:
                found.append(compared(name, runs, partial=limit is not None))
    if not share.first:
        return 0
    console = Console(soft_wrap=True)
    for ablation in found:
        ablation.print(console)
        console.print()
    stored = {"suite": suite, "model": model, "limit": limit, "parts": {one.part: one.as_json() for one in found}}
    (out / "ablation.json").write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "ablation.md").write_text("\n".join([*(one.markdown() for one in found), EXPLAINED]), encoding="utf-8")
    console.print(f"every number in every view: {out / 'ablation.md'}", style="dim")
    return 0


def _refuse_what_has_no_number(parts: Parts) -> None:
    """
    Raises:
        ValueError: parts need a judge, have no gold answers, or nothing but drawings, before anything is answered.
    """
    for name, part in parts.items():
        if all(example.kind == DRAWN for example in part.examples):
            raise ValueError(f"{name}: nothing is asked of the model in it")
    empty = {
        name: [{"id": e.id, "kind": e.kind, "prediction": "", "reference": e.reference} for e in part.examples]
        for name, part in parts.items()
        if name != TABLETOP
    }
    kept_back = [name for name, lines in empty.items() if not has_gold(lines)]
    if kept_back:
        raise ValueError(f"{', '.join(kept_back)}: {NO_GOLD}, so there is no number to compare; leave them out")
    judged = [name for name, lines in empty.items() if not score(*_with_lines(name, lines), partial=True).metrics]
    if judged:
        raise ValueError(f"{', '.join(judged)}: {NEEDS_JUDGE}, so there is no number to compare; leave them out")


def _with_lines(part: str, lines: Sequence[Line]) -> tuple[str, Sequence[Line], str]:
    benchmark, protocol = part.split("@")
    return benchmark, lines, protocol


def compared(part: str, runs: Mapping[str, Sequence[Line]], partial: bool) -> Ablation:
    """
    Args:
        part: "tabletop", or ``benchmark@protocol``.
        runs: the lines of each view, those of the whole model among them.

    Raises:
        ValueError: a judge is needed.
    """
    metrics = {name: metrics_of(part, lines, partial) for name, lines in runs.items()}
    whole = metrics.pop(FULL.name)
    return Ablation(part, whole, {name: differences(whole, other) for name, other in metrics.items()})


def metrics_of(part: str, lines: Sequence[Line], partial: bool) -> Sequence[Metric]:
    if part == TABLETOP:
        return tabletop_metrics([tabletop_verdict(line) for line in lines])
    scored = score(*_with_lines(part, lines), partial=partial)
    if not scored.metrics:
        raise ValueError(f"{part}: {scored.status}; there is no number to compare")
    return scored.metrics
