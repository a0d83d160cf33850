"""A run whose answers are judged, as it lies on disk: what ``eval diff`` compares and ``eval report`` shows.

Three things are read: the JSON of ``eval score``; predictions.jsonl, judged here under a named benchmark and protocol; and the folder
that ``eval`` leaves for each part of a suite. None needs a model or torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from minigemini.benchmarks.formats.lines import read_json, read_jsonl, read_predictions
from minigemini.benchmarks.names import BENCHMARKS, protocol_of
from minigemini.benchmarks.names.tabletop import DRAWN, MEAN, TABLETOP, tabletop_metrics, tabletop_verdict
from minigemini.benchmarks.rules.verdict import UNPARSABLE, Verdict
from minigemini.benchmarks.score import NEEDS_JUDGE, NO_GOLD, SCORED, score
from minigemini.benchmarks.statistics.metric import Metric, by_kind, mean_of_groups


@dataclass(frozen=True)
class JudgedRun:
    """
    Attributes:
        path: where it was read from.
        benchmark, protocol: what judged it; for the tabletop the protocol names the seed of its examples.
        says: what the protocol is, for the reader of the numbers.
        verdicts: one a row.
        prompts, answers: of each row, as the model was asked and as it answered; "" where the file did not have them.
        metrics: the benchmark's numbers, the published one first, from verdicts in any order.
        shown: the numbers as they were printed: ``{"name", "value", "unit", "n", "images", "interval"}``; empty where a
            judge is needed.
        beside: columns of numbers that belong beside them: name -> metric -> value.
        notes: what the reader has to know of the rows.
        judges: who graded, and asked in which words.
        whole: whether published numbers may stand beside it.
    """

    path: Path
    benchmark: str
    protocol: str
    says: str
    verdicts: Sequence[Verdict]
    prompts: Sequence[str]
    answers: Sequence[str]
    metrics: Callable[[Sequence[Verdict]], list[Metric]]
    shown: Sequence[dict[str, Any]]
    beside: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    judges: Sequence[str] = ()
    whole: bool = True

    @property
    def status(self) -> str:
        if self.shown:
            return SCORED
        return NO_GOLD if self.verdicts[0].path == NO_GOLD else NEEDS_JUDGE

    @property
    def unparsable(self) -> int:
        return sum(verdict.path == UNPARSABLE for verdict in self.verdicts)


def read_run(path: Path, benchmark: str | None = None, protocol: str | None = None) -> JudgedRun:
    """
    Args:
        path: JSON of ``eval score``, a part's folder of ``eval`` (or the folder above, where there is but one part), or
            predictions.jsonl.
        benchmark, protocol: by which to judge predictions.jsonl; of the others, what they must be.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: it is none of the three, is not complete, or is of another benchmark or protocol.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.suffix == ".jsonl":
        if benchmark is None:
            raise ValueError(f"{path}: predictions need --benchmark, to be judged")
        protocol_of(benchmark, protocol)  # a wrong name is said before anything is read
        scored = score(benchmark, read_predictions(path, BENCHMARKS[benchmark]), protocol)
        return _from_json(path, scored.as_json())
    run = _from_folder(path) if path.is_dir() else _from_json(path, read_json(path))
    for name, wanted, found in (("benchmark", benchmark, run.benchmark), ("protocol", protocol, run.protocol)):
        if wanted is not None and wanted != found:
            raise ValueError(f"{path}: its {name} is {found!r}, not {wanted!r}")
    return run


def _from_json(path: Path, stored: Any) -> JudgedRun:
    """As ``score.Scored.as_json`` writes it."""
    try:
        rows = stored["verdicts"]
        verdicts = [Verdict(**{name: row[name] for name in Verdict.__dataclass_fields__}) for row in rows]
        return JudgedRun(
            path=path,
            benchmark=stored["benchmark"],
            protocol=stored["protocol"],
            says=stored["says"],
            verdicts=verdicts,
            prompts=[row["prompt"] for row in rows],
            answers=[row["answer"] for row in rows],
            metrics=protocol_of(stored["benchmark"], stored["protocol"])[1].metrics,
            shown=stored["metrics"],
            notes=stored["notes"],
            judges=stored["judges"],
            whole=stored["whole"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: not written by `minigemini eval score --json` ({error!r})") from None


def parts_of(folder: Path) -> list[Path]:
    """The folders of the parts of a finished ``eval``: itself, or those below it.

    Raises:
        ValueError: it is no such folder.
    """
    results = _results(folder)
    if "parts" not in results:
        return [folder]
    first = [
        folder / name for name in results["parts"]
    ]  # then those of other suites that were run into the same folder
    return [*first, *(file.parent for file in sorted(folder.glob("*/results.json")) if file.parent not in first)]


def _results(folder: Path) -> dict[str, Any]:
    file = folder / "results.json"
    if not file.is_file():
        raise ValueError(f"{folder}: no results.json; is this the --out of a finished `minigemini eval`?")
    return read_json(file)


def _from_folder(folder: Path) -> JudgedRun:
    parts = parts_of(folder)
    if len(parts) > 1:
        raise ValueError(f"{folder} has several parts; name one: {', '.join(map(str, parts))}")
    results = _results(parts[0])
    if results.get("benchmark") == TABLETOP:
        return _from_tabletop(parts[0], results)
    run = _from_json(parts[0], results)
    beside = {"blind": {one["name"]: one["value"] for one in results["blind"]}} if results.get("blind") else {}
    return replace(run, says=f"{results['model']}: {run.says}", beside=beside)


def _from_tabletop(folder: Path, results: dict[str, Any]) -> JudgedRun:
    files = [folder / part / "predictions.jsonl" for part in ("model", "drawn")]
    lines = [line for file in files if file.is_file() for line in read_jsonl(file)]
    verdicts = [tabletop_verdict(line) for line in lines]
    counted = {kind: len(part) for kind, part in by_kind(verdicts).items()}
    for row in results["rows"]:
        if counted.get(row["kind"], 0) != row["n"]:
            raise ValueError(
                f"{folder}: {row['n']} examples of {row['kind']} in results.json, {counted.get(row['kind'], 0)} predictions"
            )
    beside: dict[str, dict[str, float]] = {}
    for row in results["rows"]:
        for name, control in row["controls"].items():
            beside.setdefault(name, {})[row["kind"]] = 100 * control["value"]
    return JudgedRun(
        path=folder,
        benchmark=TABLETOP,
        protocol=f"seed {results['about']['seed']}",
        says=f"{results['model']}: greedy decoding, exact match of the whole answer",
        verdicts=verdicts,
        prompts=[line.get("prompt", line["reference"].get("prompt", "")) for line in lines],
        answers=[line["seen"] if line["kind"] == DRAWN else line["prediction"] for line in lines],
        metrics=tabletop_metrics,
        shown=[_mean_of_kinds(verdicts), *(_tabletop_number(row) for row in results["rows"])],
        beside=beside,
        notes=results["complaints"],
    )


def _mean_of_kinds(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The number that `eval diff` judges by. The tabletop prints none for all kinds together, hence no interval."""
    mean = mean_of_groups(MEAN, verdicts, by_kind(verdicts))
    return {"name": MEAN, "value": mean.value, "unit": "%", "n": mean.n, "images": mean.n, "interval": None}


def _tabletop_number(row: dict[str, Any]) -> dict[str, Any]:
    """A row of results.json in percent, with its Wilson interval."""
    interval = [100 * end for end in row["interval"]] if row["interval"] else None
    return {
        "name": row["kind"],
        "value": 100 * row["value"],
        "unit": "%",
        "n": row["n"],
        "images": row["n"],
        "interval": interval,
    }
