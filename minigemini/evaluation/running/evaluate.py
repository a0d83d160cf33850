"""``minigemini eval``: predict, score, report, in a straight line."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch
import transformers
from rich.console import Console

import minigemini
from minigemini.benchmarks.benchmark import Example
from minigemini.benchmarks.names.tabletop import Tabletop
from minigemini.evaluation.progress import progress_bar
from minigemini.evaluation.reporting.table import Report
from minigemini.evaluation.running.digest import prompts_of
from minigemini.evaluation.running.evaluate_published import (
    PublishedResult,
    Source,
    evaluate_published,
    examples_of,
    source_of,
)
from minigemini.evaluation.running.evaluate_tabletop import benchmark_of, evaluate_tabletop
from minigemini.evaluation.running.load_model import EvaluatedModel, this_share
from minigemini.evaluation.running.suite import Suite, TabletopPart, load_suite, part_name


def evaluate(
    suite: str,
    model: str,
    out: Path,
    limit: int | None = None,
    controls: bool = True,
    strict: bool = False,
    overrides: Sequence[str] = (),
    bits: Literal[4, 8] | None = None,
) -> int:
    """Evaluates a model. Leaves in ``out`` a folder for each part of the suite, with its predictions, ``results.json`` and
    ``results.md``; and the same two files for all parts together.

    Interrupted, the same call continues where it stopped and ends with the same files; so it does in another number of
    processes (``accelerate launch``, ``torchrun``).

    Args:
        suite: name of a suite in ``eval/suites/``, the path of a YAML file, or benchmarks as "mme,mmmu@mgm".
        model: a checkpoint folder, a hub id, or a shipped name ("nano").
        limit: at most so many examples of every kind; of published benchmarks, the rows of so many images.
        controls: also run the models that serve as controls (blind, low-res only); the other controls cost nothing
            and are always there.
        strict: return 1 when a floor is missed or a control does not fail.
        overrides: ``key.path=value`` for fields of the suite.
        bits: load the layers of language models in 4 or 8 bits (:mod:`minigemini.model.quantization`).

    Returns:
        The exit code: 0, or with ``strict`` 1.

    Raises:
        ValueError: an unknown suite or one that does not fit together, data that is missing or not whole, a limit below 1, or ``out`` holds
            predictions made with other settings.
    """
    started = time.monotonic()
    transformers.utils.logging.disable_progress_bar()  # of loading weights: it would run through ours
    diffusers.utils.logging.disable_progress_bar()
    chosen = load_suite(suite, overrides)
    if limit is not None and limit < 1:
        raise ValueError(f"--limit {limit}: at least one example of each kind is needed")
    parts = read_parts(chosen, limit)  # all of them, before anything is loaded or answered
    out.mkdir(parents=True, exist_ok=True)
    share = this_share()
    answering = EvaluatedModel(model, bits, chosen.batch_size)
    check_prompts(parts, answering)
    console = Console(soft_wrap=True)
    results: dict[str, Report | PublishedResult] = {}
    for name, part in parts.items():
        with progress_bar(share.first) as progress:
            if isinstance(part, TabletopRows):
                results[name] = evaluate_tabletop(
                    part.part, part.benchmark, part.examples, answering, out / name, limit, controls, progress, share
                )
            else:
                results[name] = evaluate_published(
                    name,
                    part.blind and controls,
                    part.source,
                    part.examples,
                    answering,
                    out / name,
                    limit,
                    progress,
                    share,
                )
        if share.first:  # a part that is done is there, whatever becomes of the next
            _write(out / name, results[name].as_json(), results[name].markdown())
            results[name].print(console)
            console.print()
    if not share.first:
        return 0
    write_together(results, suite, model, out)
    seconds = time.monotonic() - started
    console.print(f"{seconds:.0f} s; predictions, results.json and results.md are in {out}", style="dim")
    complaints = [result.complaints() for result in results.values() if isinstance(result, Report)]
    return int(strict and any(complaints))


@dataclass(frozen=True)
class TabletopRows:
    """The tabletop, ready to be answered."""

    part: TabletopPart
    benchmark: Tabletop
    examples: Sequence[Example]


@dataclass(frozen=True)
class PublishedRows:
    """A published benchmark, ready to be answered."""

    blind: bool
    source: Source
    examples: Sequence[Example]


Parts = dict[str, TabletopRows | PublishedRows]


def read_parts(suite: Suite, limit: int | None) -> Parts:
    """Every part of the suite by its name: "tabletop", or ``benchmark@protocol``.

    Raises:
        ValueError: some of them cannot be read, or something is missing to answer them; all such parts are named.
    """
    parts: Parts = {}
    if suite.tabletop is not None:
        tabletop = benchmark_of(suite.tabletop, limit)
        parts[tabletop.name] = TabletopRows(suite.tabletop, tabletop, tabletop.examples())
    wrong = []
    for key, part in suite.published.items():
        name = part_name(key)
        try:
            source = source_of(name.partition("@")[0], part, suite)
            parts[name] = PublishedRows(part.blind, source, examples_of(name, source, limit))
        except (FileNotFoundError, ValueError) as error:
            wrong.append(f"{key}: {error}")
    if wrong:
        raise ValueError("\n".join(wrong))
    return parts


def check_prompts(parts: Parts, answering: EvaluatedModel) -> None:
    """
    Raises:
        ValueError: the model's chat template does not take the text of a row; part and row are named.
    """
    for name, part in parts.items():
        asked = [example for example in part.examples if example.messages]
        try:
            if asked:
                prompts_of(asked, answering.loaded[1])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error


def write_together(results: dict[str, Report | PublishedResult], suite: str, model: str, out: Path) -> None:
    """``results.json`` and ``results.md`` of all parts: the numbers; each row is in its part."""
    parts = {
        name: {key: value for key, value in result.as_json().items() if key != "verdicts"}
        for name, result in results.items()
    }
    about = {"minigemini": minigemini.__version__, "torch": torch.__version__}
    together = {"suite": suite, "model": model, "parts": parts, "about": about}
    _write(out, together, "\n".join(result.markdown() for result in results.values()))


def _write(folder: Path, results: dict[str, Any], markdown: str) -> None:
    (folder / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(markdown, encoding="utf-8")
