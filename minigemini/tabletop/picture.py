"""Scene -> picture. 96x96 pixels, nine cells of 32; drawings are the same at 48x48, without tags.

Tags are 5x7-pixel characters on a white plate: crisp at 96 pixels, a smear at the 42 that the low-resolution tower sees.
The glyphs are data in this file, so that no font library's version can change them.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from minigemini.tabletop.scene import Scene, Thing

SIZE = 96
CELL = 32
DRAWING_SIZE = 48
TABLE = np.array((232, 228, 220), dtype=np.float32)
RADIUS = {"small": 6, "large": 10}
COLOUR_VALUES = {
    "red": (214, 40, 40),
    "orange": (245, 138, 30),
    "yellow": (245, 214, 30),
    "green": (44, 150, 60),
    "cyan": (60, 205, 220),
    "blue": (40, 70, 205),
    "purple": (150, 50, 170),
    "black": (30, 30, 34),
}
PLATE = (15, 11)  # width, height: border 1, margin 1, two glyphs of 5x7 with a gap of 1

# 7 rows of 5 pixels, top to bottom, each row as a number in binary
GLYPHS = {
    "A": (0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001),
    "C": (0b01111, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b01111),
    "E": (0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111),
    "F": (0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b10000),
    "H": (0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001),
    "J": (0b00111, 0b00010, 0b00010, 0b00010, 0b00010, 0b10010, 0b01100),
    "K": (0b10001, 0b10010, 0b10100, 0b11000, 0b10100, 0b10010, 0b10001),
    "L": (0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111),
    "P": (0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000),
    "T": (0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100),
    "U": (0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110),
    "X": (0b10001, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001, 0b10001),
    "2": (0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111),
    "3": (0b11110, 0b00001, 0b00001, 0b01110, 0b00001, 0b00001, 0b11110),
    "4": (0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010),
    "5": (0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110),
    "6": (0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110),
    "7": (0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000),
    "8": (0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110),
    "9": (0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100),
}


@cache
def shape_mask(shape: str, size: str) -> np.ndarray:
    """Coverage of a shape whose centre is the middle of a cell: float32 [32, 32] in 0..1, edges antialiased."""
    scale = 8
    big = Image.new("L", (CELL * scale, CELL * scale))
    pen = ImageDraw.Draw(big)
    middle, r = CELL * scale / 2, RADIUS[size] * scale
    low, high = middle - r, middle + r - 1
    if shape == "circle":
        pen.ellipse((low, low, high, high), fill=255)
    elif shape == "square":
        s = 0.9 * r
        pen.rectangle((middle - s, middle - s, middle + s - 1, middle + s - 1), fill=255)
    elif shape == "triangle":
        pen.polygon(((middle, low), (high, high), (low, high)), fill=255)
    elif shape == "diamond":
        pen.polygon(((middle, low), (high, middle), (middle, high), (low, middle)), fill=255)
    else:
        assert shape == "cross", shape
        arm = r / 3
        pen.rectangle((middle - arm, low, middle + arm - 1, high), fill=255)
        pen.rectangle((low, middle - arm, high, middle + arm - 1), fill=255)
    return np.asarray(big.resize((CELL, CELL), Image.Resampling.BOX), dtype=np.float32) / 255


@cache
def plate_pixels(tag: str) -> np.ndarray:
    """The tag's plate: float32 [11, 15, 3], black on white."""
    width, height = PLATE
    ink = np.zeros((height, width), dtype=np.float32)
    ink[0], ink[-1], ink[:, 0], ink[:, -1] = 1, 1, 1, 1
    for left, character in zip((2, 8), tag, strict=True):
        for y, row in enumerate(GLYPHS[character]):
            for x in range(5):
                ink[2 + y, left + x] = row >> (4 - x) & 1
    return np.repeat((255 * (1 - ink))[..., None], 3, axis=2)


def _paint(canvas: np.ndarray, thing: Thing) -> None:
    cell = canvas[thing.row * CELL : (thing.row + 1) * CELL, thing.column * CELL : (thing.column + 1) * CELL]
    dx, dy = thing.shift
    if thing.tag:
        dy -= CELL // 2 - RADIUS["large"]  # make room for the plate below
    mask = np.roll(shape_mask(thing.shape, thing.size), (dy, dx), axis=(0, 1))[..., None]
    cell += mask * (np.array(COLOUR_VALUES[thing.colour], dtype=np.float32) - cell)
    if thing.tag:
        width, height = PLATE
        left = (CELL - width) // 2 + dx
        cell[CELL - height :, left : left + width] = plate_pixels(thing.tag)


def render(scene: Scene, size: int = SIZE) -> Image.Image:
    """Picture of a scene, RGB, ``size`` x ``size`` pixels (painted at 96, then box-averaged or enlarged bicubically)."""
    canvas = np.broadcast_to(TABLE + scene.tone, (SIZE, SIZE, 3)).copy()
    for thing in scene.things:
        _paint(canvas, thing)
    picture = Image.fromarray(canvas.round().astype(np.uint8))
    if size < SIZE:
        picture = picture.resize((size, size), Image.Resampling.BOX)
    elif size > SIZE:
        picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    return picture
