"""``minigemini eval ablate``: the same model on the same rows, with less of the pictures, or more.

What the high-resolution tower is worth is not told by another model that was trained without it. Here nothing is trained: mining is
left out, or finds blank pictures, or larger ones; or there are no pictures at all. Every difference has a paired interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import transformers
from rich.console import Console

from minigemini import nano
from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.gold_check import has_gold
from minigemini.benchmarks.score import NEEDS_JUDGE, NO_GOLD, Scored, score
from minigemini.benchmarks.statistics.paired import differences
from minigemini.evaluation.reporting.result import Pair, Result
from minigemini.evaluation.reporting.scored import as_result
from minigemini.evaluation.reporting.table import print_result, write_parts
from minigemini.evaluation.running.evaluate import check_prompts
from minigemini.evaluation.running.evaluated_model import EvaluatedModel, this_share
from minigemini.evaluation.running.predict import predict
from minigemini.evaluation.running.rows import Rows, read_parts
from minigemini.evaluation.running.suite import AS_THE_SUITE_SAYS, Settings, load_suite
from minigemini.evaluation.running.view import BLIND, FULL, View
from minigemini.progress import progress_bar

MINING_OFF = View("mining off", mining=False)
BLANK = View("high-res blank", blank=True)
EXPLAINED = """
- mining off: the tokens are those of the low-resolution tower alone.
- high-res blank: the high-resolution pictures are all grey (zero after normalisation); mining runs and finds nothing.
- high-res N: the picture is N pixels wide for the high-resolution tower; nothing was trained for it.
- blind: no picture at all.

B-A is the view's number less the whole model's, with a 95 % interval (paired bootstrap by image).
"""


def ablate(
    suite: str,
    model: str,
    out: Path,
    high_res_sizes: Sequence[int] = (),
    settings: Settings = AS_THE_SUITE_SAYS,
) -> int:
    """Answers a suite in every view; prints the first number's differences and leaves all in ``out`` as ``ablation.json`` and
    ``ablation.md``.

    The whole model's predictions lie where ``eval`` puts them: with the same ``out`` they are not made twice.

    Args:
        high_res_sizes: further sides of the high-resolution pictures, in pixels; twice the model's own if none is given.
        suite, model, settings: as of :func:`evaluate.evaluate`.

    Raises:
        ValueError: the model has no high-resolution tower, or a size does not fit it; and as :func:`evaluate.evaluate`.
    """
    transformers.utils.logging.disable_progress_bar()
    nano.resolve(model)
    chosen = load_suite(suite, settings.overrides)
    parts = read_parts(chosen, settings.limit)
    _refuse_what_has_no_number(parts)
    out.mkdir(parents=True, exist_ok=True)
    share = this_share()
    answering = EvaluatedModel(model, settings.bits, chosen.batch_size)
    config = answering.loaded[0].config
    if config.high_res_vision_config is None:
        raise ValueError(f"{model} has no high-resolution tower: there is no mining to leave out")
    sizes = list(high_res_sizes) or [2 * config.high_res_vision_config.image_size]
    for size in sizes:
        config.check_high_res_size(size, "--high-res-size")
    check_prompts(parts, answering)
    views = [FULL, MINING_OFF, BLANK, *(View(f"high-res {size}", high_res_size=size) for size in sizes), BLIND]

    found: dict[str, Result] = {}
    with progress_bar(share.first) as progress:
        for rows in parts:
            runs: dict[str, Sequence[Line]] = {}
            for view in views:
                folder = out / rows.name / (FULL.folder if view is FULL else f"ablation/{view.folder}")
                runs[view.name] = predict(answering, rows.name, rows.asked, folder, progress, view, share)
            if share.first:
                about = {**vars(rows.source), "limit": settings.limit}
                found[rows.name] = replace(compare_views(rows.benchmark, rows.protocol, runs), model=model, about=about)
    if not share.first:
        return 0
    write_parts(out, "ablation", found, EXPLAINED)
    console = Console(soft_wrap=True)
    for result in found.values():
        first = result.numbers[:1]
        shown = [pair for pair in result.differences if pair.difference.name == first[0].name]
        print_result(replace(result, numbers=first, differences=shown), console)
        console.print()
    console.print(f"every number in every view: {out / 'ablation.md'}", style="dim")
    return 0


def _refuse_what_has_no_number(parts: Sequence[Rows]) -> None:
    """Raises ValueError: parts need a judge, have no gold answers, or nothing but drawings, before anything is answered."""
    for rows in parts:
        if not rows.asked:
            raise ValueError(f"{rows.name}: nothing is asked of the model in it")
    kept_back = [rows.name for rows in parts if not has_gold(rows.unanswered())]
    if kept_back:
        raise ValueError(f"{', '.join(kept_back)}: {NO_GOLD}, so there is no number to compare; leave them out")
    judged = [
        rows.name for rows in parts if not score(rows.benchmark, rows.unanswered(), rows.protocol, partial=True).metrics
    ]
    if judged:
        raise ValueError(f"{', '.join(judged)}: {NEEDS_JUDGE}, so there is no number to compare; leave them out")


def compare_views(benchmark: str, protocol: str, runs: Mapping[str, Sequence[Line]]) -> Result:
    """What the whole model reaches, and what every view differs from it by.

    Args:
        runs: the lines of each view, those of the whole model among them.

    Raises:
        ValueError: a judge is needed.
    """
    scored = {view: _score(benchmark, protocol, lines) for view, lines in runs.items()}
    whole = scored.pop(FULL.name)
    pairs = [
        Pair(FULL.name, view, one)
        for view, other in scored.items()
        for one in differences(whole.metrics, other.metrics)
    ]
    return replace(as_result(whole), differences=pairs)


def _score(benchmark: str, protocol: str, lines: Sequence[Line]) -> Scored:
    scored = score(benchmark, lines, protocol, partial=True)
    if not scored.metrics:
        raise ValueError(f"{benchmark}@{protocol}: {scored.status}; there is no number to compare")
    return scored
