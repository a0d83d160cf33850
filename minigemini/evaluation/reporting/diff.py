"""``minigemini eval diff A B``: is B better or worse than A, row by row on the same rows?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from minigemini.benchmarks.names import protocol_of
from minigemini.benchmarks.rules.verdict import Verdict
from minigemini.benchmarks.statistics.metric import points_of
from minigemini.benchmarks.statistics.paired import RESAMPLES, SEED, Difference, differences, mcnemar
from minigemini.evaluation.reporting.result import Pair, Result, parts_as_json, write_json
from minigemini.evaluation.reporting.stored_run import find_parts, read_run
from minigemini.evaluation.reporting.table import print_result

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

    a: Result
    b: Result
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

    def _rows(self) -> Iterator[tuple[Verdict, Verdict]]:
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

    def as_result(self) -> Result:
        """For the one schema and the one writer of tables."""
        p = self.mcnemar
        flips = {"lost": self.lost, "gained": self.gained, "mcnemar_p": p}
        unparsable = {"a": self.a.unparsable, "b": self.b.unparsable}
        lost, gained, rows = len(self.lost), len(self.gained), len(self.a.verdicts)
        notes = [
            f"rows with more points in B: {gained}, with fewer: {lost} (points are not 0 or 1: no McNemar test)"
            if p is None
            else f"rows only B has right: {gained}, only A: {lost}; exact McNemar p = {p:.4g}, rows taken as independent",
            f"unparsable: {unparsable['a']} in A, {unparsable['b']} in B, of {rows}",
            *(f"A: {note}" for note in self.a.notes),
            *(f"B: {note}" for note in self.b.notes if note not in self.a.notes),
        ]
        if self.unpaired:
            notes.append(f"only in one of the runs, not compared: {', '.join(self.unpaired)}")
        notes.append(
            "interval: paired bootstrap by image; p: swapping A and B by image; of several rows some differ by chance"
        )
        return Result(
            benchmark=self.a.benchmark,
            protocol=self.a.protocol,
            says=f"{self.a.says}\nA  {self.a.path}\nB  {self.b.path}",
            numbers=(),
            differences=[Pair("A", "B", one) for one in self.metrics],
            notes=notes,
            about={
                "a": str(self.a.path),
                "b": str(self.b.path),
                "verdict": self.verdict,
                "sentence": self.sentence(),
                "n": rows,
                "unpaired_metrics": list(self.unpaired),
                "flips": flips,
                "unparsable": unparsable,
                "resamples": {"number": RESAMPLES, "seed": SEED, "clusters": "images"},
            },
        )


def diff(a: Path, b: Path, benchmark: str | None = None, protocol: str | None = None, out: Path | None = None) -> int:
    """``minigemini eval diff``: prints the comparison and writes it to ``out``; of two suites that of every part.

    Returns:
        The exit code: 1 where B is worse (in some part), 0 where it is better or where that cannot be resolved.

    Raises:
        FileNotFoundError, ValueError: as :func:`compare` and :func:`stored_run.read_run`; suites with other parts.
    """
    found: dict[str, Comparison] = {}
    for of_a, of_b in pair_parts(a, b):
        comparison = compare(read_run(of_a, benchmark, protocol), read_run(of_b, benchmark, protocol))
        found[f"{comparison.a.benchmark}@{comparison.a.protocol}"] = comparison
    results = {name: comparison.as_result() for name, comparison in found.items()}
    if out is not None:  # first: whoever reads what is printed may go away in the middle
        write_json(out, next(iter(results.values())).as_json() if len(results) == 1 else parts_as_json(results))
    console = Console(soft_wrap=True)
    for number, (name, comparison) in enumerate(found.items()):
        if number:
            console.print()
        print_result(results[name], console)
        style = {BETTER: "bold green", WORSE: "bold red", NOT_RESOLVABLE: "bold"}[comparison.verdict]
        console.print(comparison.sentence(), style=style, highlight=False, markup=False)
    if out is not None:
        print(f"written: {out}")
    return int(any(comparison.verdict == WORSE for comparison in found.values()))


def pair_parts(a: Path, b: Path) -> list[tuple[Path, Path]]:
    """What is to be compared with what: the two, or the parts of two suites by their names."""
    if not (a.is_dir() and b.is_dir()):
        return [(a, b)]
    of_a, of_b = find_parts(a), find_parts(b)
    if len(of_a) == len(of_b) == 1:
        return [(of_a[0], of_b[0])]
    names = [[part.name for part in parts] for parts in (of_a, of_b)]
    if sorted(names[0]) != sorted(names[1]):
        raise ValueError(f"parts: {', '.join(names[0])} in {a}, {', '.join(names[1])} in {b}; compare part with part")
    return [(part, b / part.name) for part in of_a]


def compare(a: Result, b: Result) -> Comparison:
    """
    Raises:
        ValueError: rows, gold answers or protocol are not the same; the first difference is named. Or a judge has not spoken.
    """
    b = pair_rows(a, b)
    _, protocol = protocol_of(a.benchmark, a.protocol)
    in_a, in_b = ({metric.name: metric for metric in protocol.metrics(run.verdicts)} for run in (a, b))
    names = [name for name in in_a if name in in_b]
    found = differences([in_a[name] for name in names], [in_b[name] for name in names])
    return Comparison(a, b, found, sorted(in_a.keys() ^ in_b.keys()))


def pair_rows(a: Result, b: Result) -> Result:
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
        if not run.verdicts:
            raise ValueError(f"{run.path}: it holds no verdicts on rows; there is nothing to pair")
        if any(verdict.points is None for verdict in run.verdicts) or not run.numbers:
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
