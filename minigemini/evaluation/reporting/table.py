"""The results for the terminal, as Markdown and as JSON: every number with n, interval, floor and controls."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from minigemini.benchmarks.benchmark import Row, Score

SHARED_CONTROLS = ("blind", "low-res only", "bag guess", "chance")  # a column each
NO_COMPLAINT = "Every floor is reached, and every control that must fail does."


@dataclass(frozen=True)
class Result:
    """A row judged.

    ``floor`` is what the score must reach, None where nothing is promised. The controls in ``must_fail`` must stay
    below the floor, those in ``ceilings`` must not exceed their own number: it means nothing to reach what guessing
    reaches too. ``expected`` is what somebody else reached, and the score may not be lower by more than ``within``.
    """

    row: Row
    floor: float | None = None
    must_fail: Collection[str] = ()
    ceilings: Mapping[str, float] = field(default_factory=dict)
    expected: float | None = None
    within: float = 0.0

    @property
    def below_floor(self) -> bool:
        return self.floor is not None and self.row.score.value < self.floor

    @property
    def below_expected(self) -> bool:
        return self.expected is not None and self.row.score.value < self.expected - self.within

    def too_good(self, control: str) -> bool:
        """Whether a control reaches what it must not."""
        value = self.row.controls[control].value
        if control in self.ceilings:
            return value > self.ceilings[control]
        return control in self.must_fail and self.floor is not None and value >= self.floor

    def verdict(self) -> str:
        return "" if self.floor is None else "BELOW" if self.below_floor else "ok"

    def control_text(self, control: str) -> str:
        return number(self.row.controls[control].value) + ("!" if self.too_good(control) else "")


@dataclass(frozen=True)
class Report:
    """All results of one evaluation, and what is needed to say where they come from (``about``: plain JSON)."""

    benchmark: str
    model: str
    results: Sequence[Result]
    about: Mapping[str, Any]
    expected_name: str | None = None  # whose results are expected

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
            if result.below_expected:
                found.append(
                    f"{row.kind}: {row.score.value:.3f} is more than {result.within:.2f} below"
                    f" the {result.expected:.3f} of {self.expected_name}"
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
                    "expected": result.expected,
                    "controls": {name: _score_as_json(score) for name, score in result.row.controls.items()},
                }
                for result in self.results
            ],
            "complaints": self.complaints(),
            "about": dict(self.about),
        }

    def _promises(self) -> bool:
        """Whether anything is promised of the scores."""
        return any(result.floor is not None or result.ceilings for result in self.results)

    def _columns(self) -> list[str]:
        return [name for name in SHARED_CONTROLS if any(name in result.row.controls for result in self.results)]

    def _headings(self) -> list[str]:
        return ["what", "n", "score", "95 % interval", "floor", *self._columns()]

    def _cells(self, result: Result) -> list[str]:
        row = result.row
        floor = "" if result.floor is None else f"{number(result.floor, 2)} {result.verdict()}"
        controls = [result.control_text(name) if name in row.controls else "" for name in self._columns()]
        return [
            row.kind.replace("_", " "),
            str(row.score.n),
            number(row.score.value),
            interval_text(row.score),
            floor,
            *controls,
        ]

    def _notes(self) -> list[str]:
        """What does not fit into the table: the rules of scoring, and the controls that only one or two rows have."""
        kinds: dict[str, list[str]] = {}  # of each metric that is not the usual one
        for result in self.results:
            if result.row.metric != "exact match":
                kinds.setdefault(result.row.metric, []).append(result.row.kind)
        rules = "".join(f"; {', '.join(of)}: {metric}" for metric, of in kinds.items())
        notes = [f"Greedy decoding, exact match{rules}."]
        others = [
            f"{result.row.kind}: {name} {result.control_text(name)}"
            for result in self.results
            for name in result.row.controls
            if name not in SHARED_CONTROLS
        ]
        if others:
            notes.append("Other controls: " + "; ".join(others) + ".")
        if self.expected_name is not None:
            differences = [
                f"{result.row.kind} {result.row.score.value - result.expected:+.3f}"
                for result in self.results
                if result.expected is not None
            ]
            notes.append(f"Against {self.expected_name}: " + ", ".join(differences) + ".")
        if self.about["unfinished"]:
            notes.append(f"{self.about['unfinished']} answers did not end by themselves and were cut.")
        if self.about["limit"] is not None:
            notes.append(f"Only {self.about['limit']} examples of each kind: a smoke run.")
        return notes

    def markdown(self) -> str:
        lines = [f"# {self.benchmark}: {self.model}", ""]
        lines.append("| " + " | ".join(self._headings()) + " |")
        lines.append("|---|" + "---:|" * (len(self._headings()) - 1))
        lines += ["| " + " | ".join(self._cells(result)) + " |" for result in self.results]
        for note in self._notes():
            lines += ["", note]
        lines.append("")
        lines += [f"- **{complaint}**" for complaint in self.complaints()] or (
            [NO_COMPLAINT] if self._promises() else []
        )
        return "\n".join(lines) + "\n"

    def print(self, console: Console) -> None:
        """A table that fits into 80 columns, then what there is to complain about."""
        table = Table(title=f"{self.benchmark}: {self.model}", title_justify="left", title_style="bold")
        table.box, table.padding = SIMPLE_HEAD, (0, 0)
        for heading in self._headings():
            left = heading in ("what", "floor")
            heading = " floor" if heading == "floor" else "\n".join(heading.rsplit(" ", 1))
            table.add_column(heading, justify="left" if left else "right", no_wrap=True)
        for result in self.results:
            cells: list[str | Text] = list(self._cells(result))
            cells[4] = Text(f" {cells[4]}", style="bold red" if result.below_floor else "green")
            table.add_row(*cells)
        console.print(table)
        for note in self._notes():
            console.print(note, style="dim", highlight=False)
        for complaint in self.complaints():
            console.print(complaint, style="bold red", highlight=False)
        if self._promises() and not self.complaints():
            console.print(NO_COMPLAINT, style="green", highlight=False)


def number(value: float, digits: int = 3) -> str:
    """``.977``; a share needs no zero in front."""
    return f"{value:.{digits}f}".removeprefix("0")


def interval_text(score: Score) -> str:
    return f"{number(score.interval[0])}-{number(score.interval[1])}" if score.interval else ""


def _score_as_json(score: Score) -> dict[str, Any]:
    return {"value": score.value, "n": score.n, "interval": list(score.interval) if score.interval else None}
