"""From names to a conversation that can begin."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers.utils import logging

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor, nano
from minigemini.engine.local import LocalEngine
from minigemini.model.quantization import in_bits
from minigemini.serving.chat_session import ChatSession
from minigemini.serving.options import ChatOptions

if TYPE_CHECKING:
    from minigemini.generation.image_generator import ImageGenerator


def load_session(options: ChatOptions) -> ChatSession:
    """Load a model and begin a conversation on the GPU, if there is one; the generator goes on loading in the background.

    Raises:
        ValueError: a local folder or shipped name is not there, or holds no model; it names it. Or every answer shall draw, and there is
            no generator.
    """
    model, bits, generator = options.model, options.bits, options.generator_name
    if options.draw is True and generator is None:
        raise ValueError(f"{model} has no image generator of its own to draw with: name one with --generator")
    logging.disable_progress_bar()
    path = nano.resolve(model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" or bits else torch.float32
    quantised: dict[str, Any] = {"quantization_config": in_bits(bits)} if bits else {}
    try:
        loaded: Any = MiniGeminiForConditionalGeneration.from_pretrained(
            path, dtype=dtype, device_map=device, **quantised
        )
        processor = MiniGeminiProcessor.from_pretrained(path)
    except OSError as error:
        raise ValueError(f"{model}: no model can be loaded from there ({error})") from error
    drawing = None if generator is None else _in_the_background(generator)
    return ChatSession(LocalEngine(loaded, processor), drawing, seed=options.seed)


def _in_the_background(name: str) -> Future[ImageGenerator]:
    if not Path(name).exists():
        # A shipped name that is not there is said now, not when the first picture is wanted.
        nano.resolve("nano-base/image_generator" if name == "nano" else name)
    thread = ThreadPoolExecutor(1)
    future = thread.submit(_load_generator, name)
    thread.shutdown(wait=False)
    return future


def _load_generator(name: str) -> ImageGenerator:
    from diffusers.utils import logging

    from minigemini.generation.image_generator import ImageGenerator

    logging.disable_progress_bar()
    return ImageGenerator.from_pretrained(name)
