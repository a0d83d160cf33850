"""``minigemini eval geneval``: prompts, perhaps rewritten by a model; pictures; detections; the score. In a straight line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import transformers
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from minigemini.benchmarks.benchmark import Example
from minigemini.benchmarks.statistics.metric import points_of
from minigemini.conversation import ask_for_drawing, find_prompts, message
from minigemini.evaluation.drawing.best_of_n import Candidate, gain
from minigemini.evaluation.drawing.clip_similarity import CLIP, Clip
from minigemini.evaluation.drawing.draw import draw
from minigemini.evaluation.drawing.geneval import THRESHOLD, classes_of, coloured, metrics, read_prompts, verdict
from minigemini.evaluation.drawing.geneval_detectors import ColourClassifier, Detector, load_detector
from minigemini.evaluation.drawing.self_judgement import judge_pictures, plain_question
from minigemini.evaluation.reporting.result import Result
from minigemini.evaluation.reporting.scored import as_number
from minigemini.evaluation.reporting.table import show_result
from minigemini.evaluation.running.digest import code_digest, short
from minigemini.evaluation.running.evaluated_model import EvaluatedModel, alone
from minigemini.evaluation.running.predict import predict
from minigemini.evaluation.running.predictions import PredictionFile
from minigemini.generation.image_generator import ImageGenerator
from minigemini.media import open_image
from minigemini.progress import progress_bar

PICTURES = 4  # of each prompt, as GenEval has them
OFFICIAL = 553  # prompts
PROMPT_TOKENS = 128


@dataclass(frozen=True)
class Cast:
    """Who does what, each a folder or a hub id ("nano" too, but for detector and clip).

    Attributes:
        generator: draws.
        detector: finds the objects; it stands in the name of the score.
        model: writes the prompts that are drawn; without one GenEval's prompts are drawn as they are.
        judge: says which of the four pictures it likes best; the gain is reported.
        clip: names the colours.
    """

    generator: str
    detector: str
    model: str | None = None
    judge: str | None = None
    clip: str = CLIP


def geneval(cast: Cast, prompts: Path, out: Path, limit: int | None = None, batch_size: int = 8) -> int:
    """Leaves in ``out`` the written prompts, pictures, detections and ``results.json``. Interrupted, it goes on where it stopped.

    Args:
        prompts: GenEval's ``evaluation_metadata.jsonl``.
        limit: the first so many prompts of each tag.

    Returns:
        The exit code, 0.

    Raises:
        ValueError, FileNotFoundError: what cannot be read or loaded, by name; a detector without a class of the prompts; ``out``
            holds other pictures.
    """
    alone("eval geneval")
    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.disable_progress_bar()
    rows = read_prompts(prompts)
    chosen = [n for n, row in enumerate(rows) if limit is None or _place_in_tag(rows, n) < limit]
    drawing, finder = ImageGenerator.from_pretrained(cast.generator), load_detector(cast.detector)
    colours = Clip(cast.clip)
    finder.check(list(dict.fromkeys(name for n in chosen for name in classes_of(rows[n]))))
    asked = [_ask(n, rows[n]) for n in chosen]
    with progress_bar() as progress:
        cut = 0
        if cast.model is not None:
            writer = EvaluatedModel(cast.model, None, batch_size)
            written = predict(writer, "geneval", asked, out / "written", progress)
            asked = [_rewrite(e, line["prediction"], drawing) for e, line in zip(asked, written, strict=True)]
            cut = sum(example.reference["cut"] for example in asked)
        pictures = [replace(e, id=f"{e.id}-{k}") for e in asked for k in range(PICTURES)]
        drawn = draw(drawing, pictures, lambda picture: {}, out / "drawn", batch_size, progress)
        lines = detect(finder, ColourClassifier(colours), drawn, out / "drawn", out / "detected", progress)
        verdicts = [verdict(line) for line in lines]
        gains: Any = []
        if cast.judge is not None:
            answering = EvaluatedModel(cast.judge, None, batch_size)
            questions = {line["id"]: plain_question(line["reference"]["asked"]) for line in lines}
            liked = judge_pictures(answering, drawn, questions, out / "drawn", out / "judged", progress)
            candidates: dict[str, list[Candidate]] = {}
            for one in verdicts:
                candidates.setdefault(one.image, []).append(Candidate(points_of(one), liked[one.id]))
            gains = [gain(candidates)]
    name = f"GenEval-like[{cast.detector}]"
    about = {
        "generator": cast.generator, "prompts_written_by": cast.model, "judge": cast.judge, "detector": cast.detector, "clip": cast.clip,
        "prompts": str(prompts), "number_of_prompts": len(asked), "pictures_of_each": PICTURES, "limit": limit,
        "prompts_cut": cut,
    }  # fmt: skip
    notes = [
        f"mean of the tags' shares of right pictures, {PICTURES} of each prompt; "
        f"colours named by {cast.clip} in objects cut out by {finder.cuts}"
    ]
    if len(asked) != OFFICIAL:
        notes.append(f"{len(asked)} of {OFFICIAL} prompts: not comparable with a score on all of them")
    if cut:
        notes.append(f"{cut} written prompts were longer than {cast.generator} reads and were drawn without their end")
    numbers = [as_number(one) for one in (*metrics(name, verdicts), *(m for g in gains for m in g.metrics))]
    says = f"prompts {'as they are' if cast.model is None else f'written by {cast.model}'}"
    pairs = [pair for g in gains for pair in g.gains]
    result = Result("geneval", name, says, numbers, cast.generator, differences=pairs, notes=notes, about=about)
    show_result(out, result, Console(soft_wrap=True))
    return 0


def detect(
    detector: Detector,
    colours: ColourClassifier,
    drawn: Sequence[Mapping[str, Any]],
    pictures: Path,
    folder: Path,
    progress: Progress,
) -> list[dict[str, Any]]:
    """What is in each picture of the classes of its prompt; a line is ``{"id", "kind", "picture", "detections", "reference", "key"}``.

    Args:
        drawn: lines of the drawings, whose pictures lie in ``pictures``.
        folder: what is found already is kept there; see :class:`PredictionFile`.
    """
    keys = {
        line["id"]: {
            "picture": short((pictures / line["picture"]).read_bytes()),
            "reference": short(line["reference"]),
        }
        for line in drawn
    }
    settings = {
        "detector": detector.name,
        "detector_weights": detector.digest(),
        "clip": colours.clip.name,
        "clip_weights": colours.clip.digest(),
        "threshold": THRESHOLD,
        "code": code_digest(("evaluation/drawing/geneval*.py", "evaluation/drawing/clip_similarity.py")),
        "transformers": transformers.__version__,
    }
    file = PredictionFile(folder, keys, settings)
    task = progress.add_task("detected", total=len(drawn), completed=len(file.lines))
    for line in drawn:
        if line["id"] in file:
            continue
        found = _look(open_image(pictures / line["picture"]), line["reference"]["row"], detector, colours)
        kept = {key: line[key] for key in ("id", "kind", "picture")}
        file.append([{**kept, "detections": found, "reference": line["reference"]}])
        progress.advance(task)
    return file.finish()


def _look(
    picture: Image.Image, row: Mapping[str, Any], detector: Detector, colours: ColourClassifier
) -> list[dict[str, Any]]:
    """The detections as plain JSON, with the colours that the rules ask for."""
    found = detector.find(picture, classes_of(row))
    asked = {id(detection) for detection in coloured(row, [detection for detection, _ in found])}
    objects = [one for one in found if id(one[0]) in asked]
    named = {id(one[0]): colour for one, colour in zip(objects, colours.name_colours(objects), strict=True)}
    return [{**vars(detection), "colour": named.get(id(detection))} for detection, _ in found]


def _place_in_tag(rows: Sequence[Mapping[str, Any]], number: int) -> int:
    return sum(row["tag"] == rows[number]["tag"] for row in rows[:number])


def _ask(number: int, row: Mapping[str, Any]) -> Example:
    """The prompt as a user's wish to the model that writes, and as what is drawn when nobody does."""
    text = ask_for_drawing(row["prompt"])
    reference = {"number": number, "row": dict(row), "asked": row["prompt"], "prompt": row["prompt"]}
    return Example(
        f"{number:05}", row["tag"], [message("user", text)], reference, constrained=True, max_new_tokens=PROMPT_TOKENS
    )


def _rewrite(example: Example, answer: str, generator: ImageGenerator) -> Example:
    """The prompt in the model's words; words at its end that the generator does not read are left out, and that is said."""
    words = find_prompts(answer)[0].prompt.split()
    whole = len(words)
    while (
        generator.max_prompt_tokens is not None
        and generator.count_prompt_tokens(" ".join(words)) > generator.max_prompt_tokens
    ):
        words.pop()
    return replace(example, reference={**example.reference, "prompt": " ".join(words), "cut": len(words) < whole})
