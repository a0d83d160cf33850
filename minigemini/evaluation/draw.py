"""The image generator draws from the true prompts, and a judge writes down what it sees in each drawing.

No language model is involved: this measures the generator alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import diffusers
import torch
from PIL import Image
from rich.progress import Progress

from minigemini.evaluation.benchmark import Example
from minigemini.evaluation.digest import weights_digest
from minigemini.evaluation.predictions import PredictionFile
from minigemini.generation.generation_record import save_png
from minigemini.generation.image_generator import FAMILY_SETTINGS, ImageGenerator


def drawing_settings(generator: ImageGenerator, examples: Sequence[Example]) -> dict[str, Any]:
    """What the drawings depend on; see ``predict.settings_of``."""
    parts = generator.pipeline.components
    return {
        "generator": generator.name,
        "pipeline": generator.family,
        "weights": {name: weights_digest(part) for name, part in parts.items() if isinstance(part, torch.nn.Module)},
        "scheduler": generator.pipeline.scheduler.to_json_string(),
        "dtype": str(generator.pipeline.dtype),
        "settings": FAMILY_SETTINGS.get(generator.family, {}),
        "prompts": [example.reference["prompt"] for example in examples],
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }


def draw(
    generator: ImageGenerator,
    examples: Sequence[Example],
    judge: Callable[[Image.Image], dict[str, Any]],
    file: PredictionFile,
    progress: Progress,
    description: str,
) -> list[dict[str, Any]]:
    """Draws what ``file`` does not hold yet and returns all lines, in the order of the examples.

    Example number k is drawn with seed k. The pictures are kept beside the file, each with its generation record.
    A line is ``{"id", "kind", "seed", "picture", "reference"}`` and what the judge saw.
    """
    pictures = file.path.parent / "pictures"
    pictures.mkdir(exist_ok=True)
    task = progress.add_task(description, total=len(examples), completed=len(file.lines))
    for seed, example in enumerate(examples):
        if example.id in file:
            continue
        picture, record = generator.draw(example.reference["prompt"], seed=seed)
        path = pictures / f"{example.id}.png"
        save_png(picture, record, path)
        line = {"id": example.id, "kind": example.kind, "seed": seed, "picture": f"pictures/{path.name}"}
        file.append([{**line, **judge(picture), "reference": example.reference}])
        progress.advance(task)
    return file.finish()
