"""What every benchmark gives a model to answer, and what scores are made of.

Everything a scorer needs travels in the prediction line (``Example.reference``), so a score can be recomputed from the
file alone, on a machine without the model, the images or torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from minigemini.conversation import Message, images_of

Line = Mapping[str, Any]
"""One line of predictions.jsonl: ``id``, ``kind``, ``prediction``, ``reference``, and what helps a reader."""


@dataclass(frozen=True)
class Sampling:
    """Decoding by chance, as some published scripts do it; the seed of each answer comes from its row."""

    temperature: float = 1.0
    num_beams: int = 1


@dataclass(frozen=True)
class Example:
    """One thing to answer.

    ``id`` is unique within the benchmark; ``kind`` names the row of the table it counts in; ``messages`` are
    of text and pictures (PIL, or :class:`StoredImage`); ``reference`` is plain JSON. With ``constrained`` the
    answer is decoded as a well-formed drawing prompt ``<h>...</h>`` (the user asked for a picture); otherwise decoding
    is free. It is greedy unless there is ``sampling``.
    """

    id: str
    kind: str
    messages: list[Message]
    reference: dict[str, Any]
    constrained: bool = False
    max_new_tokens: int = 16
    sampling: Sampling | None = None

    @property
    def images(self) -> list[Any]:
        """The pictures, in reading order."""
        return images_of(self.messages)


@dataclass(frozen=True)
class Score:
    """A number in 0..1 over ``n`` examples; ``interval`` is 95 %, or None where the number is an expected value."""

    value: float
    n: int
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Row:
    """A score and, beside it, what simpler ways of answering reach on the same examples."""

    kind: str
    metric: str
    score: Score
    controls: dict[str, Score] = field(default_factory=dict)
