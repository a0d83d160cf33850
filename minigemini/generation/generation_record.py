"""What made a picture, kept inside its PNG so that it can be drawn again."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from minigemini.media import open_header

CHUNK = "minigemini"
"""Keyword of the PNG's iTXt chunk; its text is the record as JSON."""

PICTURE_EDITS = ("instruction", "image-to-image")
"""Ways of editing that read the parent's pixels."""

EDITS = (*PICTURE_EDITS, "re-prompt")
"""The ways of :func:`minigemini.generation.edit.edit`."""

MAX_TEXT = 20_000
MAX_SIDE = 8192


@dataclass(frozen=True, kw_only=True)
class GenerationRecord:
    """Everything a drawing depends on. None: the generator has no such setting.

    Attributes:
        prompt: as it was given to the generator.
        negative_prompt: what the picture should not be.
        seed: of a CPU generator, 0 to 2**63 - 1.
        steps: denoising steps.
        guidance: scale of classifier-free guidance.
        width, height: pixels of the picture.
        generator: name of the generator: a shipped name, a hub id, or the last part of a local folder.
        pipeline, scheduler: class names in diffusers.
        dtype: of the weights as they were run, such as ``"float32"``.
        device: where it ran, ``"cpu"`` or ``"cuda"``; another device rounds differently.
        versions: of the libraries that ran it.
        prompt_tokens: length of the prompt for the generator; None if it has no limit we know of.
        truncated: the prompt, or the negative one, was longer than the generator reads and its end had no effect.
        parents: :func:`pixel_hash` of the pictures this one is an edit of.
        edit: how, one of :data:`EDITS`.
        strength: of image-to-image, above 0 to 1.
    """

    prompt: str
    negative_prompt: str | None
    seed: int
    steps: int | None
    guidance: float | None
    width: int
    height: int
    generator: str
    pipeline: str
    scheduler: str
    dtype: str
    device: str
    versions: dict[str, str]
    prompt_tokens: int | None = None
    truncated: bool = False
    parents: list[str] = field(default_factory=list)
    edit: str | None = None
    strength: float | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)


def pixel_hash(image: Image.Image) -> str:
    """SHA-256 over size and RGB pixels."""
    rgb = image.convert("RGB")
    return hashlib.sha256(f"{rgb.width}x{rgb.height}:".encode() + rgb.tobytes()).hexdigest()


def save_png(image: Image.Image, record: GenerationRecord, path: str | Path | IO[bytes]) -> None:
    """Write a picture with its record inside. The same picture and record give the same bytes."""
    info = PngInfo()
    info.add_itxt(CHUNK, record.to_json())
    image.save(path, format="PNG", pnginfo=info)


def has_record(png: bytes) -> bool:
    """Whether there is one inside, whatever it says."""
    with open_header(png, with_text=True) as image:
        return CHUNK in image.info


def read_record(path: str | Path | bytes, name: str | None = None) -> GenerationRecord:
    """The record inside a PNG, which may come from anybody: every field is checked and nothing is run.

    Args:
        path: the file, or what it holds.
        name: for messages; the path by default.

    Raises:
        ValueError: not a PNG, no record, or one that is not as :class:`GenerationRecord` says; it names the file and the field.
    """
    name = name or ("a picture" if isinstance(path, bytes) else str(path))
    with open_header(path, name, with_text=True) as image:
        text = image.info.get(CHUNK)
    if not isinstance(text, str):
        raise ValueError(
            f"{name}: no generation record inside (it was not drawn by minigemini, or an editor dropped it)"
        )
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name}: the generation record is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{name}: the generation record is not an object")
    return _checked(values, name)


def _checked(values: dict, where: str) -> GenerationRecord:
    def text(value: object) -> bool:
        return isinstance(value, str) and len(value) <= MAX_TEXT

    def whole(value: object, least: int, most: int) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

    def number(value: object) -> bool:
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and abs(value) <= 1000
        )

    parents, versions = values.get("parents"), values.get("versions")
    right = {
        "prompt": text(values.get("prompt")),
        "negative_prompt": values.get("negative_prompt") is None or text(values["negative_prompt"]),
        "seed": whole(values.get("seed"), 0, 2**63 - 1),
        "steps": values.get("steps") is None or whole(values["steps"], 1, 10_000),
        "guidance": values.get("guidance") is None or number(values["guidance"]),
        "width": whole(values.get("width"), 1, MAX_SIDE),
        "height": whole(values.get("height"), 1, MAX_SIDE),
        **{key: text(values.get(key)) for key in ("generator", "pipeline", "scheduler", "dtype", "device")},
        "versions": isinstance(versions, dict) and all(text(k) and text(v) for k, v in versions.items()),
        "prompt_tokens": values.get("prompt_tokens") is None or whole(values["prompt_tokens"], 0, MAX_TEXT),
        "truncated": isinstance(values.get("truncated"), bool),
        "parents": isinstance(parents, list) and all(text(parent) for parent in parents),
        "edit": values.get("edit") is None or values["edit"] in EDITS,
        "strength": values.get("strength") is None or (number(values["strength"]) and 0 < values["strength"] <= 1),
    }
    assert set(right) == {f.name for f in fields(GenerationRecord)}
    wrong = [key for key, good in right.items() if not good]
    unknown = sorted(set(values) - set(right))
    if wrong or unknown:
        raise ValueError(
            f"{where}: the generation record "
            + " and ".join(
                [f"has no valid {', '.join(wrong)}"] * bool(wrong)
                + [f"has unknown {', '.join(unknown)}"] * bool(unknown)
            )
        )
    return GenerationRecord(**values)
