"""Instructions to draw, and to change what was drawn, each with the exact prompt that is the right answer.

Rules, so that every instruction has one right answer: what has no size is large; "above" and "below" put the second thing at the
center, "left of" and "right of" likewise; two things side by side lie at the left and at the right, three at left, center, right.
"it" is the thing drawn or changed last. A changed prompt keeps the order of mention; what is added comes last.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from minigemini.tabletop.language import noun, with_article
from minigemini.tabletop.scene import CELLS, COLOURS, SHAPES, SIZES, TRAINED_PAIRS, Scene, Thing

TOP, LEFT, CENTER, RIGHT, BOTTOM = 1, 3, 4, 5, 7
NEIGHBOURS = {"above": (-1, 0), "below": (1, 0), "to the left of": (0, -1), "to the right of": (0, 1)}
MOST_THINGS = 4


@dataclass(frozen=True)
class Drawing:
    """What was asked for, and the state after it: the scene and which cell "it" is in (None: "it" would be unclear)."""

    instruction: str
    scene: Scene
    it: int | None


def _ask(rng: random.Random, what: str) -> str:
    return rng.choice(
        (
            f"draw {what}", f"draw {what}", f"draw {what}.", f"please draw {what}", f"can you draw {what}?", f"draw me {what}",
            f"paint {what}", f"make a picture of {what}", f"show me {what}", f"generate an image of {what}",
            f"i would like to see {what}", f"a picture of {what}, please", f"create a drawing of {what}", f"sketch {what}",
        )
    )  # fmt: skip


def _said(thing: Thing, rng: random.Random) -> str:
    """``red circle`` or ``large red circle``: large is what one means when one says no size."""
    return f"{thing.colour} {thing.shape}" if thing.size == "large" and rng.random() < 0.6 else noun(thing)


def first_drawing(rng: random.Random, pairs: Sequence[tuple[str, str]] = TRAINED_PAIRS) -> Drawing:
    """An instruction to draw something new."""

    def thing(cell: int) -> Thing:
        colour, shape = rng.choice(pairs)
        return Thing(rng.choice(SIZES), colour, shape, cell)

    way = rng.choice(("one", "one at", "relation", "and", "several", "list", "list"))
    if way == "one":
        one = thing(CENTER)
        return Drawing(_ask(rng, with_article(_said(one, rng))), Scene((one,)), one.cell)
    if way == "one at":
        one = thing(rng.randrange(9))
        return Drawing(_ask(rng, f"{with_article(_said(one, rng))} at the {CELLS[one.cell]}"), Scene((one,)), one.cell)
    if way == "relation":
        relation, cell = rng.choice(
            (("above", TOP), ("below", BOTTOM), ("to the left of", LEFT), ("to the right of", RIGHT))
        )
        one, other = thing(cell), thing(CENTER)
        what = f"{with_article(_said(one, rng))} {relation} {with_article(_said(other, rng))}"
        return Drawing(_ask(rng, what), Scene((one, other)), None)
    if way == "and":
        one, other = thing(LEFT), thing(RIGHT)
        what = f"{with_article(_said(one, rng))} and {with_article(_said(other, rng))}"
        return Drawing(_ask(rng, what), Scene((one, other)), None)
    if way == "several":
        cells = rng.choice(((LEFT, RIGHT), (LEFT, CENTER, RIGHT)))
        one = thing(cells[0])
        plural = _said(one, rng) + ("es" if one.shape == "cross" else "s")
        number = {2: "two", 3: "three"}[len(cells)]
        return Drawing(_ask(rng, f"{number} {plural}"), Scene(tuple(replace(one, cell=c) for c in cells)), None)
    things = [thing(cell) for cell in rng.sample(range(9), rng.randint(2, 3))]
    parts = [f"{with_article(_said(t, rng))} at the {CELLS[t.cell]}" for t in things]
    what = " and ".join((", ".join(parts[:-1]), parts[-1]))
    return Drawing(_ask(rng, what), Scene(tuple(things)), None)


def _names(scene: Scene, it: int | None) -> list[tuple[int, str]]:
    """(index in the scene, how to speak of it) for everything that can be spoken of without doubt."""
    ways = []
    for index, thing in enumerate(scene.things):
        if thing.cell == it or len(scene.things) == 1:
            ways += [(index, "it")] * 2
        for name in (thing.shape, f"{thing.colour} {thing.shape}", noun(thing)):
            if sum(f" {noun(other)}".endswith(f" {name}") for other in scene.things) == 1:
                ways.append((index, f"the {name}"))
                break
    return ways or [(index, f"the object at the {CELLS[thing.cell]}") for index, thing in enumerate(scene.things)]


def edit(rng: random.Random, before: Drawing, pairs: Sequence[tuple[str, str]] = TRAINED_PAIRS) -> Drawing:
    """An instruction to change the last drawing. Always finds one that changes something."""
    scene, it = before.scene, before.it
    while True:
        kind = rng.choice(("colour", "colour", "size", "shape", "add beside", "add at", "remove", "move"))
        names = _names(scene, it)
        if kind in ("colour", "size", "shape", "remove", "move", "add beside"):
            if not names:
                continue
            index, name = rng.choice(names)
            thing = scene.things[index]
        if kind == "colour":
            colours = [c for c in COLOURS if c != thing.colour and (c, thing.shape) in pairs]
            if not colours:
                continue
            changed = replace(thing, colour=rng.choice(colours))
            text = rng.choice(("make {} {}", "color {} {}", "turn {} {}", "{} should be {}")).format(
                name, changed.colour
            )
        elif kind == "size":
            changed = replace(thing, size="small" if thing.size == "large" else "large")
            text = rng.choice(("make {} {}", "{} should be {}")).format(name, changed.size)
        elif kind == "shape":
            shapes = [s for s in SHAPES if s != thing.shape and (thing.colour, s) in pairs]
            if not shapes:
                continue
            changed = replace(thing, shape=rng.choice(shapes))
            text = rng.choice(("make {} a {}", "turn {} into a {}", "change {} to a {}")).format(name, changed.shape)
        elif kind == "move":
            changed = replace(thing, cell=rng.choice(scene.free_cells()))
            text = rng.choice(("move {} to the {}", "put {} at the {}")).format(name, CELLS[changed.cell])
        elif kind == "remove":
            if len(scene.things) < 2:
                continue
            text = rng.choice(("remove {}", "take {} away", "delete {}")).format(name)
            rest = tuple(t for t in scene.things if t is not thing)
            return Drawing(text, Scene(rest), rest[0].cell if len(rest) == 1 else None)
        else:
            if len(scene.things) >= MOST_THINGS:
                continue
            colour, shape = rng.choice(pairs)
            new = Thing(rng.choice(SIZES), colour, shape, rng.choice(scene.free_cells()))
            place = f"at the {CELLS[new.cell]}"
            if kind == "add beside":
                beside = [
                    (relation, (thing.row + dr) * 3 + thing.column + dc)
                    for relation, (dr, dc) in NEIGHBOURS.items()
                    if 0 <= thing.row + dr < 3 and 0 <= thing.column + dc < 3
                ]
                beside = [(relation, cell) for relation, cell in beside if cell in scene.free_cells()]
                if not beside:
                    continue
                relation, cell = rng.choice(beside)
                new, place = replace(new, cell=cell), f"{relation} {name}"
            text = f"{rng.choice(('add', 'add', 'put'))} {with_article(_said(new, rng))} {place}"
            return Drawing(text, Scene((*scene.things, new)), new.cell)
        things = tuple(changed if t is thing else t for t in scene.things)
        return Drawing(text, Scene(things), changed.cell)
