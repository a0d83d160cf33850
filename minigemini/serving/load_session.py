"""From names to a conversation that can begin."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from transformers.utils import logging

from minigemini import nano
from minigemini.checkpoints.load import load
from minigemini.engine.local import LocalEngine
from minigemini.safety.refusal import resolve_working
from minigemini.serving.chat_session import ChatSession
from minigemini.serving.options import ChatOptions

if TYPE_CHECKING:
    from minigemini.generation.image_generator import ImageGenerator
    from minigemini.generation.load_pipeline import Offload


def load_session(options: ChatOptions) -> ChatSession:
    """Load a model and begin a conversation on the GPU, if there is one; the generator goes on loading in the background.

    Raises:
        ValueError: a local folder or shipped name is not there, or holds no model; it names it. Or every answer shall draw, and there is
            no generator.
    """
    model, generator = options.model, options.generator_name
    if options.draw is True and generator is None:
        raise ValueError(f"{model} has no image generator of its own to draw with: name one with --generator")
    if not 0 <= options.temperature < float("inf"):
        raise ValueError(f"temperature: expected 0 or more, got {options.temperature}")
    if options.max_new_tokens is not None and options.max_new_tokens < 1:
        raise ValueError(f"max-new-tokens: expected 1 or more, got {options.max_new_tokens}")
    logging.disable_progress_bar()
    nano.resolve(model)  # what cannot be is said before anything is loaded
    if generator is not None:
        check_generator(generator)
    elif options.offload != "none" or options.generator_bits is not None:
        raise ValueError("--offload and --generator-bits are for an image generator, and this chat has none")
    if generator is not None and not torch.cuda.is_available():
        for option, given in (("--offload", options.offload != "none"), ("--generator-bits", options.generator_bits)):
            if given:
                raise ValueError(f"{option} needs a GPU, and there is none")
    safety = None if options.safety is None else resolve_working(options.safety)
    loaded, processor = load(model, bits=options.bits)
    drawing = None if generator is None else _in_the_background(generator, options)
    return ChatSession(
        LocalEngine(loaded, processor),
        drawing,
        max_new_tokens=options.max_new_tokens,
        temperature=options.temperature,
        system=options.system,
        seed=options.seed,
        safety=safety,
    )


def check_generator(name: str) -> None:
    """
    Raises:
        ValueError: there is no image generator by that name; said now, not when the first picture is wanted.
    """
    nano.resolve("nano-base/image_generator" if name == "nano" and not Path(name).exists() else name)


def _in_the_background(name: str, options: ChatOptions) -> Future[ImageGenerator]:
    thread = ThreadPoolExecutor(1)
    future = thread.submit(load_generator, name, options.offload, options.generator_bits)
    thread.shutdown(wait=False)
    return future


def load_generator(name: str, offload: Offload = "none", bits: Literal[4, 8] | None = None) -> ImageGenerator:
    from diffusers.utils import logging

    from minigemini.generation.image_generator import ImageGenerator

    logging.disable_progress_bar()
    return ImageGenerator.from_pretrained(name, offload=offload, bits=bits)
