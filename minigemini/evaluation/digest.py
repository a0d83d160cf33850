"""What a model is and what it is shown, as short digests: two runs may share a file only when these are equal."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from minigemini.evaluation.benchmark import Example
from minigemini.evaluation.predictions import RowKey
from minigemini.evaluation.stored_image import StoredImage

PACKAGE = Path(__file__).parents[1]
ANSWERING_CODE = ("model/*.py", "generation/*.py", "evaluation/predict.py", "evaluation/view.py", "evaluation/draw.py")


def images_of(example: Example) -> list[Any]:
    return [part["image"] for message in example.messages for part in message["content"] if part["type"] == "image"]


def prompts_of(examples: Sequence[Example], processor: Any) -> list[str]:
    """The prompts as text, every image one ``<image>``."""
    return processor.apply_chat_template(
        [_without_pixels(example) for example in examples], add_generation_prompt=True, tokenize=False
    )


def _without_pixels(example: Example) -> list[dict[str, Any]]:
    """The messages with nothing in the image parts, so that no file is opened for the text."""
    return [
        {**message, "content": [{"type": "image"} if part["type"] == "image" else part for part in message["content"]]}
        for message in example.messages
    ]


def tokens_of(prompts: Sequence[str], processor: Any) -> list[list[int]]:
    return processor.tokenizer(prompts, add_special_tokens=False)["input_ids"]


def weights_digest(model: torch.nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of all weights: the path of a model does not say what lies there now."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def code_digest() -> str:
    """SHA-256 over the source that turns an example into an answer."""
    digest = hashlib.sha256()
    for file in sorted(file for pattern in ANSWERING_CODE for file in PACKAGE.glob(pattern)):
        digest.update(f"{file.relative_to(PACKAGE).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def short(*content: Any) -> str:
    """96 bits of a SHA-256 over what these print as, bytes as they are: a row's own part of what its answer depends on."""
    digest = hashlib.sha256()
    for one in content:
        digest.update(one if isinstance(one, bytes) else repr(one).encode())
    return digest.hexdigest()[:24]


def row_keys(benchmark: str, examples: Sequence[Example], processor: Any) -> dict[str, RowKey]:
    """Of each example, by its id, what its answer and its line depend on: the prompt (its token ids too, and the benchmark and row, so
    that no row is taken for another), the pictures, the way it is decoded, and the reference it is judged by."""
    keys: dict[str, RowKey] = {}
    prompts = prompts_of(examples, processor)
    for example, prompt, tokens in zip(examples, prompts, tokens_of(prompts, processor), strict=True):
        keys[example.id] = {
            "prompt": short(benchmark, example.id, prompt, tokens),
            "pictures": short(*map(_of_image, images_of(example))),
            "decoding": short(example.constrained, example.max_new_tokens, example.sampling),
            "reference": short(example.kind, example.reference),
        }
    return keys


def _of_image(image: Any) -> str:
    """Of a file as it is stored; of pixels in memory with their mode and size."""
    if isinstance(image, StoredImage):
        return image.digest()
    return hashlib.sha256(f"{image.mode} {image.size}".encode() + image.tobytes()).hexdigest()
