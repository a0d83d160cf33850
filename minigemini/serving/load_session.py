"""From names to a conversation that can begin."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from transformers.utils import logging

from minigemini import nano
from minigemini.checkpoints.load import load
from minigemini.engine.local import LocalEngine
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
    loaded, processor = load(model, bits=options.bits)
    drawing = None if generator is None else _in_the_background(generator)
    return ChatSession(
        LocalEngine(loaded, processor),
        drawing,
        max_new_tokens=options.max_new_tokens,
        temperature=options.temperature,
        system=options.system,
        seed=options.seed,
    )


def check_generator(name: str) -> None:
    """
    Raises:
        ValueError: there is no image generator by that name; said now, not when the first picture is wanted.
    """
    nano.resolve("nano-base/image_generator" if name == "nano" and not Path(name).exists() else name)


def _in_the_background(name: str) -> Future[ImageGenerator]:
    thread = ThreadPoolExecutor(1)
    future = thread.submit(load_generator, name)
    thread.shutdown(wait=False)
    return future


def load_generator(name: str) -> ImageGenerator:
    from diffusers.utils import logging

    from minigemini.generation.image_generator import ImageGenerator

    logging.disable_progress_bar()
    return ImageGenerator.from_pretrained(name)
