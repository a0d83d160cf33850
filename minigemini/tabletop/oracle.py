"""Picture -> scene: reads which objects are where, and is strict about it.

Every cell is explained as table plus one shape mask times one colour (least squares, over all shapes, sizes and small shifts). An
explanation counts only when little of the cell's contrast is left unexplained and the fitted colour is near one of the palette;
otherwise the cell holds something that is none of our objects and the picture matches no scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from minigemini.tabletop.picture import CELL, COLOUR_VALUES, GLYPHS, PLATE, SIZE, plate_pixels, shape_mask
from minigemini.tabletop.scene import COLOURS, SHAPES, SIZES, Scene, Thing

UNEXPLAINED = 0.15  # share of a cell's squared contrast that may be left over
COLOUR_DISTANCE = 60.0  # largest distance in RGB (0-255) to the palette colour
EMPTY = 6.0  # root mean square contrast (0-255) under which a cell is empty
SHIFTS = range(-4, 5)


@dataclass(frozen=True)
class Reading:
    """What the oracle saw: the scene, and the cells that hold something it does not know."""

    scene: Scene
    unknown_cells: tuple[int, ...]


@cache
def _masks(raised: bool) -> tuple[list[tuple[str, str, int, int]], np.ndarray]:
    """All shifted masks as rows: names, and float32 [K, 32*32] ([K, 20*32] above a plate)."""
    names, rows = [], []
    for shape in SHAPES:
        for size in SIZES:
            for dy in (0,) if raised else SHIFTS:
                for dx in SHIFTS:
                    up = CELL // 2 - 10 if raised else 0
                    mask = np.roll(shape_mask(shape, size), (dy - up, dx), axis=(0, 1))
                    rows.append((mask[: CELL - PLATE[1]] if raised else mask).reshape(-1))
                    names.append((shape, size, dx, dy))
    return names, np.stack(rows)


def _read_tag(cell: np.ndarray) -> tuple[str, int] | None:
    """The tag on a crisp plate at the bottom of a cell [32, 32, 3] and its horizontal shift, or None when there is no plate."""
    grey = cell.mean(axis=2)
    width, height = PLATE
    for dx in range(-3, 4):
        left = (CELL - width) // 2 + dx
        plate = grey[CELL - height :, left : left + width]
        frame = np.concatenate((plate[0], plate[-1], plate[:, 0], plate[:, -1]))
        if frame.max() < 60 and plate[1, 1:-1].min() > 200:
            tag = ""
            for start in (2, 8):
                glyph = plate[2:9, start : start + 5]
                fits = {c: float(np.abs(glyph - plate_pixels(c + c)[2:9, 2:7, 0]).mean()) for c in GLYPHS}
                tag += min(fits, key=fits.__getitem__)
            return tag, dx
    return None


def read(picture: Image.Image) -> Reading:
    """Read a picture of any size (it is brought to 96x96 first; tags are read only where the picture is that large)."""
    if picture.size != (SIZE, SIZE):
        picture = picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)
    table = np.median(pixels.reshape(-1, 3), axis=0)
    things, unknown = [], []
    for index in range(9):
        row, column = divmod(index, 3)
        cell = pixels[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
        tag = _read_tag(cell)
        contrast = (cell[: CELL - PLATE[1]] if tag else cell).reshape(-1, 3) - table
        total = float((contrast**2).sum())
        if total / contrast.size < EMPTY**2:
            if tag:
                unknown.append(index)
            continue
        names, masks = _masks(bool(tag))
        energy = (masks**2).sum(axis=1)
        fit = (masks @ contrast) / energy[:, None]  # [K, 3] best colour of every mask, relative to the table
        left_over = total - (fit**2).sum(axis=1) * energy
        best = int(left_over.argmin())
        shape, size, dx, dy = names[best]
        distances = {c: float(np.linalg.norm(table + fit[best] - np.array(COLOUR_VALUES[c]))) for c in COLOURS}
        colour = min(distances, key=distances.__getitem__)
        if left_over[best] > UNEXPLAINED * total or distances[colour] > COLOUR_DISTANCE:
            unknown.append(index)
        else:
            things.append(Thing(size, colour, shape, index, tag[0] if tag else "", (dx, dy)))
    return Reading(Scene(tuple(things)), tuple(unknown))


def matches(picture: Image.Image, scene: Scene) -> bool:
    """Strict: everything in the scene is in its cell with its size, colour and shape, and nothing else is in the picture."""
    reading = read(picture)
    return not reading.unknown_cells and reading.scene.facts() == scene.facts()
