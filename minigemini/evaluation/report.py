"""The results for the terminal, as Markdown and as JSON: every number with n, interval, floor and controls."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from minigemini.evaluation.benchmark import Row, Score

SHARED_CONTROLS = ("blind", "low-res only", "bag guess", "chance")  # a column each; the others share one


@dataclass(frozen=True)
class Result:
    """A row judged.

    ``floor`` is what the score must reach, None where nothing is promised. The controls in ``must_fail`` must stay
    below the floor, those in ``ceilings`` must not exceed their own number: it means nothing to reach what guessing
    reaches too.
    """

    row: Row
    floor: float | None = None
    must_fail: Collection[str] = ()
    ceilings: Mapping[str, float] = field(default_factory=dict)

    @property
    def below_floor(self) -> bool:
        return self.floor is not None and self.row.score.value < self.floor

    def too_good(self, control: str) -> bool:
        """Whether a control reaches what it must not."""
        value = self.row.controls[control].value
        if control in self.ceilings:
            return value > self.ceilings[control]
        return control in self.must_fail and self.floor is not None and value >= self.floor

    def verdict(self) -> str:
        if self.floor is None:
            return ""
        if not self.below_floor:
            return "ok"
        interval = self.row.score.interval
        return "BELOW (within the interval)" if interval and interval[1] >= self.floor else "BELOW"


@dataclass(frozen=True)
class Report:
    """All results of one evaluation, and what is needed to say where they come from (``about``: plain JSON)."""

    benchmark: str
    model: str
    results: Sequence[Result]
    about: Mapping[str, Any]

    def complaints(self) -> list[str]:
        """What is not as it should be, one sentence each; empty when every floor is reached and every control fails."""
        found = []
        for result in self.results:
            row = result.row
            if result.below_floor:
                low, high = row.score.interval or (row.score.value,) * 2
                found.append(
                    f"{row.kind}: {row.score.value:.3f} is BELOW its floor of {result.floor:.2f}"
                    f" (n = {row.score.n}, 95 % interval {low:.3f} to {high:.3f})"
                )
            for name, control in row.controls.items():
                if result.too_good(name):
                    limit = (
                        f"exceed {result.ceilings[name]:.2f}"
                        if name in result.ceilings
                        else f"reach {result.floor:.2f}"
                    )
                    found.append(f"{row.kind}: the control '{name}' is at {control.value:.3f} and must not {limit}")
        return found

    def as_json(self) -> dict[str, Any]:
        return {
            "benchmark": self.benchmark,
            "model": self.model,
            "rows": [
                {
                    "kind": result.row.kind,
                    "metric": result.row.metric,
                    **_score_as_json(result.row.score),
                    "floor": result.floor,
                    "below_floor": result.below_floor,
                    "controls": {name: _score_as_json(score) for name, score in result.row.controls.items()},
                }
                for result in self.results
            ],
            "complaints": self.complaints(),
            "about": dict(self.about),
        }

    def _cells(self, result: Result) -> list[str]:
        row = result.row
        cells = [row.kind.replace("_", " "), str(row.score.n), f"{row.score.value:.3f}", interval_text(row.score)]
        cells += ["" if result.floor is None else f"{result.floor:.2f}", result.verdict()]

        def control(name: str) -> str:
            return f"{row.controls[name].value:.3f}" + (" (!)" if result.too_good(name) else "")

        cells += [control(name) if name in row.controls else "" for name in self._columns()]
        cells.append(", ".join(f"{name} {control(name)}" for name in row.controls if name not in SHARED_CONTROLS))
        return cells

    def _columns(self) -> list[str]:
        return [name for name in SHARED_CONTROLS if any(name in result.row.controls for result in self.results)]

    def _headings(self) -> list[str]:
        return ["what", "n", "accuracy", "95 % interval", "floor", "", *self._columns(), "other controls"]

    def markdown(self) -> str:
        lines = [f"# {self.benchmark}: {self.model}", ""]
        lines.append("| " + " | ".join(self._headings()) + " |")
        lines.append("|" + "---|" * len(self._headings()))
        lines += ["| " + " | ".join(self._cells(result)) + " |" for result in self.results]
        lines += ["", *self._notes(), ""]
        lines += [f"- **{complaint}**" for complaint in self.complaints()] or [
            "Every floor is reached, and every control that must fail does."
        ]
        return "\n".join(lines) + "\n"

    def _notes(self) -> list[str]:
        metrics = {result.row.kind: result.row.metric for result in self.results if result.row.metric != "exact match"}
        notes = [
            "Greedy decoding, exact match" + "".join(f"; {kind}: {metric}" for kind, metric in metrics.items()) + "."
        ]
        unfinished = self.about.get("unfinished", 0)
        if unfinished:
            notes.append(f"{unfinished} answers did not end by themselves and were cut.")
        return notes

    def print(self, console: Console) -> None:
        table = Table(title=f"{self.benchmark}: {self.model}", title_justify="left", title_style="bold")
        for heading in self._headings():
            table.add_column(heading, justify="left" if heading in ("what", "", "other controls") else "right")
        for result in self.results:
            cells: list[str | Text] = list(self._cells(result))
            cells[2] = Text(str(cells[2]), style="bold")
            cells[5] = Text(result.verdict(), style="bold red" if result.below_floor else "green")
            table.add_row(*cells)
        console.print(table)
        for note in self._notes():
            console.print(note, style="dim")
        for complaint in self.complaints():
            console.print(complaint, style="bold red")

    def write(self, folder: Path) -> None:
        """``results.json`` and ``results.md`` into ``folder``."""
        (folder / "results.json").write_text(json.dumps(self.as_json(), indent=1, ensure_ascii=False) + "\n")
        (folder / "results.md").write_text(self.markdown())


def interval_text(score: Score) -> str:
    return f"{score.interval[0]:.3f} .. {score.interval[1]:.3f}" if score.interval else ""


def _score_as_json(score: Score) -> dict[str, Any]:
    return {"value": score.value, "n": score.n, "interval": list(score.interval) if score.interval else None}
