"""What a model is and what it is shown, as short digests: two runs may share a file only when these are equal."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from minigemini.evaluation.benchmark import Example
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


def row_keys(benchmark: str, examples: Sequence[Example], processor: Any) -> dict[str, str]:
    """Of each example, by its id, a SHA-256 over what its answer and its line depend on: prompt and token ids, pictures, the way it is
    decoded, kind and reference; and the benchmark and id, so that no row is taken for another."""
    keys = {}
    prompts = prompts_of(examples, processor)
    for example, prompt, tokens in zip(examples, prompts, tokens_of(prompts, processor), strict=True):
        way = (example.constrained, example.max_new_tokens, example.sampling)
        row = (benchmark, example.id, example.kind, example.reference, way, prompt, tokens)
        digest = hashlib.sha256(repr(row).encode())
        for image in images_of(example):
            digest.update(_of_image(image).encode())
        keys[example.id] = digest.hexdigest()
    return keys


def _of_image(image: Any) -> str:
    """Of a file as it is stored; of pixels in memory with their mode and size."""
    if isinstance(image, StoredImage):
        return image.digest()
    return hashlib.sha256(f"{image.mode} {image.size}".encode() + image.tobytes()).hexdigest()
