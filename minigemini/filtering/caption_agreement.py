"""A captioner of ours says what is in the picture, and what the record says must agree: caption and filter, after BLIP's CapFilt (Li et
al. 2022), whose filter is a matching head where ours compares words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from minigemini.conversation import message
from minigemini.filtering.rule import NOTHING, BatchRule, Bounded, Measured
from minigemini.filtering.sample import Sample
from minigemini.filtering.text_rules import n_grams


@dataclass(frozen=True, kw_only=True)
class CaptionAgreement(Bounded, BatchRule):
    """F1 of the n-grams of the record's answers and of the written caption (ROUGE-N's, Lin 2004), 0 to 1. For records of one picture;
    those of none or several pass.

    Attributes:
        model: of ours, by name or folder.
        question: that it is asked.
        words: of an n-gram.
        max_new_tokens: of a caption.
    """

    UNIT: ClassVar[str] = "F1 of n-grams"
    model: str
    question: str = "Describe the picture."
    words: int = 1
    max_new_tokens: int = 256

    def load(self) -> Callable[[Sequence[Sample]], list[Measured]]:
        from minigemini.checkpoints.load import load
        from minigemini.engine.local import LocalEngine
        from minigemini.engine.request import Decoding, Request

        engine = LocalEngine(*load(self.model))
        decoding = Decoding(self.max_new_tokens)

        def measure(samples: Sequence[Sample]) -> list[Measured]:
            measured = [failure(sample) for sample in samples]
            asked = [row for row, one in enumerate(measured) if one is None]
            requests = [Request([message("user", self.question, samples[row].pictures)], decoding) for row in asked]
            for row, answer in zip(asked, engine.answer(requests) if asked else [], strict=True):
                measured[row] = Measured(agreement(samples[row].answers, answer.text, self.words), repr(answer.text))
            return [one or NOTHING for one in measured]

        return measure


def failure(sample: Sample) -> Measured | None:
    """None: it can be captioned."""
    if len(sample.record.images) != 1:
        return NOTHING
    try:
        return None if sample.pictures else NOTHING
    except ValueError as error:
        return Measured(None, str(error), failed=True)


def agreement(text: str, caption: str, words: int) -> float:
    """Harmonic mean of the shares of n-grams that are in the other too, each as often as it is there. Of texts shorter than an n-gram 0."""
    said, written = Counter(n_grams(text, words)), Counter(n_grams(caption, words))
    total = said.total() + written.total()
    return 2 * (said & written).total() / total if total else 0.0
