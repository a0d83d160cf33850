"""What an answer says to the image generator, judged without any picture."""

from __future__ import annotations

from minigemini.generation.prompt_markers import PROMPT_START, find_prompts

__all__ = ["PROMPT_START", "asks_for_a_picture", "is_one_prompt"]


def asks_for_a_picture(answer: str) -> bool:
    """Does the answer hold a prompt that would be drawn, perhaps among words? One that is never closed would not be."""
    return bool(find_prompts(answer))


def is_one_prompt(answer: str) -> bool:
    """Is the whole answer one well-formed prompt, by the grammar that constrained decoding keeps to?

    ``<h>...</h>`` with a letter or a digit inside, no ``<`` inside, and nothing but white space around it.
    """
    answer = answer.strip()
    spans = find_prompts(answer)
    if len(spans) != 1 or (spans[0].start, spans[0].end) != (0, len(answer)):
        return False
    return "<" not in spans[0].prompt and any(character.isalnum() for character in spans[0].prompt)
