"""``minigemini eval draw-decision``: a model answers the labelled set, and its decisions are scored."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from rich.console import Console

import minigemini
from minigemini.benchmarks.names.draw_decision import ITEMS, DrawDecision
from minigemini.evaluation.reporting.table import Report, Result
from minigemini.evaluation.running.evaluated_model import EvaluatedModel, this_share
from minigemini.evaluation.running.predict import predict
from minigemini.progress import progress_bar


def evaluate_draw_decision(model: str, out: Path, items: Path = ITEMS, batch_size: int = 16) -> int:
    """Leaves the answers in ``out / "model"``, and ``results.json`` and ``results.md`` in ``out``.

    Args:
        model: checkpoint folder, hub id or shipped name.
        items: the labelled set; see :mod:`draw_decision`.

    Returns:
        The exit code, 0.

    Raises:
        ValueError, FileNotFoundError: as :meth:`DrawDecision.examples` and :func:`predict.predict`.
    """
    transformers.utils.logging.disable_progress_bar()
    benchmark = DrawDecision(items)
    examples = benchmark.examples()
    answering = EvaluatedModel(model, None, batch_size)
    out.mkdir(parents=True, exist_ok=True)
    share = this_share()
    with progress_bar(share.first) as progress:
        lines = predict(answering, benchmark.name, examples, out / "model", progress, share=share)
    if not share.first:
        return 0
    about = {
        "items": str(items),
        "limit": None,
        "unfinished": sum(not line["finished"] for line in lines),
        "minigemini": minigemini.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    report = Report(benchmark.name, model, [Result(row) for row in benchmark.score({"model": lines})], about)
    (out / "results.json").write_text(
        json.dumps(report.as_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (out / "results.md").write_text(report.markdown(), encoding="utf-8")
    report.print(Console(soft_wrap=True))
    return 0
