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
from minigemini.generation.image_generator import FAMILY_SETTINGS, ImageGenerator


def drawing_settings(generator: ImageGenerator, examples: Sequence[Example], batch_size: int) -> dict[str, Any]:
    """What the drawings depend on; see ``predict.settings_of``."""
    pipeline: Any = generator.pipeline
    return {
        "generator": generator.name,
        "pipeline": generator.family,
        "weights": {
            name: weights_digest(part)
            for name, part in pipeline.components.items()
            if isinstance(part, torch.nn.Module)
        },
        "scheduler": pipeline.scheduler.to_json_string(),
        "dtype": str(pipeline.dtype),
        "settings": FAMILY_SETTINGS.get(generator.family, {}),
        "prompts": [example.reference["prompt"] for example in examples],
        "batch_size": batch_size,
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }


def draw(
    generator: ImageGenerator,
    examples: Sequence[Example],
    judge: Callable[[Image.Image], dict[str, Any]],
    file: PredictionFile,
    batch_size: int,
    progress: Progress,
    description: str,
) -> list[dict[str, Any]]:
    """Draws what ``file`` does not hold yet and returns all lines, in the order of the examples.

    Example number k is drawn with seed k. The pictures are kept beside the file. A line is ``{"id", "kind", "seed",
    "picture", "reference"}`` and what the judge saw.
    """
    pictures = file.path.parent / "pictures"
    pictures.mkdir(exist_ok=True)
    task = progress.add_task(description, total=len(examples), completed=len(file.lines))
    for start in range(0, len(examples), batch_size):
        batch = examples[start : start + batch_size]  # never what is left to do: see predict.py
        if all(example.id in file for example in batch):
            continue
        done = len(file.lines)
        seeds = range(start, start + len(batch))
        drawn = generator.draw_batch([example.reference["prompt"] for example in batch], seeds)
        lines = []
        for example, seed, picture in zip(batch, seeds, drawn, strict=True):
            name = f"pictures/{example.id}.png"
            picture.save(file.path.parent / name)
            line = {"id": example.id, "kind": example.kind, "seed": seed, "picture": name}
            lines.append({**line, **judge(picture), "reference": example.reference})
        file.append(lines)
        progress.advance(task, len(file.lines) - done)
    return file.finish()
