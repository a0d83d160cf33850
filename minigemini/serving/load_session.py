"""From names to a conversation that can begin."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from transformers.utils import logging

from minigemini import nano
from minigemini.checkpoints.load import load
from minigemini.generation.constrained import Draw
from minigemini.serving.chat_session import ChatSession

if TYPE_CHECKING:
    from minigemini.generation.image_generator import ImageGenerator


def load_session(model: str, generator: str, draw: Draw, seed: int, bits: Literal[4, 8] | None = None) -> ChatSession:
    """Load a model and begin a conversation; the generator goes on loading in the background.

    Args:
        model, generator: local folder, hub id or shipped name.
        draw: with False the generator is not needed and not loaded.
        seed: as in :class:`ChatSession`.
        bits: load the language model's layers in 4 or 8 bits. Device and type are as :mod:`minigemini.checkpoints.load` says.

    Raises:
        ValueError: a local folder or shipped name is not there, or holds no model; it names it.
    """
    logging.disable_progress_bar()
    nano.resolve(model)  # what cannot be is said before anything is loaded
    if draw is not False:
        check_generator(generator)
    loaded, processor = load(model, bits=bits)
    return ChatSession(loaded, processor, None if draw is False else _in_the_background(generator), seed=seed)


def check_generator(name: str) -> None:
    """
    Raises:
        ValueError: there is no image generator by that name; said now, not when the first picture is wanted.
    """
    nano.resolve("nano-base/image_generator" if name == "nano" and not Path(name).exists() else name)


def _in_the_background(name: str) -> Future[ImageGenerator]:
    thread = ThreadPoolExecutor(1)
    future = thread.submit(_load_generator, name)
    thread.shutdown(wait=False)
    return future


def _load_generator(name: str) -> ImageGenerator:
    from diffusers.utils import logging

    from minigemini.generation.image_generator import ImageGenerator

    logging.disable_progress_bar()
    return ImageGenerator.from_pretrained(name)
