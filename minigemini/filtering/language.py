"""The language of what is learnt, by py3langid: 97 languages, no network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from minigemini.filtering.rule import NOTHING, Bounded, Measured, SampleRule
from minigemini.filtering.sample import Sample


@dataclass(frozen=True, kw_only=True)
class Language(Bounded, SampleRule):
    """How likely it is that the answers are in one of these languages, 0 to 1.

    Attributes:
        languages: ISO 639-1 codes.
        at_least: letters; of fewer nothing can be told, and the record passes.
    """

    UNIT: ClassVar[str] = "probability"
    languages: list[str]
    at_least: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.languages:
            raise ValueError("languages: there is none")
        if unknown := sorted(set(self.languages) - set(identifier().nb_classes)):
            known = ", ".join(sorted(set(identifier().nb_classes)))
            raise ValueError(f"languages: {', '.join(unknown)}: not among {known}")

    def measure(self, sample: Sample) -> Measured:
        if sum(map(str.isalpha, sample.answers)) < self.at_least:
            return NOTHING
        likely = identifier().rank(sample.answers)
        best, probability = likely[0]
        share = sum(float(one) for language, one in likely if language in self.languages)
        return Measured(min(share, 1.0), f"{best} {float(probability):.2f}")


@cache
def identifier() -> Any:
    try:
        from py3langid import langid
    except ModuleNotFoundError:
        raise ValueError("the rule language needs py3langid: pip install 'minigemini[filter]'") from None
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
