"""What lies on the table. Pure data: no pixels, no words beyond the attribute names."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

SIZES = ("small", "large")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "black")
SHAPES = ("circle", "square", "triangle", "diamond", "cross")
CELLS = ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right")
TAG_CHARACTERS = "ACEFHJKLPTUX23456789"

# The compositional split: no picture or drawing that anything is trained on shows these, and neither stage speaks of them.
# (The base language model has heard of them: see train/nano_base/language_model.py.)
HELD_OUT_PAIRS = frozenset(
    {("purple", "circle"), ("green", "square"), ("orange", "triangle"), ("blue", "diamond"), ("black", "cross")}
)
ALL_PAIRS = tuple((colour, shape) for colour in COLOURS for shape in SHAPES)
TRAINED_PAIRS = tuple(pair for pair in ALL_PAIRS if pair not in HELD_OUT_PAIRS)


@dataclass(frozen=True)
class Thing:
    """One object: in which cell (0-8, reading order), and where its centre sits inside it (pixels off the middle)."""

    size: str
    colour: str
    shape: str
    cell: int
    tag: str = ""
    shift: tuple[int, int] = (0, 0)

    @property
    def pair(self) -> tuple[str, str]:
        return self.colour, self.shape

    @property
    def row(self) -> int:
        return self.cell // 3

    @property
    def column(self) -> int:
        return self.cell % 3


@dataclass(frozen=True)
class Scene:
    """Things in order of mention (for pictures the order is of no account); at most one per cell."""

    things: tuple[Thing, ...] = field(default_factory=tuple)
    tone: int = 0  # brightness of the table, -8..8

    def __post_init__(self) -> None:
        cells = [thing.cell for thing in self.things]
        assert len(set(cells)) == len(cells), f"two things in one cell: {self.things}"

    def in_reading_order(self) -> tuple[Thing, ...]:
        return tuple(sorted(self.things, key=lambda thing: thing.cell))

    def free_cells(self) -> list[int]:
        taken = {thing.cell for thing in self.things}
        return [cell for cell in range(9) if cell not in taken]

    def facts(self) -> frozenset[tuple[int, str, str, str]]:
        """What a strict judge compares: cell, size, colour and shape of everything, nothing else."""
        return frozenset((thing.cell, thing.size, thing.colour, thing.shape) for thing in self.things)


def random_tag(rng: random.Random) -> str:
    return rng.choice(TAG_CHARACTERS) + rng.choice(TAG_CHARACTERS)


def random_scene(
    rng: random.Random,
    things: int,
    pairs: Sequence[tuple[str, str]] = TRAINED_PAIRS,
    tags: float = 0.6,
    jitter: bool = True,
) -> Scene:
    """A scene of ``things`` objects.

    Half of the objects after the first share a colour or a shape with an earlier one, so that questions need binding and
    not only a list of what is there.

    Args:
        pairs: (colour, shape) pairs to pick from.
        tags: probability that an object carries a tag.
        jitter: objects sit off the middle of their cells, and the table's tone varies.
    """
    cells = rng.sample(range(9), things)
    made: list[Thing] = []
    for cell in cells:
        choices: Sequence[tuple[str, str]] = pairs
        if made and rng.random() < 0.5:
            other = rng.choice(made)
            alike = [p for p in pairs if (p[0] == other.colour) != (p[1] == other.shape)]
            choices = alike or pairs
        colour, shape = rng.choice(choices)
        tag = random_tag(rng) if rng.random() < tags else ""
        shift = (0, 0)
        if jitter:
            shift = (rng.randint(-3, 3), 0 if tag else rng.randint(-3, 3))
        made.append(Thing(rng.choice(SIZES), colour, shape, cell, tag, shift))
    return Scene(tuple(made), rng.randint(-8, 8) if jitter else 0)


def reserved(scene: Scene) -> bool:
    """One scene in eight belongs to the benchmark: the training data leaves it out, the benchmark shows nothing else.

    Decided by what is on the table (cells, sizes, colours, shapes), so no seed can mix the two up.
    """
    return zlib.crc32(repr(sorted(scene.facts())).encode()) % 8 == 0
