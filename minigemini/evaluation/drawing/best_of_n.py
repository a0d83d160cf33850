"""Of n pictures of a prompt the model keeps the one it likes best: how much is won, by a judge that knows the truth?

On the tabletop: the generator draws the true prompts of ``drawn_picture``; the model is asked, of everything in the prompt, whether
it is in the picture; the oracle says which pictures are right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import transformers
from rich.console import Console

from minigemini.benchmarks.benchmark import Example
from minigemini.benchmarks.names.tabletop import DRAWN, make_examples, shows, what_the_oracle_sees
from minigemini.benchmarks.rules.verdict import Reading, Verdict, make_verdict
from minigemini.benchmarks.statistics.metric import Metric, mean_points
from minigemini.benchmarks.statistics.paired import differences, mcnemar
from minigemini.evaluation.drawing.draw import draw
from minigemini.evaluation.drawing.self_judgement import judge_pictures, tabletop_questions
from minigemini.evaluation.reporting.result import Pair, Result
from minigemini.evaluation.reporting.scored import as_number
from minigemini.evaluation.reporting.table import show_result
from minigemini.evaluation.running.evaluated_model import EvaluatedModel, alone
from minigemini.generation.image_generator import ImageGenerator
from minigemini.progress import progress_bar

SEED = 20260301  # of the prompts: those of eval/suites/tabletop.yaml


@dataclass(frozen=True)
class Drawings:
    """
    Attributes:
        n: pictures of each prompt. The first ones have the seeds of ``eval``.
        prompts: how many.
        steps, guidance: of the generator instead of its own: where every picture is right there is nothing to choose.
    """

    n: int = 4
    prompts: int = 100
    steps: int | None = None
    guidance: float | None = None


@dataclass(frozen=True)
class Candidate:
    """A picture: whether it is right (0..1), and what the model thinks of it (higher is better)."""

    points: float
    liking: float


@dataclass(frozen=True)
class Gain:
    """
    Attributes:
        metrics: shares of right pictures: the first, any one (the mean of all), the chosen, the best there is.
        gains: of the chosen over the first, and what there was to gain, paired by prompt.
        mcnemar: exact p of the chosen against the first.
    """

    metrics: Sequence[Metric]
    gains: Sequence[Pair]
    mcnemar: float


def gain(candidates: Mapping[str, Sequence[Candidate]]) -> Gain:
    """From the candidates of each prompt, in the order they were drawn. Of equally liked ones the first is chosen."""
    choices = {
        "first picture": [own[0].points for own in candidates.values()],
        "any picture": [sum(c.points for c in own) / len(own) for own in candidates.values()],
        "chosen picture": [max(own, key=lambda c: c.liking).points for own in candidates.values()],
        "best picture": [max(c.points for c in own) for own in candidates.values()],
    }
    verdicts: dict[str, list[Verdict]] = {
        name: [
            make_verdict({"id": prompt, "kind": "", "reference": {}}, points, Reading(name, ""))
            for prompt, points in zip(candidates, column, strict=True)
        ]
        for name, column in choices.items()
    }
    first, chosen, best = (
        mean_points("", verdicts[name]) for name in ("first picture", "chosen picture", "best picture")
    )
    won, possible = differences([first, first], [chosen, best])
    pairs = list(zip(choices["first picture"], choices["chosen picture"], strict=True))
    return Gain(
        [mean_points(name, own) for name, own in verdicts.items()],
        [
            Pair("first", "chosen", replace(won, name="gain")),
            Pair("first", "best", replace(possible, name="to be gained")),
        ],
        mcnemar(sum(a > b for a, b in pairs), sum(b > a for a, b in pairs)),
    )


def best_of_n(
    model: str,
    generator: str,
    out: Path,
    drawings: Drawings,
    batch_size: int,
) -> int:
    """``minigemini eval best-of-n``. Interrupted, it goes on where it stopped.

    Args:
        model: checkpoint folder, hub id or shipped name; it has to know the tabletop's language.
        generator: likewise, of an image generator.

    Returns:
        The exit code, 0.

    Raises:
        ValueError: fewer than two pictures or no prompt; a model or generator that cannot be loaded; ``out`` holds other pictures.
    """
    n, prompts = drawings.n, drawings.prompts
    settings = {"steps": drawings.steps, "guidance": drawings.guidance}
    if n < 2 or prompts < 1:
        raise ValueError(f"--n {n}, --prompts {prompts}: there must be two pictures to choose from, and a prompt")
    alone("eval best-of-n")
    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.disable_progress_bar()
    drawing = ImageGenerator.from_pretrained(generator).with_settings(steps=drawings.steps, guidance=drawings.guidance)
    asked = make_examples([DRAWN], prompts, SEED)
    pictures = [_candidate(example, number) for number in range(n) for example in asked]
    answering = EvaluatedModel(model, None, batch_size)
    with progress_bar() as progress:
        lines = draw(drawing, pictures, what_the_oracle_sees, out / "drawn", batch_size, progress)
        questions = {line["id"]: tabletop_questions(line["reference"]["prompt"]) for line in lines}
        liked = judge_pictures(answering, lines, questions, out / "drawn", out / "judged", progress)
    found = gain(
        {
            example.id: [_judged(line, liked) for line in lines if line["reference"]["example"] == example.id]
            for example in asked
        }
    )
    about = {"judge": model, "generator": generator, "n": n, "prompts": prompts, "seed": SEED, **settings}
    about["mcnemar_p"] = found.mcnemar
    how = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    says = f"best of {n} on the tabletop, drawn by {generator}{f' ({how})' if how else ''}, chosen by {model}"
    notes = [
        f"% of prompts with a right picture by the strict oracle; exact McNemar of chosen against first: p = {found.mcnemar:.4g}",
        "the model is asked of everything in the prompt whether it is there; places are not asked",
    ]
    numbers = [as_number(metric) for metric in found.metrics]
    result = Result("best-of-n", "tabletop", says, numbers, model, differences=found.gains, notes=notes, about=about)
    show_result(out, result, Console(soft_wrap=True))
    return 0


def _candidate(example: Example, number: int) -> Example:
    reference = {**example.reference, "example": example.id, "number": number}
    return replace(example, id=f"{example.id}.{number}", reference=reference)


def _judged(line: Mapping[str, Any], liked: Mapping[str, float]) -> Candidate:
    return Candidate(float(shows(line, line["reference"]["prompt"])), liked[line["id"]])
