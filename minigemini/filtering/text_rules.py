"""Rules of words: how many, and how often the same."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from minigemini.filtering.rule import Bounded, Measured, SampleRule
from minigemini.filtering.sample import Sample


@dataclass(frozen=True, kw_only=True)
class Length(Bounded, SampleRule):
    """How long what is learnt of a record is, all its answers together.

    Attributes:
        unit: words are what white space separates.
    """

    UNIT: ClassVar[str] = "words or characters"
    unit: Literal["words", "characters"] = "words"

    def measure(self, sample: Sample) -> Measured:
        return Measured(float(len(sample.answers.split() if self.unit == "words" else sample.answers)))
