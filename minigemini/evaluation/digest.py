"""What a model is and what it is shown, as short digests: two runs may share a file only when these are equal."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch

from minigemini.evaluation.benchmark import Example


def images_of(example: Example) -> list[Any]:
    return [part["image"] for message in example.messages for part in message["content"] if part["type"] == "image"]


def prompts_of(examples: Sequence[Example], processor: Any) -> list[str]:
    """The prompts as text, every image one ``<image>``."""
    messages = [example.messages for example in examples]
    return processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)


def tokens_of(prompts: Sequence[str], processor: Any) -> list[list[int]]:
    return processor.tokenizer(prompts, add_special_tokens=False)["input_ids"]


def weights_digest(model: torch.nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of all weights: the path of a model does not say what lies there now."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def examples_digest(examples: Sequence[Example], processor: Any) -> str:
    """SHA-256 over everything the model is shown (token ids, pixels) and the way each answer is decoded and scored."""
    digest = hashlib.sha256()
    prompts = prompts_of(examples, processor)
    for example, prompt, tokens in zip(examples, prompts, tokens_of(prompts, processor), strict=True):
        shown = (example.id, example.reference, example.constrained, example.max_new_tokens, prompt, tokens)
        digest.update(repr(shown).encode())
        for image in images_of(example):
            digest.update(f"{image.mode} {image.size}".encode() + image.tobytes())
    return digest.hexdigest()
