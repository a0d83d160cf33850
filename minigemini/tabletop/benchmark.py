"""The tabletop benchmark: examples on scenes that no training data shows (see ``scene.reserved``), the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from minigemini.conversation import GENERATION_MARKER, Message, message
from minigemini.tabletop import questions, talk
from minigemini.tabletop.conversations import Picture, Turn, casual, drawing_turns, some_picture
from minigemini.tabletop.drawing import edit, first_drawing
from minigemini.tabletop.language import drawing_prompt
from minigemini.tabletop.scene import HELD_OUT_PAIRS, TRAINED_PAIRS, Scene, Thing, random_scene, reserved

QUESTION_KINDS = tuple(questions.BENCHMARKED)
HELD_OUT_KINDS = ("colour_held_out", "shape_held_out", "size_held_out")
EDITS = 8  # the training data goes up to four
DRAWING_KINDS = ("draw_prompt", *(f"edit_{k}" for k in range(1, EDITS + 1)))
TYPES = (*QUESTION_KINDS, *HELD_OUT_KINDS, *DRAWING_KINDS, "well_formed", "draw_or_answer", "drawn_picture")

Example = dict[str, Any]


def _asked_in(turn: Turn) -> Message:
    return message("user", turn.text, [picture.image() for picture in turn.pictures])


def _asked(rng: random.Random, picture: Picture, question: questions.Question) -> Example:
    return {
        "messages": [_asked_in(Turn(casual(rng, question.text), "", (picture,)))],
        "answer": question.answer,
        "choices": question.choices,
        "bag": question.bag,
        "draw": False,
        "scene": picture.scene,
    }


def _question(kind: str, rng: random.Random) -> Example | None:
    picture = some_picture(rng, rng.randint(2, 5))
    question = questions.BENCHMARKED[kind](picture.scene, rng)
    if question is None or not reserved(picture.scene):
        return None
    return _asked(rng, picture, question)


def _held_out(kind: str, rng: random.Random) -> Example | None:
    """A question whose answer is on an object of a held-out pair; the others are of trained pairs."""
    picture = some_picture(rng, rng.randint(2, 5))
    index = rng.randrange(len(picture.scene.things))
    colour, shape = rng.choice(sorted(HELD_OUT_PAIRS))
    unseen = replace(picture.scene.things[index], colour=colour, shape=shape)
    things = (*picture.scene.things[:index], unseen, *picture.scene.things[index + 1 :])
    picture = replace(picture, scene=replace(picture.scene, things=things))
    question = questions.BENCHMARKED[kind](Scene(things), rng)
    names = (f"{colour} {shape}", f"the {shape}", f"the {unseen.size} {shape}", f"the {colour} object")
    asked_of_it = question and any(name in question.text for name in (*names, f"the {unseen.size} {colour} object"))
    if question is None or not asked_of_it or not reserved(picture.scene):
        return None
    return _asked(rng, picture, question)


def _drawing(edits: int, rng: random.Random) -> Example | None:
    turns, drawings = drawing_turns(rng, edits)
    if not reserved(drawings[-1].scene):
        return None
    messages = []
    for turn in turns:
        text = turn.text.removesuffix(GENERATION_MARKER) + GENERATION_MARKER
        messages += [_asked_in(replace(turn, text=text)), message("assistant", turn.answer)]
    previous = f"<h>{drawing_prompt(drawings[-2].scene)}</h>" if edits else ""
    return {
        "messages": messages[:-1],
        "answer": turns[-1].answer,
        "choices": (),
        "bag": (),
        "previous": previous,
        "draw": True,
        "scene": drawings[-1].scene,
    }


def _well_formed(rng: random.Random) -> Example | None:
    """A wish for a drawing, a first one or after any number of edits, that decoding does not help to answer with a prompt."""
    example = _drawing(rng.randint(0, EDITS), rng)
    return example and {**example, "draw": "auto"}


def _draw_or_answer(rng: random.Random) -> Example:
    """Half wish for a drawing (a first one, or a change), half only sound like it; nobody sets the marker."""
    wish = rng.random() < 0.5
    history: list[Message] = []
    seen: tuple[Picture, ...] = ()
    drawing = first_drawing(rng)
    if rng.random() < 0.5:  # after something was drawn
        answer = f"<h>{drawing_prompt(drawing.scene)}</h>"
        history = [_asked_in(Turn(casual(rng, drawing.instruction), answer)), message("assistant", answer)]
        seen = (Picture(drawing.scene, drawn=True),)
        drawing = edit(rng, drawing)
    if wish:
        text = drawing.instruction
    elif seen and rng.random() < 0.6:
        text = talk.about_a_picture(rng, seen[0].scene)[0]
    elif rng.random() < 0.6:
        text = talk.without_drawing(rng)[0]
    else:
        picture = some_picture(rng, rng.randint(1, 4))
        seen = (picture,)
        text = talk.about_a_picture(rng, picture.scene)[0]
        history = []
    return {
        "messages": [*history, _asked_in(Turn(casual(rng, text), "", seen))],
        "answer": "draw" if wish else "answer",
        "choices": ("draw", "answer"),
        "bag": (),
        "draw": "auto",
        "scene": drawing.scene,
    }


def _drawn_picture(rng: random.Random) -> Example | None:
    """A prompt in which one thing is of a colour-shape pair that the generator never saw."""
    scene = random_scene(rng, rng.randint(1, 4), TRAINED_PAIRS, tags=0, jitter=False)
    colour, shape = rng.choice(sorted(HELD_OUT_PAIRS))
    first = scene.things[0]
    scene = Scene((Thing(first.size, colour, shape, first.cell), *scene.things[1:]))
    if not reserved(scene):
        return None
    return {
        "messages": [],
        "answer": drawing_prompt(scene),
        "choices": (),
        "bag": (),
        "draw": True,
        "scene": scene,
    }


def _maker(kind: str) -> Callable[[random.Random], Example | None]:
    if kind in QUESTION_KINDS:
        return lambda rng: _question(kind, rng)
    if kind in HELD_OUT_KINDS:
        return lambda rng: _held_out(kind.removesuffix("_held_out"), rng)
    if kind in DRAWING_KINDS:
        return lambda rng: _drawing(DRAWING_KINDS.index(kind), rng)
    return {"well_formed": _well_formed, "draw_or_answer": _draw_or_answer, "drawn_picture": _drawn_picture}[kind]


def examples(n_per_type: int, seed: int = 0, types: tuple[str, ...] = TYPES) -> Iterator[Example]:
    """``n_per_type`` examples of every type.

    Each is a dict with ``id``, ``type``, ``messages`` (with PIL images), ``answer``, ``choices`` (every possible answer, empty
    when there are too many), ``bag`` (the values of that kind in the scene), ``draw`` (True, False or "auto"), ``scene``, and for
    drawings ``previous`` (the answer before the last instruction).
    """
    for kind in types:
        rng = random.Random(f"tabletop benchmark {kind} {seed}")
        make = _maker(kind)
        found = 0
        while found < n_per_type:
            example = make(rng)
            if example is not None:
                yield {"id": f"{kind}-{found}", "type": kind, **example}
                found += 1
