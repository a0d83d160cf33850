"""``minigemini eval diff A B``: is B better or worse than A, row by row on the same rows?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from minigemini.benchmarks.rules.verdict import Verdict
from minigemini.benchmarks.statistics.metric import points_of
from minigemini.benchmarks.statistics.paired import RESAMPLES, SEED, Difference, differences, mcnemar
from minigemini.evaluation.reporting.stored_run import JudgedRun, parts_of, read_run

BETTER, WORSE, NOT_RESOLVABLE = "better", "worse", "not resolvable"
SAME_IN_BOTH = ("kind", "gold", "image", "together")  # of a row; what the benchmark says, not what the model answered


@dataclass(frozen=True)
class Comparison:
    """B against A, which comes first in time or is the baseline.

    Attributes:
        b: with its rows in the order of A's.
        metrics: those that both runs have; the verdict is on the first, the published one.
        unpaired: names of metrics that only one run has (as a second grading of MM-Vet).
    """

    a: JudgedRun
    b: JudgedRun
    metrics: Sequence[Difference]
    unpaired: Sequence[str]

    @property
    def lost(self) -> list[str]:
        """Ids of rows with fewer points in B."""
        return [a.id for a, b in self._rows() if points_of(b) < points_of(a)]

    @property
    def gained(self) -> list[str]:
        """Ids of rows with more points in B."""
        return [a.id for a, b in self._rows() if points_of(b) > points_of(a)]

    def _rows(self) -> zip[tuple[Verdict, Verdict]]:
        return zip(self.a.verdicts, self.b.verdicts, strict=True)

    @property
    def mcnemar(self) -> float | None:
        """None where points are not 0 or 1."""
        if not {points_of(verdict) for pair in self._rows() for verdict in pair} <= {0, 1}:
            return None
        return mcnemar(len(self.lost), len(self.gained))

    @property
    def verdict(self) -> str:
        first = self.metrics[0]
        if not first.resolved:
            return NOT_RESOLVABLE
        return BETTER if first.value > 0 else WORSE

    def sentence(self) -> str:
        first = self.metrics[0]
        rows = f"n = {first.n}" + (f" on {first.images} images" if first.images != first.n else "")
        if self.verdict != NOT_RESOLVABLE:
            return f"B is {self.verdict} than A in {first.name}, at {rows}"
        if not self.lost and not self.gained:
            return f"not resolvable at {rows}: no row differs in its points"
        if first.interval is None:
            return f"not resolvable: a single image, {rows}"
        half = (first.interval[1] - first.interval[0]) / 2
        return (
            f"not resolvable at {rows}: the interval of the difference in {first.name} is {half:.2f} wide on each side"
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "a": str(self.a.path),
            "b": str(self.b.path),
            "benchmark": self.a.benchmark,
            "protocol": self.a.protocol,
            "verdict": self.verdict,
            "says": self.sentence(),
            "n": len(self.a.verdicts),
            "metrics": [
                {
                    **vars(one),
                    "interval": list(one.interval) if one.interval else None,
                    "difference": one.value,
                    "resolved": one.resolved,
                }
                for one in self.metrics
            ],
            "unpaired_metrics": list(self.unpaired),
            "flips": {"lost": self.lost, "gained": self.gained, "mcnemar_p": self.mcnemar},
            "unparsable": {"a": self.a.unparsable, "b": self.b.unparsable},
            "resamples": {"number": RESAMPLES, "seed": SEED, "clusters": "images"},
        }

    def print(self, console: Console) -> None:
        def say(text: str, style: str = "") -> None:
            console.print(text, style=style, highlight=False, markup=False)

        say(f"{self.a.benchmark}@{self.a.protocol}: {self.a.says}", "bold")
        say(f"A  {self.a.path}\nB  {self.b.path}")
        table = Table(box=None, pad_edge=False)
        table.add_column("", overflow="fold")
        for heading in ("A", "B", "B - A", "95 % interval", "p", "n"):
            table.add_column(heading, justify="right")
        for one in self.metrics:
            interval = f"{one.interval[0]:+.2f} .. {one.interval[1]:+.2f}" if one.interval else "one image"
            numbers = (f"{one.a:.2f}", f"{one.b:.2f}", f"{one.value:+.2f}", interval, f"{one.p:.4f}", str(one.n))
            table.add_row(one.name, *numbers, style="bold" if one is self.metrics[0] else "")
        console.print(table, highlight=False)
        lost, gained, p = len(self.lost), len(self.gained), self.mcnemar
        if p is None:
            say(f"rows with more points in B: {gained}, with fewer: {lost} (points are not 0 or 1: no McNemar test)")
        else:
            say(
                f"rows only B has right: {gained}, only A: {lost}; exact McNemar p = {p:.4g}, rows taken as independent"
            )
        say(f"unparsable: {self.a.unparsable} in A, {self.b.unparsable} in B, of {len(self.a.verdicts)}")
        notes = [note for note in self.b.notes if note not in self.a.notes]
        for letter, run_notes in (("A", self.a.notes), ("B", notes)):
            for note in run_notes:
                say(f"{letter}: {note}", "dim")
        if self.unpaired:
            say(f"only in one of the runs, not compared: {', '.join(self.unpaired)}")
        say(
            "interval: paired bootstrap by image; p: swapping A and B by image; of several rows some differ by chance",
            "dim",
        )
        say(self.sentence(), {BETTER: "bold green", WORSE: "bold red", NOT_RESOLVABLE: "bold"}[self.verdict])


def diff(a: Path, b: Path, benchmark: str | None = None, protocol: str | None = None, out: Path | None = None) -> int:
    """``minigemini eval diff``: prints the comparison and writes it to ``out``; of two suites that of every part.

    Returns:
        The exit code: 1 where B is worse (in some part), 0 where it is better or where that cannot be resolved.

    Raises:
        FileNotFoundError, ValueError: as :func:`compare` and :func:`judged_run.read_run`; suites with other parts.
    """
    found: dict[str, Comparison] = {}
    for of_a, of_b in paired_parts(a, b):
        comparison = compare(read_run(of_a, benchmark, protocol), read_run(of_b, benchmark, protocol))
        found[f"{comparison.a.benchmark}@{comparison.a.protocol}"] = comparison
    if out is not None:  # first: whoever reads what is printed may go away in the middle
        stored = {name: comparison.as_json() for name, comparison in found.items()}
        (single,) = stored.values() if len(stored) == 1 else ({"parts": stored},)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(single, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    console = Console(soft_wrap=True)
    for number, comparison in enumerate(found.values()):
        if number:
            console.print()
        comparison.print(console)
    if out is not None:
        print(f"written: {out}")
    return int(any(comparison.verdict == WORSE for comparison in found.values()))


def paired_parts(a: Path, b: Path) -> list[tuple[Path, Path]]:
    """What is to be compared with what: the two, or the parts of two suites by their names."""
    if not (a.is_dir() and b.is_dir()):
        return [(a, b)]
    of_a, of_b = parts_of(a), parts_of(b)
    if len(of_a) == len(of_b) == 1:
        return [(of_a[0], of_b[0])]
    names = [[part.name for part in parts] for parts in (of_a, of_b)]
    if sorted(names[0]) != sorted(names[1]):
        raise ValueError(f"parts: {', '.join(names[0])} in {a}, {', '.join(names[1])} in {b}; compare part with part")
    return [(part, b / part.name) for part in of_a]


def compare(a: JudgedRun, b: JudgedRun) -> Comparison:
    """
    Raises:
        ValueError: rows, gold answers or protocol are not the same; the first difference is named. Or a judge has not spoken.
    """
    b = paired(a, b)
    in_a, in_b = ({metric.name: metric for metric in run.metrics(run.verdicts)} for run in (a, b))
    names = [name for name in in_a if name in in_b]
    found = differences([in_a[name] for name in names], [in_b[name] for name in names])
    return Comparison(a, b, found, sorted(in_a.keys() ^ in_b.keys()))


def paired(a: JudgedRun, b: JudgedRun) -> JudgedRun:
    """``b`` with its rows in the order of ``a``'s. Raises as :func:`compare`."""
    same = (
        ("benchmark", a.benchmark, b.benchmark),
        ("protocol", a.protocol, b.protocol),
        ("judge", "; ".join(a.judges), "; ".join(b.judges)),
    )
    for name, of_a, of_b in same:
        if of_a != of_b:
            raise ValueError(f"{name}: {of_a!r} in {a.path}, {of_b!r} in {b.path}; these numbers cannot be compared")
    for run in (a, b):
        if any(verdict.points is None for verdict in run.verdicts) or not run.shown:
            raise ValueError(f"{run.path}: {run.status}; there is no number to compare")
    rows = {verdict.id: number for number, verdict in enumerate(b.verdicts)}
    ids = {verdict.id for verdict in a.verdicts}
    for run, different in ((a, len(ids)), (b, len(rows))):
        if different != len(run.verdicts):
            raise ValueError(f"{run.path}: {len(run.verdicts)} rows have only {different} ids")
    for run, without, missing in (
        (a, b, [verdict.id for verdict in a.verdicts if verdict.id not in rows]),
        (b, a, [verdict.id for verdict in b.verdicts if verdict.id not in ids]),
    ):
        if missing:
            raise ValueError(
                f"rows: {missing[0]!r} is in {run.path}, not in {without.path} ({len(missing)} such rows); "
                "only runs on the same rows can be compared"
            )
    order = [rows[verdict.id] for verdict in a.verdicts]
    b = replace(
        b,
        verdicts=[b.verdicts[row] for row in order],
        prompts=[b.prompts[row] for row in order],
        answers=[b.answers[row] for row in order],
    )
    for one, other in zip(a.verdicts, b.verdicts, strict=True):
        for name in SAME_IN_BOTH:
            if getattr(one, name) != getattr(other, name):
                raise ValueError(
                    f"row {one.id!r}: {name} is {getattr(one, name)!r} in {a.path}, {getattr(other, name)!r} in {b.path}"
                )
    return b
