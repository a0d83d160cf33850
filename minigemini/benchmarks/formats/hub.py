"""Where benchmarks lie on the Hugging Face hub, and which of the files there are theirs.

lmms-eval's copies moved from lmms-lab to lmms-lab-encoder in July 2026 (#1416); both names are known. Nothing is fetched unless
``hub:`` is asked for. A number should name its revision: ``hub:lmms-lab-encoder/POPE@REVISION``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HUB = "hub:"


@dataclass(frozen=True)
class Home:
    """
    Attributes:
        repositories: the first is what ``hub:`` alone means.
        split: what the names of the files begin with.
        configs: folders of the files; with none, all folders belong to it (MMMU's subjects).
    """

    repositories: tuple[str, ...]
    split: str
    configs: tuple[str, ...] = ()


def _lmms(name: str, split: str, *configs: str) -> Home:
    return Home((f"lmms-lab-encoder/{name}", f"lmms-lab/{name}"), split, configs)


HOMES = {
    "textvqa": _lmms("textvqa", "validation"),
    "vqav2": _lmms("VQAv2", "validation"),
    "vizwiz": _lmms("VizWiz-VQA", "val"),
    "gqa": _lmms("GQA", "testdev", "testdev_balanced_instructions", "testdev_balanced_images"),
    "scienceqa": _lmms("ScienceQA", "test", "ScienceQA-FULL"),
    "pope": _lmms("POPE", "test"),
    "mme": _lmms("MME", "test"),
    "mmbench": _lmms("MMBench", "dev", "en"),
    "mmbench_cn": _lmms("MMBench", "dev", "cn"),
    "seed_bench": _lmms("SEED-Bench", "test"),
    "mmmu": Home(("MMMU/MMMU", "lmms-lab-encoder/MMMU", "lmms-lab/MMMU"), "validation"),
    "mmmu_pro": Home(("MMMU/MMMU_Pro",), "test", ("standard (10 options)",)),
    "mathvista": Home(("AI4Math/MathVista",), "testmini"),
    "ai2d": _lmms("ai2d", "test"),
    "mmstar": Home(("Lin-Chen/MMStar",), ""),
    "blink": Home(("BLINK-Benchmark/BLINK",), "val"),
    "realworldqa": _lmms("RealWorldQA", "test"),
    "chartqa": _lmms("ChartQA", "test"),
    "docvqa": _lmms("DocVQA", "validation", "DocVQA"),
    "infovqa": _lmms("DocVQA", "validation", "InfographicVQA"),
    "ocrbench": Home(("echo840/OCRBench",), "test"),
    "hallusionbench": _lmms("HallusionBench", "image"),
    "mmvet": _lmms("MMVet", "test"),
    "llava_bench": _lmms("llava-bench-in-the-wild", "train"),
}


def fetched(benchmark: str, asked: str) -> Path:
    """The folder of a repository's parquet files, from the local cache if they are there.

    Args:
        asked: ``hub:``, or ``hub:owner/name@revision`` (both parts may be left out).

    Raises:
        ValueError: there is no such repository or revision, or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    home = HOMES[benchmark]
    name, _, revision = asked.removeprefix(HUB).partition("@")
    name = name or home.repositories[0]
    try:
        folder = snapshot_download(
            name, repo_type="dataset", revision=revision or None, allow_patterns=[f"*{home.split}*.parquet"]
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        where = f"{HUB}{name}" + (f"@{revision}" if revision else "")
        raise ValueError(
            f"{where}: cannot be had from the hub ({type(error).__name__}: {str(error).strip().splitlines()[0]}). Known for "
            f"{benchmark}: {', '.join(home.repositories)}. On a machine without the hub give the folder of the files instead"
        ) from error
    return Path(folder)


def pinned(benchmark: str, asked: str) -> str:
    """``asked`` with repository and commit, so that the same files are read again. Arguments and errors as of :func:`fetched`."""
    name = asked.removeprefix(HUB).partition("@")[0] or HOMES[benchmark].repositories[0]
    return f"{HUB}{name}@{fetched(benchmark, asked).name}"
