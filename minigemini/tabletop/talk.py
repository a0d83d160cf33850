"""Small talk, and sentences that speak of drawing without asking for a drawing: the hard negatives of "draw or answer?"."""

from __future__ import annotations

import random
from collections.abc import Sequence

from minigemini.tabletop.language import describe, noun, with_article
from minigemini.tabletop.scene import CELLS, SIZES, TRAINED_PAIRS, Scene

SMALL_TALK = (
    ("hello", "hello! show me a picture or ask me to draw one"),
    ("hi", "hello! show me a picture or ask me to draw one"),
    ("who are you?", "i am nano, a toy model of minigemini"),
    ("what can you do?", "i look at pictures of a table with shapes, answer questions about them, and draw"),
    ("what are you?", "i am nano, a toy model of minigemini"),
    ("help", "show me a picture or ask me to draw one"),
    ("thank you", "you are welcome"),
    ("thanks", "you are welcome"),
    ("good", "thank you"),
    ("goodbye", "goodbye!"),
    ("how are you?", "i am fine, thank you"),
)  # fmt: skip


def without_drawing(rng: random.Random, pairs: Sequence[tuple[str, str]] = TRAINED_PAIRS) -> tuple[str, str]:
    """A sentence full of drawing words that wants words, not a picture; and the answer. Needs no picture."""
    colour, shape = rng.choice(pairs)
    one = with_article(rng.choice((f"{colour} {shape}", f"{rng.choice(SIZES)} {colour} {shape}")))
    verb = rng.choice(("draw", "paint", "sketch"))
    noun_ = rng.choice(("drawing", "picture", "image", "sketch"))
    return rng.choice(
        (
            (f"can you {verb}?", "yes, tell me what to draw"),
            (f"do you know how to {verb} {one}?", "yes, ask me to draw it"),
            (f"how do you {verb} {one}?", "i write a prompt and the image generator draws it"),
            (f"who can {verb} {one}?", "i can, ask me to draw it"),
            (f"do not {verb} {one}", "i will not draw"),
            (f"please do not {verb} anything", "i will not draw"),
            (f"why did you {verb} {one}?", "because i was asked to"),
            (f"what does the word {verb} mean?", "it means to make a picture"),
            (f"is it hard to {verb} {one}?", "no, ask me to draw it"),
            (f"what is {with_article(noun_)}?", "it is something to look at"),
            (f"what do you need to make {with_article(noun_)} of {one}?", "a prompt and the image generator"),
            (f"who made the {noun_} of {one}?", "i do not know"),
            (f"how long does {with_article(noun_)} of {one} take?", "about a second"),
            (f"the image generation market is growing. what do you say about {one}?", "i do not know"),
            (f"tell me about {one}", "it is a shape on a table"),
            (f"is {one} easy to see?", "yes"),
        )
    )


def about_a_picture(rng: random.Random, scene: Scene) -> tuple[str, str]:
    """The same for a picture that is there: a wish in the words of drawing, to be answered by looking."""
    full = describe(scene)
    thing = rng.choice(scene.things)
    ways = [
        ("describe the drawing", full),
        ("generate a report about this picture", full),
        ("make a list of the objects in this drawing", full),
        ("what was drawn here?", full),
        ("create a description of the image", full),
        ("write down what is drawn in this picture", full),
        (f"do not draw. what is at the {CELLS[thing.cell]}?", with_article(noun(thing))),
        (f"look at the drawing. what is drawn at the {CELLS[thing.cell]}?", with_article(noun(thing))),
    ]
    return rng.choice(ways)
