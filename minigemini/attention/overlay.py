"""Where an answer looked, to be laid over the pictures that it looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .maps import ImageAttention, Square
from .picture import PANEL, on_picture, panels, shaded


@dataclass(frozen=True)
class Overlay:
    """
    Attributes:
        image: RGB, the picture itself in its own proportion, dimmed but where the answer looked; see :func:`~minigemini.attention.picture
            .draw_attention`.
        share: of the answer's attention, how much went to this picture; the rest went to words and to other pictures.
        brightest: (x, y), where most of it went, as shares of width and height from the upper left.
    """

    image: Image.Image
    share: float
    brightest: tuple[float, float]


def overlays(
    attentions: Sequence[ImageAttention], pictures: Sequence[Image.Image], squares: Sequence[Square]
) -> list[Overlay]:
    """One for each picture; one scale for all.

    Args:
        attentions, pictures, squares: as of :func:`~minigemini.attention.picture.draw_attention`.
    """
    made = []
    rows = panels(attentions, pictures, squares)
    for (_, looked, *_), attention, picture, square in zip(rows, attentions, pictures, squares, strict=True):
        zoom = PANEL / max(picture.size)
        size = max(1, round(picture.width * zoom)), max(1, round(picture.height * zoom))
        image = Image.fromarray((shaded(picture, looked, square, size) * 255).round().astype(np.uint8))
        assert looked.values is not None
        glow = on_picture(looked.values, square, picture.size, size, looked.smooth)
        row, column = np.unravel_index(np.nanargmax(glow), glow.shape)
        place = (float(column) + 0.5) / size[0], (float(row) + 0.5) / size[1]
        made.append(Overlay(image, attention.share(), place))
    return made
