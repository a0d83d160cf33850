"""Conversations -> tokens, with the ones to be trained on marked by the chat template's own generation spans.

A record is tokenised once, by the check pass, and its images are decoded when it is read. What comes out in the end is
what the processor makes of the conversation with its images: ``assert_same_as_processor`` sees to it.
"""

import re
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jinja2 import TemplateError
from PIL import Image

from minigemini.conversation import for_template
from minigemini.data.records import Record


class Processor(Protocol):
    """What this layer needs of a processor (it does not import the model layer): MiniGeminiProcessor, or one like it."""

    tokenizer: Any
    image_processor: Any
    chat_template: Any  # Jinja text
    image_token: Any  # what stands for an image in text, "<image>" ...
    image_token_id: Any  # ... and among the tokens

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def apply_chat_template(self, *args: Any, **kwargs: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """A conversation of L tokens, an image being one of them."""

    ids: np.ndarray  # [L] int32
    trained: np.ndarray  # [L] bool: the assistant's words and the token that ends them

    def expanded(self, image_token_id: int, tokens_per_image: int) -> "Tokens":
        """With every image token repeated as the model wants it, ``tokens_per_image`` times."""
        times = np.where(self.ids == image_token_id, tokens_per_image, 1)
        return Tokens(np.repeat(self.ids, times), np.repeat(self.trained, times))


def tokenise(record: Record, processor: Processor) -> Tokens:
    """
    Raises:
        ValueError: the chat template refuses the conversation (a role it does not know), or marks none of it.
    """
    tokenizer = processor.tokenizer
    try:
        encoded = tokenizer.apply_chat_template(
            for_template(record.messages),
            chat_template=processor.chat_template,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
    except TemplateError as error:
        raise ValueError(f"the chat template refuses it: {error}") from error
    ids, trained = encoded["input_ids"], encoded["assistant_masks"]
    if not any(trained):
        raise ValueError("no token of it is the assistant's: there is nothing to learn from")
    if tokenizer.bos_token_id is None or ids[0] != tokenizer.bos_token_id:
        beginning = tokenizer("")["input_ids"]  # what the tokenizer writes where the template does not
        ids, trained = beginning + ids, [0] * len(beginning) + trained
    return Tokens(np.array(ids, dtype=np.int32), np.array(trained, dtype=bool))


def tokens_per_image(processor: Processor) -> int:
    """Tokens of one image. An image is squared first, so every size and shape takes the same number."""
    one = processor(images=[Image.new("RGB", (8, 8))], text=[processor.image_token])
    return list(one["input_ids"][0]).count(processor.image_token_id)


def assert_marks_answers(processor: Processor) -> None:
    """Labels come from the template's ``{% generation %}`` spans, so it must have them.

    Raises:
        ValueError: it has none.
    """
    if processor.chat_template is None or not re.search(r"\{%-?\s*generation\s*-?%\}", processor.chat_template):
        raise ValueError(
            "the processor's chat template does not mark the assistant's words with {% generation %} ... "
            "{% endgeneration %}, so there is nothing to make labels from"
        )


def assert_same_as_processor(record: Record, tokens: Tokens, processor: Processor) -> None:
    """Training must see the ids that the processor makes in use: compare them for one record, with blank images."""
    encoded = processor.apply_chat_template(
        for_template(record.messages, [Image.new("RGB", (8, 8))] * len(record.images)),
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    ours = tokens.expanded(processor.image_token_id, tokens_per_image(processor))
    assert list(encoded["input_ids"][0]) == ours.ids.tolist(), f"{record.name}: other ids than the processor's"
    assert list(encoded["assistant_masks"][0]) == ours.trained.tolist(), f"{record.name}: other labels"
