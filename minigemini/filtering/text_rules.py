"""Rules of words: how many, how often the same, and which of them must not be there."""

import re
import string
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any, ClassVar, Literal

from minigemini.filtering.rule import NOTHING, Bounded, Measured, SampleRule
from minigemini.filtering.sample import Sample

PUNCTUATION = string.punctuation + "…“”„‘’«»"


@dataclass(frozen=True, kw_only=True)
class Length(Bounded, SampleRule):
    """How long what is learnt of a record is, all its answers together.

    Attributes:
        unit: words are what white space separates; tokens are those of a model's tokenizer, markers that it adds by itself not counted.
        model: of ours, by name or folder; for tokens.
    """

    UNIT: ClassVar[str] = "words, characters or tokens"
    unit: Literal["words", "characters", "tokens"] = "words"
    model: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.unit == "tokens") != (self.model is not None):
            raise ValueError("model: the one whose tokens are counted goes with unit: tokens, and only with it")

    def measure(self, sample: Sample) -> Measured:
        if self.unit == "words":
            return Measured(float(len(sample.answers.split())))
        if self.unit == "characters":
            return Measured(float(len(sample.answers)))
        assert self.model is not None
        return Measured(float(len(tokenizer_of(self.model)(sample.answers, add_special_tokens=False)["input_ids"])))


@cache
def tokenizer_of(model: str) -> Any:
    from minigemini.checkpoints.load import load_processor

    return load_processor(model).tokenizer


@dataclass(frozen=True, kw_only=True)
class RepeatedWords(Bounded, SampleRule):
    """The share of an answer's word n-grams that have stood in it before, the greatest of the record: a text that has fallen into a loop
    repeats nearly all (Rae et al., "Scaling Language Models" (Gopher), 2021, appendix A1.1, where it is counted by characters).

    Attributes:
        words: of an n-gram.
        at_least: n-grams of an answer; shorter ones, in which one repetition is much, are passed over.
    """

    UNIT: ClassVar[str] = "share of n-grams"
    words: int = 3
    at_least: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.words < 1 or self.at_least < 1:
            raise ValueError("words and at_least must be positive")

    def measure(self, sample: Sample) -> Measured:
        worst = NOTHING
        for answer in sample.answers.splitlines():
            found = n_grams(answer, self.words)
            if len(found) >= self.at_least:
                share = 1 - len(set(found)) / len(found)
                if worst.value is None or share > worst.value:
                    (often, times), *_ = Counter(found).most_common(1)
                    worst = Measured(share, f"{times} times {' '.join(often)!r}")
        return worst


def n_grams(text: str, words: int) -> list[tuple[str, ...]]:
    """Without regard to case and punctuation."""
    found = [word for piece in text.casefold().split() if (word := piece.strip(PUNCTUATION))]
    return [tuple(found[start : start + words]) for start in range(len(found) - words + 1)]


@dataclass(frozen=True, kw_only=True)
class RepeatedCharacters(Bounded, SampleRule):
    """The longest run of one character in the answers; white space counts for nothing."""

    UNIT: ClassVar[str] = "characters"

    def measure(self, sample: Sample) -> Measured:
        runs = [(len(list(run)), character) for character, run in groupby(sample.answers) if not character.isspace()]
        longest, character = max(runs, default=(0, ""))
        return Measured(float(longest), f"{longest} times {character!r}")


@dataclass(frozen=True, kw_only=True)
class Patterns(Bounded, SampleRule):
    """How often regular expressions, such as those of notices and addresses, are found in the answers.

    Attributes:
        patterns: of Python's ``re``; case is not regarded.
    """

    UNIT: ClassVar[str] = "matches"
    patterns: list[str]
    max: float | None = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.patterns:
            raise ValueError("patterns: there is none")
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"patterns: {pattern!r} is no regular expression: {error}") from error

    def measure(self, sample: Sample) -> Measured:
        found = [match.group() for one in self.patterns for match in re.finditer(one, sample.answers, re.IGNORECASE)]
        return Measured(float(len(found)), ", ".join(map(repr, found)))
