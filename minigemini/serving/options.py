"""What ``minigemini chat`` is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from minigemini.engine.request import Draw


@dataclass(frozen=True)
class ChatOptions:
    """
    Attributes:
        model: checkpoint folder, hub id, or a shipped name.
        generator: of pictures, likewise; None: the nano's for the nano, and none for other models, whose prompts it could not draw.
        images: files to show with the first message.
        prompt: say this, print the answer and end.
        as_json: print that answer as JSON.
        draw: "auto": the model decides; True: every answer draws one picture; False: none does.
        system: what the model is told before everything else.
        temperature: 0: the likeliest token each time; else sampled.
        max_new_tokens: most tokens of an answer; None: as the checkpoint says.
        seed: of the first drawing.
        out: folder for drawn pictures.
        show_attention: PNG to write after each answer about a picture, with where it looked.
        bits: load the language model's layers in 4 or 8 bits.
        offload: what of the generator waits in the CPU's memory while a GPU draws: nothing, whole models, or every layer.
        generator_bits: load the generator's denoiser in 4 or 8 bits.
        safety: ``module:name`` of a callable that refuses what is said, shown and drawn; None: nothing is refused.
    """

    model: str = "nano"
    generator: str | None = None
    images: Sequence[str | Path] = ()
    prompt: str | None = None
    as_json: bool = False
    draw: Draw = "auto"
    system: str = ""
    temperature: float = 0.0
    max_new_tokens: int | None = None
    seed: int = 0
    out: str | Path = "."
    show_attention: str | Path | None = None
    bits: Literal[4, 8] | None = None
    offload: Literal["none", "model", "sequential"] = "none"
    generator_bits: Literal[4, 8] | None = None
    safety: str | None = None

    @property
    def generator_name(self) -> str | None:
        """The generator that is used; with ``draw=False`` none is needed."""
        if self.draw is False:
            return None
        is_nano = self.model == "nano" and not Path("nano").exists()
        return self.generator or ("nano" if is_nano else None)
