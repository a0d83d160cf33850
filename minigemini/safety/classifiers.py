"""A safety filter to begin with: a classifier of texts and one of pictures, by transformers.

``--safety minigemini.safety.classifiers:refuse`` takes these two, both under Apache-2.0, both for sexual content (the first for violence
too, in English); by :class:`Classifiers` any others.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

TEXTS = "eliasalbouzidi/distilbert-nsfw-text-classifier"
PICTURES = "Falconsai/nsfw_image_detection"
UNSAFE = "nsfw"
OVERLAP = 64
"""Tokens that two pieces of a long text share: what is bad is not cut in two."""


class Classifiers:
    """Refuses what one of two classifiers calls unsafe.

    Args:
        texts: sequence classifier of transformers: folder or hub id.
        pictures: image classifier, likewise.
        unsafe: the name of the class that is refused, in both.
        threshold: refused from this probability of it on.

    Raises:
        ValueError: one cannot be loaded, or has no such class; it is named.
    """

    def __init__(
        self, texts: str = TEXTS, pictures: str = PICTURES, unsafe: str = UNSAFE, threshold: float = 0.5
    ) -> None:
        self.threshold = threshold
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(texts)
            self.texts: Any = AutoModelForSequenceClassification.from_pretrained(texts).eval()
            self.processor: Any = AutoImageProcessor.from_pretrained(pictures)
            self.pictures: Any = AutoModelForImageClassification.from_pretrained(pictures).eval()
        except OSError as error:
            raise ValueError(
                f"the safety filter's classifiers {texts} and {pictures} cannot be loaded: {error}"
            ) from error
        self.unsafe_text = _place_of(unsafe, self.texts.config.id2label, texts)
        self.unsafe_picture = _place_of(unsafe, self.pictures.config.id2label, pictures)

    def __call__(self, content: str | Image.Image) -> str | None:
        named = "text" if isinstance(content, str) else "picture"
        unsafe = self.of_text(content) if isinstance(content, str) else self.of_picture(content)
        if unsafe < self.threshold:
            return None
        return f"the {named} is unsafe with a probability of {unsafe:.2f} (refused from {self.threshold:.2f})"

    @torch.inference_mode()
    def of_text(self, text: str) -> float:
        """Probability that it is unsafe; of a text longer than the classifier reads, that of its worst piece."""
        pieces = self.tokenizer(
            text,
            truncation=True,
            max_length=min(self.tokenizer.model_max_length, self.texts.config.max_position_embeddings),
            stride=OVERLAP,
            return_overflowing_tokens=True,
            padding=True,
            return_tensors="pt",
        )
        logits = self.texts(pieces["input_ids"], attention_mask=pieces["attention_mask"]).logits
        return float(logits.softmax(-1)[:, self.unsafe_text].max())

    @torch.inference_mode()
    def of_picture(self, picture: Image.Image) -> float:
        """Probability that it is unsafe."""
        pixels = self.processor(picture.convert("RGB"), return_tensors="pt")["pixel_values"]
        return float(self.pictures(pixels).logits.softmax(-1)[0, self.unsafe_picture])


@cache
def _of_the_hub() -> Classifiers:
    return Classifiers()


def refuse(content: str | Image.Image) -> str | None:
    """By the two of this file, which are loaded when the first is asked."""
    return _of_the_hub()(content)


def _place_of(unsafe: str, labels: dict[int, str], model: str) -> int:
    for place, label in labels.items():
        if label.lower() == unsafe.lower():
            return place
    raise ValueError(f"{model} has no class {unsafe!r}; it has {', '.join(labels.values())}")
