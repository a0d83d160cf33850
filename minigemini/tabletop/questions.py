"""Questions about a scene with their answers, one function a kind.

Each takes a scene and a random source and returns a ``Question``, or None when the scene has nothing to ask about (no unique object, say).
``bag`` is what a model would pick from that knows which values occur in the scene but not which object has which.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from minigemini.tabletop.language import noun, with_article
from minigemini.tabletop.scene import CELLS, COLOURS, SHAPES, SIZES, TRAINED_PAIRS, Scene, Thing

RELATIONS = ("above", "below", "left", "right")
MOST_THINGS = 6


@dataclass(frozen=True)
class Question:
    kind: str
    text: str
    answer: str
    choices: tuple[str, ...]  # every answer this kind can have
    bag: tuple[str, ...]  # the values of this kind that occur in the scene


def _unique(scene: Scene, name: Callable[[Thing], str]) -> list[Thing]:
    """Things that no other thing shares the name with."""
    names = [name(thing) for thing in scene.things]
    return [thing for thing, n in zip(scene.things, names, strict=True) if names.count(n) == 1]


def _colour_and_shape(thing: Thing) -> str:
    return f"{thing.colour} {thing.shape}"


def _referable(scene: Scene, rng: random.Random) -> list[tuple[Thing, str]]:
    """Things that one can speak of without doubt, each with a way to say it."""
    ways = [(thing, f"the {_colour_and_shape(thing)}") for thing in _unique(scene, _colour_and_shape)]
    ways += [(thing, f"the {noun(thing)}") for thing in _unique(scene, noun)]
    rng.shuffle(ways)
    return ways


def colour(scene: Scene, rng: random.Random) -> Question | None:
    ways = [(t, f"the {t.shape}") for t in _unique(scene, lambda t: t.shape)]
    ways += [(t, f"the {t.size} {t.shape}") for t in _unique(scene, lambda t: f"{t.size} {t.shape}")]
    if not ways or rng.random() < 0.15:
        ways = [(t, f"the object at the {CELLS[t.cell]}") for t in scene.things]
    if not ways:
        return None
    thing, name = rng.choice(ways)
    word = rng.choice(("color", "colour"))
    text = rng.choice((f"what {word} is {name}?", f"what is the {word} of {name}?", f"which {word} does {name} have?"))
    return Question("colour", text, thing.colour, COLOURS, tuple(t.colour for t in scene.things))


def shape(scene: Scene, rng: random.Random) -> Question | None:
    ways = [(t, f"the {t.colour} object") for t in _unique(scene, lambda t: t.colour)]
    ways += [(t, f"the {t.size} {t.colour} object") for t in _unique(scene, lambda t: f"{t.size} {t.colour}")]
    if not ways or rng.random() < 0.15:
        ways = [(t, f"the object at the {CELLS[t.cell]}") for t in scene.things]
    if not ways:
        return None
    thing, name = rng.choice(ways)
    text = rng.choice((f"what shape is {name}?", f"what is the shape of {name}?", f"what shape does {name} have?"))
    return Question("shape", text, thing.shape, SHAPES, tuple(t.shape for t in scene.things))


def size(scene: Scene, rng: random.Random) -> Question | None:
    things = _unique(scene, _colour_and_shape)
    if not things:
        return None
    thing = rng.choice(things)
    name = f"the {_colour_and_shape(thing)}"
    text = rng.choice((f"what size is {name}?", f"is {name} small or large?", f"how big is {name}?"))
    return Question("size", text, thing.size, SIZES, tuple(t.size for t in scene.things))


def count(scene: Scene, rng: random.Random) -> Question | None:
    way = rng.random()
    if way < 0.4:
        word = rng.choice(SHAPES if rng.random() < 0.25 or not scene.things else [t.shape for t in scene.things])
        number, name = sum(t.shape == word for t in scene.things), f"{word}s" if word != "cross" else "crosses"
    elif way < 0.8:
        word = rng.choice(COLOURS if rng.random() < 0.25 or not scene.things else [t.colour for t in scene.things])
        number, name = sum(t.colour == word for t in scene.things), f"{word} objects"
    else:
        number, name = len(scene.things), "objects"
    text = rng.choice((f"how many {name} are there?", f"how many {name} do you see?", f"count the {name}."))
    return Question("count", text, str(number), tuple(str(n) for n in range(MOST_THINGS + 1)), ())


def existence(scene: Scene, rng: random.Random, pairs: tuple[tuple[str, str], ...] = TRAINED_PAIRS) -> Question | None:
    """Half yes, half no; most of the "no" questions name a colour and a shape that are both there, on different things."""
    present = {thing.pair for thing in scene.things}
    sized = rng.random() < 0.3
    if rng.random() < 0.5:
        if not scene.things:
            return None
        thing = rng.choice(scene.things)
        name, answer = (noun(thing) if sized else _colour_and_shape(thing)), "yes"
    else:
        crossed = [
            (a.colour, b.shape)
            for a in scene.things
            for b in scene.things
            if (a.colour, b.shape) in pairs and (a.colour, b.shape) not in present
        ]
        absent = crossed if crossed and rng.random() < 0.8 else [p for p in pairs if p not in present]
        if not absent:
            return None
        name, answer = " ".join(rng.choice(absent)), "no"
        if sized:
            name = f"{rng.choice(SIZES)} {name}"
            if scene.things and rng.random() < 0.5:  # the right pair in the wrong size
                thing = rng.choice(scene.things)
                other = Thing("large" if thing.size == "small" else "small", thing.colour, thing.shape, thing.cell)
                if noun(other) not in {noun(t) for t in scene.things}:
                    name = noun(other)
    name = with_article(name)
    text = rng.choice(
        (f"is there {name}?", f"do you see {name}?", f"is {name} in the picture?", f"does the picture show {name}?")
    )
    return Question("existence", text, answer, ("yes", "no"), ("yes", "no"))


def relation(scene: Scene, rng: random.Random) -> Question | None:
    """Only between things of one row or one column, so that one word is the whole answer."""
    ways = _referable(scene, rng)
    couples = [
        (a, b)
        for a in ways
        for b in ways
        if a[0].cell != b[0].cell and (a[0].row == b[0].row or a[0].column == b[0].column)
    ]
    if not couples:
        return None
    (one, one_name), (other, other_name) = rng.choice(couples)
    if one.row == other.row:
        answer = "left" if one.column < other.column else "right"
    else:
        answer = "above" if one.row < other.row else "below"
    text = rng.choice(
        (f"where is {one_name} relative to {other_name}?", f"on which side of {other_name} is {one_name}?")
    )
    return Question("relation", text, answer, RELATIONS, RELATIONS)


def position(scene: Scene, rng: random.Random) -> Question | None:
    ways = _referable(scene, rng)
    if not ways:
        return None
    thing, name = ways[0]
    text = rng.choice((f"where is {name}?", f"in which place is {name}?", f"show me where {name} is."))
    return Question("position", text, CELLS[thing.cell], CELLS, tuple(CELLS[t.cell] for t in scene.things))


def tag(scene: Scene, rng: random.Random) -> Question | None:
    ways = [(thing, name) for thing, name in _referable(scene, rng) if thing.tag]
    if not ways:
        return None
    thing, name = ways[0]
    text = rng.choice((f"what is the tag of {name}?", f"what does the tag on {name} say?", f"read the tag on {name}."))
    return Question("tag", text, thing.tag, (), tuple(t.tag for t in scene.things if t.tag))


def tagged(scene: Scene, rng: random.Random) -> Question | None:
    """The other way round: which object has this tag? (Trained on, not part of the benchmark.)"""
    things = _unique(scene, lambda t: t.tag)
    things = [t for t in things if t.tag]
    if not things:
        return None
    thing = rng.choice(things)
    text = rng.choice((f"which object has the tag {thing.tag}?", f"what is tagged {thing.tag}?"))
    return Question("tagged", text, with_article(noun(thing)), (), ())


def place(scene: Scene, rng: random.Random) -> Question | None:
    """What lies in a cell? (Trained on, not part of the benchmark.)"""
    cell = rng.choice([t.cell for t in scene.things]) if scene.things and rng.random() < 0.8 else rng.randrange(9)
    there = [t for t in scene.things if t.cell == cell]
    answer = with_article(noun(there[0])) if there else "nothing"
    text = rng.choice((f"what is at the {CELLS[cell]}?", f"what do you see at the {CELLS[cell]}?"))
    return Question("place", text, answer, (), ())


BENCHMARKED: dict[str, Callable[[Scene, random.Random], Question | None]] = {
    "colour": colour,
    "shape": shape,
    "size": size,
    "count": count,
    "existence": existence,
    "relation": relation,
    "position": position,
    "tag": tag,
}
TRAINED = BENCHMARKED | {"tagged": tagged, "place": place}
