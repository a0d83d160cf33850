"""What a model is and what it is shown, as short digests: two runs may share a file only when these are equal."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import PIL
import timm
import torch
import transformers

from minigemini.benchmarks.benchmark import Example
from minigemini.benchmarks.stored_image import StoredImage
from minigemini.conversation import for_template
from minigemini.evaluation.running.predictions import RowKey

PACKAGE = Path(__file__).parents[2]
# The files that decide an answer. What makes checkpoints, or looks at a model, is not among them.
ANSWERING = (
    "model/**/*.py",
    "checkpoints/load.py",
    "checkpoints/bits.py",
    "engine/*.py",
    "conversation.py",
    "media.py",
    "evaluation/running/predict.py",
    "benchmarks/stored_image.py",
    "evaluation/running/view.py",
)
DRAWING = (
    "generation/families.py",
    "generation/image_generator.py",
    "evaluation/drawing/draw.py",
    "benchmarks/names/tabletop.py",
    "tabletop/*.py",
)


def settings_of(model: Any, processor: Any, batch_size: int) -> dict[str, Any]:
    """What all predictions depend on; two runs with equal settings and row keys give the same predictions on the same machine."""
    device = model.device
    images = processor.image_processor.to_dict()
    return {
        "weights": weights_digest(model),
        "config": _of_the_checkpoint(model.config.to_dict()),
        "generation": _of_the_checkpoint(model.generation_config.to_diff_dict()),
        "processor": {**_of_the_checkpoint(images), "patch_size": processor.patch_size},
        "dtype": str(model.dtype),
        "attention": model.config.get_text_config()._attn_implementation,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "batch_size": batch_size,
        "code": code_digest(ANSWERING),
        "pillow": PIL.__version__,
        "timm": timm.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _of_the_checkpoint(config: Mapping[str, Any]) -> dict[str, Any]:
    """Wherever it lies and whichever version wrote it."""
    left_out = ("_name_or_path", "transformers_version", "_from_model_config")
    return {
        name: _of_the_checkpoint(value) if isinstance(value, Mapping) else value
        for name, value in config.items()
        if name not in left_out
    }


def prompts_of(examples: Sequence[Example], processor: Any) -> list[str]:
    """The prompts as text, every image one ``<image>``. No file is opened for them.

    Raises:
        ValueError: a text cannot be put into the chat template (it holds the image marker, say); the example is named.
    """
    prompts = []
    for example in examples:
        messages = for_template(example.messages)
        try:
            prompts.append(processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
        except ValueError as error:
            raise ValueError(f"example {example.id!r}: {error}") from error
    return prompts


def tokens_of(prompts: Sequence[str], processor: Any) -> list[list[int]]:
    return processor.tokenizer(prompts, add_special_tokens=False)["input_ids"]


def weights_digest(model: torch.nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of all weights: the path of a model does not say what lies there now."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def code_digest(patterns: Sequence[str]) -> str:
    """SHA-256 over source files of ours."""
    digest = hashlib.sha256()
    for file in sorted(file for pattern in patterns for file in PACKAGE.glob(pattern)):
        digest.update(f"{file.relative_to(PACKAGE).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def short(*content: Any) -> str:
    """96 bits of a SHA-256 over what these print as, bytes as they are: a row's own part of what its answer depends on."""
    digest = hashlib.sha256()
    for one in content:
        digest.update(one if isinstance(one, bytes) else repr(one).encode())
    return digest.hexdigest()[:24]


def row_keys(
    benchmark: str, examples: Sequence[Example], prompts: Sequence[str], tokens: Sequence[Sequence[int]]
) -> dict[str, RowKey]:
    """Of each example, by its id, what its answer and its line depend on: the prompt (its token ids too, and the benchmark and row, so
    that no row is taken for another), the pictures, the way it is decoded, and the reference it is judged by."""
    keys: dict[str, RowKey] = {}
    stored: dict[str, str] = {}  # a picture that many rows show is read once
    for example, prompt, ids in zip(examples, prompts, tokens, strict=True):
        pictures = []
        for image in example.images:
            if not isinstance(image, StoredImage):
                pictures.append(short(image.mode, image.size, image.tobytes()))
                continue
            if image.name not in stored:
                stored[image.name] = image.digest()
            pictures.append(stored[image.name])
        keys[example.id] = {
            "prompt": short(benchmark, example.id, prompt, list(ids)),
            "pictures": short(*pictures),
            "decoding": short(example.constrained, example.max_new_tokens, example.sampling),
            "reference": short(example.kind, example.reference),
        }
    return keys
