"""``minigemini eval``: predict, score, report, in a straight line."""

import time
from collections.abc import Sequence
from pathlib import Path

import diffusers
import transformers
from rich.console import Console

from minigemini import nano
from minigemini.evaluation.reporting.result import Result
from minigemini.evaluation.reporting.table import show_result, write_parts
from minigemini.evaluation.running.digest import prompts_of
from minigemini.evaluation.running.evaluate_part import evaluate_part
from minigemini.evaluation.running.evaluated_model import EvaluatedModel, this_share
from minigemini.evaluation.running.rows import Rows, read_parts
from minigemini.evaluation.running.suite import AS_THE_SUITE_SAYS, Settings, load_suite
from minigemini.progress import progress_bar


def evaluate(
    suite: str,
    model: str,
    out: Path,
    settings: Settings = AS_THE_SUITE_SAYS,
    controls: bool = True,
    strict: bool = False,
) -> int:
    """Evaluates a model. Leaves in ``out`` a folder for each part of the suite, with its predictions, ``results.json`` and
    ``results.md``; and the same two files for all parts together.

    Interrupted, the same call continues where it stopped and ends with the same files; so it does in another number of
    processes (``accelerate launch``, ``torchrun``).

    Args:
        suite: name of a suite in ``eval/suites/``, the path of a YAML file, or benchmarks as "mme,mmmu@mgm".
        model: a checkpoint folder, a hub id, or a shipped name ("nano").
        controls: also run the models that serve as controls (blind, low-res only); the other controls cost nothing
            and are always there.
        strict: return 1 when a floor is missed or a control does not fail.

    Returns:
        The exit code: 0, or with ``strict`` 1.

    Raises:
        ValueError: there is no such model or suite, or the suite does not fit together; data that is missing or not whole, a limit
            below 1, or ``out`` holds predictions made with other settings.
    """
    started = time.monotonic()
    transformers.utils.logging.disable_progress_bar()  # of loading weights: it would run through ours
    diffusers.utils.logging.disable_progress_bar()
    nano.resolve(model)  # one that is not there is said before a thousand questions are read
    chosen = load_suite(suite, settings.overrides)
    parts = read_parts(chosen, settings.limit)  # all of them, before anything is loaded or answered
    out.mkdir(parents=True, exist_ok=True)
    share = this_share()
    answering = EvaluatedModel(model, settings.bits, chosen.batch_size)
    check_prompts(parts, answering)
    console = Console(soft_wrap=True)
    results: dict[str, Result] = {}
    for rows in parts:
        with progress_bar(share.first) as progress:
            result = evaluate_part(rows, answering, out / rows.name, settings.limit, controls, progress, share)
        results[rows.name] = result
        if share.first:  # a part that is done is there, whatever becomes of the next
            show_result(out / rows.name, result, console)
            console.print()
    if not share.first:
        return 0
    write_parts(out, "results", results)
    seconds = time.monotonic() - started
    console.print(f"{seconds:.0f} s; predictions, results.json and results.md are in {out}", style="dim")
    return int(strict and any(result.complaints() for result in results.values()))


def check_prompts(parts: Sequence[Rows], answering: EvaluatedModel) -> None:
    """Raises ValueError: the model's chat template does not take the text of a row; part and row are named."""
    for rows in parts:
        try:
            if rows.asked:
                prompts_of(rows.asked, answering.loaded[1])
        except ValueError as error:
            raise ValueError(f"{rows.name}: {error}") from error
