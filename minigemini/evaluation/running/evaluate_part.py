"""One benchmark of a suite: the model and its controls answer, what is to be drawn is drawn, and the rule judges."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.progress import Progress

from minigemini.benchmarks.benchmark import Example, Line
from minigemini.benchmarks.gold_check import has_gold
from minigemini.benchmarks.names import BENCHMARKS
from minigemini.benchmarks.score import score, without_gold
from minigemini.benchmarks.upload import write_upload
from minigemini.evaluation.drawing.draw import draw
from minigemini.evaluation.reporting.result import Result
from minigemini.evaluation.reporting.scored import as_result
from minigemini.evaluation.running.evaluated_model import EvaluatedModel, this_device
from minigemini.evaluation.running.predict import predict
from minigemini.evaluation.running.rows import CONTROL_MODELS, Rows
from minigemini.evaluation.running.share import Share
from minigemini.evaluation.running.view import BLIND, FULL, View
from minigemini.generation.image_generator import ImageGenerator

LOW_RES_ONLY = View("low-res only")  # another model; its view is whole
assert (BLIND.name, LOW_RES_ONLY.name) == CONTROL_MODELS


def evaluate_part(
    rows: Rows,
    model: EvaluatedModel,
    out: Path,
    limit: int | None,
    controls: bool,
    progress: Progress,
    share: Share,
) -> Result:
    """Answers, draws and judges; leaves the predictions of every run in ``out``.

    Args:
        limit: as it was asked for: with one, the rows are no whole benchmark, and the result says so.
        controls: also run the models that serve as controls (blind, low-res only).
    """
    part, asked, known = rows.part, rows.asked, BENCHMARKS[rows.benchmark]

    def answer(answering: EvaluatedModel, examples: Sequence[Example], view: View) -> list[Line]:
        return list(predict(answering, rows.name, examples, out / view.folder, progress, view, share))

    lines = answer(model, asked, FULL) if asked else []
    others: dict[str, list[Line]] = {}
    blind = [example for example in asked if part.asks_blind(example.kind)]
    if controls and blind:
        others[BLIND.name] = answer(model, blind, BLIND)
    low_res = [example for example in asked if part.asks_low_res(example.kind)]
    if controls and low_res:
        assert part.low_res_model is not None
        other = EvaluatedModel(part.low_res_model, model.bits, model.batch_size)
        others[LOW_RES_ONLY.name] = answer(other, low_res, LOW_RES_ONLY)
    if rows.drawn:
        assert part.image_generator is not None
        assert known.see is not None
        generator = ImageGenerator.from_pretrained(part.image_generator, device=this_device())
        lines += draw(generator, rows.drawn, known.see, out / "drawn", model.batch_size, progress, share)

    if known.ours or has_gold(lines):
        scored = score(rows.benchmark, lines, rows.protocol, partial=limit is not None)
    else:
        scored = without_gold(rows.benchmark, rows.protocol, lines)
        if share.first:
            scored = replace(scored, notes=[write_upload(known, lines, out)])
    judged = others if scored.metrics else {}
    runs = {name: score(rows.benchmark, of, rows.protocol, partial=True).metrics for name, of in judged.items()}
    unfinished = sum(not line.get("finished", True) for line in lines)
    notes = [f"{unfinished} answers did not end by themselves and were cut"] if unfinished else []
    if limit is not None:
        notes.append(f"only {limit} examples of each kind, or the rows of so many images: a smoke run")
    scored = replace(scored, notes=[*scored.notes, *notes])
    return as_result(scored, model.name, runs, part, {**vars(rows.source), "limit": limit})
