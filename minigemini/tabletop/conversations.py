"""Conversations in the tabletop world, mixed to train on.

A conversation is a list of turns; a turn is what the user shows and says and what the right answer is. The same conversations teach
the base language model (with words in the place of pictures) and the two stages (with pictures).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from minigemini.conversation import GENERATION_MARKER
from minigemini.tabletop import questions, talk
from minigemini.tabletop.drawing import Drawing, edit, first_drawing
from minigemini.tabletop.language import describe, drawing_prompt
from minigemini.tabletop.picture import DRAWING_SIZE, SIZE, render
from minigemini.tabletop.scene import TRAINED_PAIRS, Scene, random_scene


@dataclass(frozen=True)
class Picture:
    """A scene as a photograph (96 px, with tags) or as one of our own drawings (48 px, without)."""

    scene: Scene
    drawn: bool = False

    def image(self) -> Image.Image:
        return render(self.scene, DRAWING_SIZE if self.drawn else SIZE)


@dataclass(frozen=True)
class Turn:
    text: str
    answer: str
    pictures: tuple[Picture, ...] = ()  # shown before the text


Conversation = tuple[Turn, ...]
Pairs = Sequence[tuple[str, str]]
KINDS = tuple(questions.TRAINED)
# Asked about more often than the others.
HARD_KINDS = ("relation", "relation", "count", "count", "count", "tag", "position")


def casual(rng: random.Random, text: str) -> str:
    """As people type: sometimes a capital letter, sometimes no full stop or question mark."""
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:]
    if rng.random() < 0.3:
        text = text.rstrip(".?")
    return text


def some_picture(rng: random.Random, things: int, pairs: Pairs = TRAINED_PAIRS) -> Picture:
    if rng.random() < 0.2:
        return Picture(random_scene(rng, things, pairs, tags=0, jitter=False), drawn=True)
    return Picture(random_scene(rng, things, pairs))


def looking(
    rng: random.Random, things: int, turns: int = 5, kinds: Sequence[str] = KINDS, pairs: Pairs = TRAINED_PAIRS
) -> Conversation:
    """Questions about one picture."""
    picture = some_picture(rng, things, pairs)
    asked: list[Turn] = []
    said: set[str] = set()
    for _ in range(turns):
        kind = rng.choice(kinds)
        question = questions.TRAINED[kind](picture.scene, rng)
        if question and question.text not in said:
            said.add(question.text)
            asked.append(Turn(casual(rng, question.text), question.answer))
    if not asked:
        return describing(rng, things, pairs)
    return (replace(asked[0], pictures=(picture,)), *asked[1:])


def description(rng: random.Random, picture: Picture, tags: bool = True) -> Turn:
    """Says all that is in the picture; what is written on the tags may be left out."""
    text = rng.choice(("describe the picture", "what do you see?", "describe the image", "what is in the picture?"))
    return Turn(casual(rng, text), describe(picture.scene, tags), (picture,))


def describing(rng: random.Random, things: int, pairs: Pairs = TRAINED_PAIRS, tags: bool = True) -> Conversation:
    return (description(rng, some_picture(rng, things, pairs), tags),)


def _drawing_turn(rng: random.Random, drawing: Drawing, seen: Picture | None) -> Turn:
    text = casual(rng, drawing.instruction) + (GENERATION_MARKER if rng.random() < 0.5 else "")
    return Turn(text, f"<h>{drawing_prompt(drawing.scene)}</h>", (seen,) if seen else ())


def drawing_turns(
    rng: random.Random, edits: int, pairs: Pairs = TRAINED_PAIRS, from_picture: bool = False
) -> tuple[list[Turn], list[Drawing]]:
    """A first drawing and ``edits`` changes to it; every drawing is shown again with the turn after it.

    With ``from_picture`` the first turn shows a picture and asks for the same again.
    """
    if from_picture:
        picture = some_picture(rng, rng.randint(1, 4), pairs)
        scene = Scene(tuple(replace(t, tag="", shift=(0, 0)) for t in picture.scene.in_reading_order()))
        ask = rng.choice(("draw this again", "draw this picture", "make a drawing of this", "paint what you see here"))
        drawings = [Drawing(ask, scene, scene.things[0].cell if len(scene.things) == 1 else None)]
        turns = [_drawing_turn(rng, drawings[0], picture)]
    else:
        drawings = [first_drawing(rng, pairs)]
        turns = [_drawing_turn(rng, drawings[0], None)]
    for _ in range(edits):
        seen = Picture(replace(drawings[-1].scene, tone=0), drawn=True)
        drawings.append(edit(rng, drawings[-1], pairs))
        turns.append(_drawing_turn(rng, drawings[-1], seen))
    return turns, drawings


def drawing(rng: random.Random, pairs: Pairs = TRAINED_PAIRS) -> Conversation:
    """Draw, change several times; at times then look at the result, talk, or start anew."""
    turns, drawings = drawing_turns(rng, rng.choice((0, 1, 1, 2, 2, 3, 3, 4)), pairs, from_picture=rng.random() < 0.2)
    seen = Picture(replace(drawings[-1].scene, tone=0), drawn=True)
    after = rng.random()
    if after < 0.15:
        text, answer = talk.about_a_picture(rng, seen.scene)
        turns.append(Turn(casual(rng, text), answer, (seen,)))
    elif after < 0.25:
        turns.append(_drawing_turn(rng, first_drawing(rng, pairs), seen))
    elif after < 0.35:
        text, answer = talk.without_drawing(rng, pairs)
        turns.append(Turn(casual(rng, text), answer, (seen,)))
    return tuple(turns)


def talking(rng: random.Random, pairs: Pairs = TRAINED_PAIRS) -> Conversation:
    """Words only, or about a picture, in the vocabulary of drawing; sometimes a real wish to draw follows."""
    way = rng.random()
    if way < 0.2:
        text, answer = rng.choice(talk.SMALL_TALK)
        turns = [Turn(casual(rng, text), answer)]
    elif way < 0.6:
        text, answer = talk.without_drawing(rng, pairs)
        turns = [Turn(casual(rng, text), answer)]
    else:
        picture = some_picture(rng, rng.randint(1, 4), pairs)
        text, answer = talk.about_a_picture(rng, picture.scene)
        return (Turn(casual(rng, text), answer, (picture,)),)
    if rng.random() < 0.3:
        turns.append(_drawing_turn(rng, first_drawing(rng, pairs), None))
    return tuple(turns)


def random_conversation(
    rng: random.Random, most_things: int = questions.MOST_THINGS, pairs: Pairs = TRAINED_PAIRS
) -> Conversation:
    """One conversation of the finetune mixture."""
    way = rng.random()
    things = rng.randint(1, most_things)
    if way < 0.36:
        return looking(rng, things, pairs=pairs)
    if way < 0.52:
        return looking(rng, things, kinds=HARD_KINDS, pairs=pairs)
    if way < 0.56:
        return describing(rng, things, pairs)
    if way < 0.92:
        return drawing(rng, pairs)
    return talking(rng, pairs)
