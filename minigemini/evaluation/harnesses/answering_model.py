"""A model that answers conversations, as other people's evaluation tools want one: messages in, texts out.

What lmms-eval and VLMEvalKit ask for is turned into messages and into options of ``generate`` here, without importing either.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from minigemini.checkpoints.load import load
from minigemini.generation.prompt_markers import neutralise

Messages = list[dict[str, Any]]
"""One conversation: ``{"role", "content": [{"type": "text", "text"} | {"type": "image", "image": PIL image}]}``."""


@dataclass(frozen=True)
class AnsweringModel:
    """A ``MiniGeminiForConditionalGeneration`` in eval mode, and its processor."""

    model: Any
    processor: Any

    @classmethod
    def load(cls, name: str, device: torch.device | str) -> AnsweringModel:
        """Arguments and errors as of :func:`minigemini.checkpoints.load.load`."""
        return cls(*load(name, device=device))

    @torch.inference_mode()
    def answer(
        self, conversations: Sequence[Messages], options: Mapping[str, Any], seed: int | None = None
    ) -> list[str]:
        """One batch, left padded; the answers without special tokens and without white space around them.

        Args:
            conversations: may hold any number of pictures each, also none.
            options: of ``generate``, the same for all of them.
            seed: of sampling; the random state of the process is left as it was.
        """
        inputs = self.processor.apply_chat_template(
            [with_placed_pictures(messages, self.processor.image_token) for messages in conversations],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, "padding_side": "left"},
        ).to(self.model.device, self.model.dtype)
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices, enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            tokens = self.model.generate(**inputs, **options)[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in self.processor.batch_decode(tokens, skip_special_tokens=True)]


def picture(source: Any, where: str) -> Image.Image:
    """A tool's picture, PIL or the path of a file, with all its pixels.

    Raises:
        ValueError: it is something else, or no picture can be read from there; names it.
    """
    if isinstance(source, Image.Image):
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise ValueError(f"{where}: a picture is a PIL image or a path, not {type(source).__name__}")
    try:
        with Image.open(source) as image:
            image.load()
            return image
    except OSError as error:
        raise ValueError(f"{where}: no picture can be read from {source} ({error})") from error


def with_placed_pictures(messages: Messages, marker: str) -> Messages:
    """Messages of which no text has ``marker`` in it.

    Some tasks write a marker where each picture belongs and give the pictures beside the text. Where a message has as many
    markers as pictures, each picture is put where its marker stands. Else the markers are only words: a space breaks them, and a
    warning says so.
    """
    return [{**message, "content": _placed(message["content"], marker)} for message in messages]


def _placed(content: Sequence[dict[str, Any]], marker: str) -> list[dict[str, Any]]:
    pictures = [part for part in content if part["type"] == "image"]
    texts = [part["text"] for part in content if part["type"] == "text"]
    markers = sum(text.count(marker) for text in texts)
    if markers and markers != len(pictures):
        warnings.warn(
            f"a message with {len(pictures)} pictures has {marker!r} in its text {markers} times; the model reads it there as "
            f"{neutralise(marker, [marker])[0]!r}",
            stacklevel=2,
        )
        return [
            {**part, "text": neutralise(part["text"], [marker])[0]} if part["type"] == "text" else part
            for part in content
        ]
    if not markers:
        return list(content)
    following, placed = iter(pictures), []
    for text in texts:
        for number, words in enumerate(text.split(marker)):
            placed += [next(following)] if number else []
            placed += [{"type": "text", "text": words}] if words.strip() else []
    return placed


def generate_options(asked: Mapping[str, Any], max_new_tokens: int) -> dict[str, Any]:
    """What a tool asks for in the words of old scripts -> options of ``generate`` that say everything.

    Nothing is left to the checkpoint's generation config, of which some have a temperature. Without ``do_sample`` a
    temperature above zero means sampling; with temperature zero the likeliest token is taken whatever ``do_sample`` says.

    Args:
        asked: of ``max_new_tokens``, ``do_sample``, ``temperature``, ``top_p``, ``top_k``, ``num_beams`` and
            ``repetition_penalty``, those that the task sets; None is not set.
        max_new_tokens: where the task does not say.

    Raises:
        ValueError: an option that is none of these.
    """
    known = {"max_new_tokens", "do_sample", "temperature", "top_p", "top_k", "num_beams", "repetition_penalty"}
    if unknown := set(asked) - known:
        raise ValueError(
            f"no such option of decoding: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
        )
    given = {name: value for name, value in asked.items() if value is not None}
    temperature = float(given.get("temperature", 1.0 if given.get("do_sample") else 0.0))
    options: dict[str, Any] = {
        "max_new_tokens": int(given.get("max_new_tokens", max_new_tokens)),
        "num_beams": int(given.get("num_beams", 1)),
        "repetition_penalty": float(given.get("repetition_penalty", 1.0)),
        "do_sample": bool(given.get("do_sample", temperature > 0)) and temperature > 0,
    }
    if options["do_sample"]:
        # top_k 0 and top_p 1: all tokens; left out, transformers would take the likeliest fifty
        options |= {
            "temperature": temperature,
            "top_p": float(given.get("top_p", 1.0)),
            "top_k": int(given.get("top_k", 0)),
        }
    return options


def cut_at(text: str, ends: Sequence[str]) -> str:
    """The text before the first of ``ends``, stripped."""
    for end in ends:
        text = text.partition(end)[0] if end else text
    return text.strip()
