"""Words for scenes: phrases, descriptions, drawing prompts, and prompts back to scenes."""

from __future__ import annotations

import re

from minigemini.tabletop.scene import CELLS, COLOURS, SHAPES, SIZES, Scene, Thing

_PHRASE = re.compile(
    rf"an? ({'|'.join(SIZES)}) ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)}) at the ({'|'.join(sorted(CELLS, key=len, reverse=True))})"
)


def noun(thing: Thing) -> str:
    """``small red circle``"""
    return f"{thing.size} {thing.colour} {thing.shape}"


def with_article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def phrase(thing: Thing, tag: bool = True) -> str:
    """``a small red circle tagged K7 at the top left``"""
    tagged = f" tagged {thing.tag}" if tag and thing.tag else ""
    return f"a {noun(thing)}{tagged} at the {CELLS[thing.cell]}"


def describe(scene: Scene, tags: bool = True) -> str:
    """Everything on the table in reading order."""
    if not scene.things:
        return "an empty table"
    return ", ".join(phrase(thing, tags) for thing in scene.in_reading_order())


def drawing_prompt(scene: Scene) -> str:
    """The prompt of the image generator: things in order of mention, without tags (drawings have none)."""
    if not scene.things:
        return "an empty table"
    return ", ".join(phrase(thing, tag=False) for thing in scene.things)


def parse_prompt(prompt: str) -> Scene:
    """The inverse of :func:`drawing_prompt`.

    Raises:
        ValueError: the text is not exactly such a prompt, or puts two things into one cell.
    """
    if prompt == "an empty table":
        return Scene()
    things = []
    for part in prompt.split(", "):
        match = _PHRASE.fullmatch(part)
        if not match:
            raise ValueError(f"not a phrase of the tabletop world: {part!r}")
        size, colour, shape, place = match.groups()
        things.append(Thing(size, colour, shape, CELLS.index(place)))
    if len({thing.cell for thing in things}) != len(things):
        raise ValueError(f"two things in one place: {prompt!r}")
    return Scene(tuple(things))
