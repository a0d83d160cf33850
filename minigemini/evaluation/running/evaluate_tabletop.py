"""The tabletop in a suite: the model, its controls and the drawings, judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

import minigemini
from minigemini.benchmarks.benchmark import Example, Line, Row
from minigemini.benchmarks.names.tabletop import DRAWN, Tabletop, what_the_oracle_sees
from minigemini.evaluation.drawing.draw import draw
from minigemini.evaluation.reporting.table import Report, Result
from minigemini.evaluation.running.evaluated_model import EvaluatedModel, this_device
from minigemini.evaluation.running.predict import predict
from minigemini.evaluation.running.share import Share
from minigemini.evaluation.running.suite import TabletopPart
from minigemini.evaluation.running.view import BLIND, FULL, View
from minigemini.generation.image_generator import ImageGenerator

LOW_RES_ONLY = View("low-res only")  # another model; its view is whole


def benchmark_of(part: TabletopPart, limit: int | None) -> Tabletop:
    """
    Raises:
        ValueError: drawings are asked for and nothing is there to draw them.
    """
    if DRAWN in part.kinds and part.image_generator is None:
        raise ValueError(f"tabletop: {DRAWN} needs image_generator")
    per_kind = part.examples_per_kind if limit is None else min(limit, part.examples_per_kind)
    return Tabletop(list(part.kinds), per_kind, part.seed)


def evaluate_tabletop(
    part: TabletopPart,
    benchmark: Tabletop,
    examples: Sequence[Example],
    model: EvaluatedModel,
    out: Path,
    limit: int | None,
    controls: bool,
    progress: Progress,
    share: Share,
) -> Report:
    """Answers, draws and judges; leaves the predictions of every run in ``out``.

    Args:
        limit: of examples of a kind, as it was asked for: the report says so.
        controls: also run the models that serve as controls (blind, low-res only).
    """
    asked = [example for example in examples if example.kind != DRAWN]
    drawn = [example for example in examples if example.kind == DRAWN]
    blind = [example for example in asked if part.kinds[example.kind].blind]
    low_res = [example for example in asked if part.kinds[example.kind].low_res_only]
    runs: dict[str, Sequence[Line]] = {}

    def run(answering: EvaluatedModel, of: Sequence[Example], view: View) -> None:
        runs[view.name] = predict(answering, benchmark.name, of, out / view.folder, progress, view, share)

    if asked:
        run(model, asked, FULL)
        if controls and blind:
            run(model, blind, BLIND)
    if controls and low_res:
        assert part.low_res_model is not None
        run(EvaluatedModel(part.low_res_model, model.bits, model.batch_size), low_res, LOW_RES_ONLY)
    if drawn:
        assert part.image_generator is not None
        generator = ImageGenerator.from_pretrained(part.image_generator, device=this_device())
        drawings = draw(generator, drawn, what_the_oracle_sees, out / "drawn", model.batch_size, progress, share)
        runs[FULL.name] = [*runs.get(FULL.name, []), *drawings]

    expected = part.expected.scores() if part.expected else {}
    about: dict[str, Any] = {
        "seed": part.seed,
        "limit": limit,
        "unfinished": sum(not line.get("finished", True) for line in runs[FULL.name]),
        "minigemini": minigemini.__version__,
        "torch": torch.__version__,
    }
    results = [_judged(part, row, expected.get(row.kind)) for row in benchmark.score(runs)]
    return Report(benchmark.name, model.name, results, about, part.expected.name if part.expected else None)


def _judged(part: TabletopPart, row: Row, expected: float | None) -> Result:
    kind = part.kinds[row.kind]
    within = part.expected.within if part.expected else 0.0
    return Result(row, kind.floor, kind.must_fail, kind.ceilings, expected, within)
