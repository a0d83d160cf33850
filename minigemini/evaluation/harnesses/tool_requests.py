"""What lmms-eval and VLMEvalKit ask for, as messages and decoding of the engine; neither is imported here."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image as PILImage

from minigemini.conversation import IMAGE_MARKER, Image, Message, Part, Text, neutralise
from minigemini.engine.request import Decoding
from minigemini.media import open_image


def picture(source: Any, where: str) -> PILImage.Image:
    """A tool's picture, PIL or the path of a file, with all its pixels.

    Raises:
        ValueError: it is something else, or no picture can be read from there; names it.
    """
    if isinstance(source, PILImage.Image):
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise ValueError(f"{where}: a picture is a PIL image or a path, not {type(source).__name__}")
    try:
        return open_image(os.fspath(source))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def with_placed_pictures(messages: Sequence[Message]) -> list[Message]:
    """Messages of which no text has ``<image>`` in it.

    Some tasks write a marker where each picture belongs and give the pictures beside the text. Where a message has as many
    markers as pictures, each picture is put where its marker stands. Else the markers are only words: a space breaks them, and a
    warning says so.
    """
    return [Message(message.role, _placed(message.parts)) for message in messages]


def _placed(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    pictures = [part for part in parts if isinstance(part, Image)]
    texts = [part.text for part in parts if isinstance(part, Text)]
    markers = sum(text.count(IMAGE_MARKER) for text in texts)
    if not markers:
        return parts
    if markers != len(pictures):
        warnings.warn(
            f"a message with {len(pictures)} pictures has {IMAGE_MARKER!r} in its text {markers} times; the model reads it there "
            f"as {neutralise(IMAGE_MARKER, [IMAGE_MARKER])[0]!r}",
            stacklevel=2,
        )
        return tuple(
            Text(neutralise(part.text, [IMAGE_MARKER])[0]) if isinstance(part, Text) else part for part in parts
        )
    following, placed = iter(pictures), list[Part]()
    for text in texts:
        for number, words in enumerate(text.split(IMAGE_MARKER)):
            placed += [next(following)] if number else []
            placed += [Text(words)] if words.strip() else []
    return tuple(placed)


def decoding_of(asked: Mapping[str, Any], max_new_tokens: int, stop: Sequence[str] = ()) -> Decoding:
    """What a tool asks for in the words of old scripts.

    Without ``do_sample`` a temperature above zero means sampling; with temperature zero the likeliest token is taken whatever
    ``do_sample`` says.

    Args:
        asked: of ``max_new_tokens``, ``do_sample``, ``temperature``, ``top_p``, ``top_k``, ``num_beams`` and
            ``repetition_penalty``, those that the task sets; None is not set.
        max_new_tokens: where the task does not say.
        stop: where a reply ends; "" is none.

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
    plain = Decoding(
        int(given.get("max_new_tokens", max_new_tokens)),
        num_beams=int(given.get("num_beams", 1)),
        repetition_penalty=float(given.get("repetition_penalty", 1.0)),
        stop=tuple(end for end in stop if end),
    )
    if temperature <= 0 or not given.get("do_sample", True):
        return plain
    return replace(
        plain, temperature=temperature, top_p=float(given.get("top_p", 1.0)), top_k=int(given.get("top_k", 0))
    )
