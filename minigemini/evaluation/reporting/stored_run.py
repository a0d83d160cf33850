"""A run as it lies on disk: what ``eval diff`` compares and ``eval report`` shows. Neither a model nor torch is needed."""

from pathlib import Path
from typing import Any

from minigemini.benchmarks.formats.lines import read_json, read_predictions
from minigemini.benchmarks.names import BENCHMARKS, protocol_of
from minigemini.benchmarks.score import score
from minigemini.evaluation.reporting.result import Result, parse_result
from minigemini.evaluation.reporting.scored import as_result


def read_run(path: Path, benchmark: str | None = None, protocol: str | None = None) -> Result:
    """
    Args:
        path: a results file; a folder with ``results.json`` (or the folder above, where there is but one part); or predictions.jsonl.
        benchmark, protocol: by which to judge predictions.jsonl; of results, what they must be.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: it is none of the three, or is of another benchmark or protocol.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.suffix == ".jsonl":
        if benchmark is None:
            raise ValueError(f"{path}: predictions need --benchmark, to be judged")
        protocol_of(benchmark, protocol)  # a wrong name is said before anything is read
        return as_result(score(benchmark, read_predictions(path, BENCHMARKS[benchmark]), protocol), path=path)
    run = _read_folder(path) if path.is_dir() else parse_result(read_json(path), path)
    for name, wanted, found in (("benchmark", benchmark, run.benchmark), ("protocol", protocol, run.protocol)):
        if wanted is not None and wanted != found:
            raise ValueError(f"{path}: its {name} is {found!r}, not {wanted!r}")
    return run


def find_parts(folder: Path) -> list[Path]:
    """The folders of the parts of a finished ``eval``: itself, or those below it. Raises ValueError: it is no such folder."""
    results = _read_results(folder)
    if "parts" not in results:
        return [folder]
    first = [folder / name for name in results["parts"]]
    # then those of other suites that were run into the same folder
    return [*first, *(file.parent for file in sorted(folder.glob("*/results.json")) if file.parent not in first)]


def _read_results(folder: Path) -> dict[str, Any]:
    file = folder / "results.json"
    if not file.is_file():
        raise ValueError(f"{folder}: no results.json; is this the --out of a finished `minigemini eval`?")
    return read_json(file)


def _read_folder(folder: Path) -> Result:
    parts = find_parts(folder)
    if len(parts) > 1:
        raise ValueError(f"{folder} has several parts; name one: {', '.join(map(str, parts))}")
    return parse_result(_read_results(parts[0]), parts[0])
