"""Where benchmarks lie on the Hugging Face hub, and which of the files there are theirs.

lmms-eval's copies moved from lmms-lab to lmms-lab-encoder in July 2026 (#1416); both names are known. Nothing is fetched unless
``hub:`` is asked for. A number should name its revision: ``hub:lmms-lab-encoder/POPE@REVISION``.
"""

from dataclasses import dataclass
from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark

HUB = "hub:"


@dataclass(frozen=True)
class Hub:
    """
    Attributes:
        repositories: the first is what ``hub:`` alone means.
        split: what the names of the files begin with.
        configs: folders of the files; with none, all folders belong to it (MMMU's subjects).
        pictures: where pictures have rows of their own: the column of their id, and the one of the questions that names them.
    """

    repositories: tuple[str, ...]
    split: str
    configs: tuple[str, ...] = ()
    pictures: tuple[str, str] | None = None


def of_lmms(name: str, split: str, *configs: str, pictures: tuple[str, str] | None = None) -> Hub:
    """lmms-eval's copy."""
    return Hub((f"lmms-lab-encoder/{name}", f"lmms-lab/{name}"), split, configs, pictures)


def fetch(benchmark: Benchmark, asked: str) -> Path:
    """The folder of a repository's parquet files, from the local cache if they are there.

    Args:
        asked: ``hub:``, or ``hub:owner/name@revision`` (both parts may be left out).

    Raises:
        ValueError: there is no such repository or revision, or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    hub = benchmark.hub
    assert hub is not None, benchmark.name
    name, _, revision = asked.removeprefix(HUB).partition("@")
    name = name or hub.repositories[0]
    try:
        folder = snapshot_download(
            name, repo_type="dataset", revision=revision or None, allow_patterns=[f"*{hub.split}*.parquet"]
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        where = f"{HUB}{name}" + (f"@{revision}" if revision else "")
        raise ValueError(
            f"{where}: cannot be had from the hub ({type(error).__name__}: {str(error).strip().splitlines()[0]}). Known for "
            f"{benchmark.name}: {', '.join(hub.repositories)}. On a machine without the hub give the folder of the files instead"
        ) from error
    return Path(folder)


def pin(benchmark: Benchmark, asked: str) -> str:
    """``asked`` with repository and commit, so that the same files are read again. Arguments and errors as of :func:`fetch`."""
    assert benchmark.hub is not None, benchmark.name
    name = asked.removeprefix(HUB).partition("@")[0] or benchmark.hub.repositories[0]
    return f"{HUB}{name}@{fetch(benchmark, asked).name}"
