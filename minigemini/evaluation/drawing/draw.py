"""The image generator draws from the true prompts, and a judge writes down what it sees in each drawing.

No language model is involved: this measures the generator alone.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
from PIL import Image
from rich.progress import Progress

from minigemini.benchmarks.benchmark import Example
from minigemini.evaluation.running.digest import DRAWING, code_digest, short, weights_digest
from minigemini.evaluation.running.predictions import PredictionFile
from minigemini.evaluation.running.share import ALONE, Share
from minigemini.generation.image_generator import ImageGenerator


def drawing_settings(generator: ImageGenerator, batch_size: int) -> dict[str, Any]:
    """What the drawings, and what is seen in them, depend on beside their prompts and seeds."""
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
        "device": str(pipeline.device.type),
        "settings": generator.settings,
        "batch_size": batch_size,
        "code": code_digest(DRAWING),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }


def draw(
    generator: ImageGenerator,
    examples: Sequence[Example],
    judge: Callable[[Image.Image], dict[str, Any]],
    folder: Path,
    batch_size: int,
    progress: Progress,
    share: Share = ALONE,
) -> list[dict[str, Any]]:
    """Draws what ``folder/predictions.jsonl`` does not hold yet and returns all lines, in the order of the examples.

    Example number k is drawn with seed k. The pictures are kept beside the file. A line is ``{"id", "kind", "seed",
    "picture", "reference", "key"}`` and what the judge saw.
    """
    keys = {
        example.id: {"seed": str(seed), "reference": short(example.id, example.kind, example.reference)}
        for seed, example in enumerate(examples)
    }
    settings = {**drawing_settings(generator, batch_size), "number_of_rows": len(examples)}
    file = PredictionFile(folder, keys, settings, share)
    (folder / "pictures").mkdir(exist_ok=True)
    starts = [start for number, start in enumerate(range(0, len(examples), batch_size)) if share.takes(number)]
    batches = {start: examples[start : start + batch_size] for start in starts}  # whatever is left to do of them
    task = progress.add_task("drawn", total=sum(map(len, batches.values())))
    for start, batch in batches.items():
        if not all(example.id in file for example in batch):
            seeds = range(start, start + len(batch))
            drawn = generator.draw_batch([example.reference["prompt"] for example in batch], seeds)
            lines = []
            for example, seed, picture in zip(batch, seeds, drawn, strict=True):
                name = f"pictures/{example.id}.png"
                picture.save(folder / name)
                line = {"id": example.id, "kind": example.kind, "seed": seed, "picture": name}
                lines.append({**line, **judge(picture), "reference": example.reference})
            file.append(lines)
        progress.advance(task, len(batch))
    return file.finish()
