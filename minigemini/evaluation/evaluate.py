"""``minigemini eval``: predict, score, report, in a straight line."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch
import transformers
from rich.console import Console

import minigemini
from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor, nano
from minigemini.evaluation.benchmark import Example, Line, Row
from minigemini.evaluation.draw import draw, drawing_settings
from minigemini.evaluation.predict import predict, progress_bar, settings_of, without_images
from minigemini.evaluation.predictions import PredictionFile
from minigemini.evaluation.report import Report, Result
from minigemini.evaluation.suite import Suite, load_suite
from minigemini.evaluation.tabletop import DRAWN, Tabletop, what_the_oracle_sees
from minigemini.generation.image_generator import ImageGenerator
from minigemini.model.quantization import in_bits


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
    """Evaluates a model and leaves predictions, ``results.json`` and ``results.md`` in ``out``.

    Interrupted, the same call continues where it stopped and ends with the same files.

    Args:
        suite: name of a suite in ``eval/suites/``, or the path of a YAML file.
        model: a checkpoint folder, a hub id, or a shipped name ("nano").
        limit: at most so many examples of every kind.
        controls: also run the models that serve as controls (blind, low-res only); the other controls cost nothing
            and are always there.
        strict: return 1 when a floor is missed or a control does not fail.
        overrides: ``key.path=value`` for fields of the suite.
        bits: load the layers of language models in 4 or 8 bits (:mod:`minigemini.model.quantization`).

    Returns:
        The exit code: 0, or with ``strict`` 1.

    Raises:
        ValueError: an unknown suite or one that does not fit together, a limit below 1, or ``out`` holds predictions made
            with other settings.
    """
    started = time.monotonic()
    transformers.utils.logging.disable_progress_bar()  # of loading weights: it would run through ours
    diffusers.utils.logging.disable_progress_bar()
    chosen = load_suite(suite, overrides)
    if DRAWN in chosen.kinds and chosen.image_generator is None:
        raise ValueError(f"{suite}: {DRAWN} needs image_generator")
    if limit is not None and limit < 1:
        raise ValueError(f"--limit {limit}: at least one example of each kind is needed")
    per_kind = chosen.examples_per_kind if limit is None else min(limit, chosen.examples_per_kind)
    benchmark = Tabletop(list(chosen.kinds), per_kind, chosen.seed)
    examples = benchmark.examples()
    runs = _answers(chosen, model, bits, examples, out, controls)
    drawn = [example for example in examples if example.kind == DRAWN]
    if drawn:
        runs["model"] = [*runs.get("model", []), *_drawings(chosen, drawn, out)]

    expected = chosen.expected.scores() if chosen.expected else {}
    results = [_judged(chosen, row, expected.get(row.kind)) for row in benchmark.score(runs)]
    about = {
        "suite": suite,
        "seed": chosen.seed,
        "limit": limit,
        "unfinished": sum(not line.get("finished", True) for line in runs["model"]),
        "minigemini": minigemini.__version__,
        "torch": torch.__version__,
    }
    report = Report(benchmark.name, model, results, about, chosen.expected.name if chosen.expected else None)
    report.write(out)
    console = Console()
    report.print(console)
    console.print(
        f"{time.monotonic() - started:.0f} s; predictions, results.json and results.md are in {out}", style="dim"
    )
    return int(strict and bool(report.complaints()))


def _load(model: str, bits: Literal[4, 8] | None) -> tuple[Any, Any]:
    """Model and processor, on the GPU in the checkpoint's own type if there is one, else on the CPU in float32.

    What is not quantised of a model in few bits is in bfloat16.
    """
    path = nano.resolve(model)
    device, dtype = ("cuda", "auto") if torch.cuda.is_available() else ("cpu", torch.float32)
    options: dict[str, Any] = {"dtype": dtype}
    if bits:
        options = {"dtype": torch.bfloat16, "quantization_config": in_bits(bits)}
    loaded: Any = MiniGeminiForConditionalGeneration.from_pretrained(path, device_map=device, **options)
    return loaded, MiniGeminiProcessor.from_pretrained(path)


def _answers(
    suite: Suite, model: str, bits: Literal[4, 8] | None, examples: Sequence[Example], out: Path, controls: bool
) -> dict[str, Sequence[Line]]:
    """The lines of every run: the model that is judged and, with ``controls``, it blind and the low-res-only one."""
    asked = [example for example in examples if example.kind != DRAWN]
    blind = [without_images(example) for example in asked if suite.kinds[example.kind].blind]
    low_res = [example for example in asked if suite.kinds[example.kind].low_res_only]
    runs: dict[str, Sequence[Line]] = {}
    with progress_bar() as progress:

        def run(name: str, loaded: tuple[Any, Any], of: Sequence[Example]) -> None:
            file = PredictionFile(
                out / name.replace(" ", "-"), [e.id for e in of], settings_of(*loaded, of, suite.batch_size)
            )
            runs[name] = predict(*loaded, of, file, suite.batch_size, progress, name)

        if asked:
            loaded = _load(model, bits)
            run("model", loaded, asked)
            if controls and blind:
                run("blind", loaded, blind)
        if controls and low_res:
            assert suite.low_res_model is not None
            run("low-res only", _load(suite.low_res_model, bits), low_res)
    return runs


def _drawings(suite: Suite, examples: Sequence[Example], out: Path) -> list[dict[str, Any]]:
    assert suite.image_generator is not None
    generator = ImageGenerator.from_pretrained(suite.image_generator)
    with progress_bar() as progress:
        settings = drawing_settings(generator, examples, suite.batch_size)
        file = PredictionFile(out / "drawn", [e.id for e in examples], settings)
        return draw(generator, examples, what_the_oracle_sees, file, suite.batch_size, progress, "drawn")


def _judged(suite: Suite, row: Row, expected: float | None) -> Result:
    kind = suite.kinds[row.kind]
    within = suite.expected.within if suite.expected else 0.0
    return Result(row, kind.floor, kind.must_fail, kind.ceilings, expected, within)
