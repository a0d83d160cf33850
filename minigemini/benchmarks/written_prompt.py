"""What an answer says to the image generator, judged without any picture."""

from minigemini.conversation import PROMPT_END, PROMPT_START, find_prompts


def has_well_formed_prompts(answer: str) -> bool:
    """Does the answer hold prompts, perhaps among words, and every one by the grammar that constrained decoding keeps to?

    Each ``<h>`` has its ``</h>``; between them is a letter or a digit and no ``<``.
    """
    prompts = [span.prompt for span in find_prompts(answer)]
    if not prompts or not answer.count(PROMPT_START) == answer.count(PROMPT_END) == len(prompts):
        return False
    return all("<" not in prompt and any(c.isalnum() for c in prompt) for prompt in prompts)


def is_one_prompt(answer: str) -> bool:
    """Is the whole answer one well-formed prompt, with nothing but white space around it?"""
    answer = answer.strip()
    whole = [(span.start, span.end) for span in find_prompts(answer)] == [(0, len(answer))]
    return whole and has_well_formed_prompts(answer)
