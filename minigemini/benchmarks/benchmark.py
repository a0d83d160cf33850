"""What a benchmark is, and what it gives a model to answer.

Everything a scorer needs travels in the prediction line (``Example.reference``), so a score can be recomputed from the
file alone, on a machine without the model, the images or torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from minigemini.benchmarks.statistics.metric import Metric, accuracy

if TYPE_CHECKING:  # what a benchmark is made of names its lines
    from PIL import Image

    from minigemini.benchmarks.rules.verdict import Verdict

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
    OpenAI-style with image parts holding PIL images or :class:`StoredImage`; ``reference`` is plain JSON. With ``constrained`` the
    answer is decoded as a well-formed drawing prompt ``<h>...</h>`` (the user asked for a picture); otherwise decoding
    is free. It is greedy unless there is ``sampling``.
    """

    id: str
    kind: str
    messages: list[dict[str, Any]]
    reference: dict[str, Any]
    constrained: bool = False
    max_new_tokens: int = 16
    sampling: Sampling | None = None

    @property
    def images(self) -> list[Any]:
        """The pictures, in reading order."""
        return [part["image"] for message in self.messages for part in message["content"] if part["type"] == "image"]

    def with_images(self, change: Callable[[Any], dict[str, Any] | None]) -> list[dict[str, Any]]:
        """The messages with what ``change`` makes of each picture in its part's place; None leaves the part out."""
        messages = []
        for message in self.messages:
            parts = [change(part["image"]) if part["type"] == "image" else part for part in message["content"]]
            messages.append({**message, "content": [part for part in parts if part is not None]})
        return messages


@dataclass(frozen=True)
class Protocol:
    """
    Attributes:
        rule: judges one line.
        says: what it reproduces and what the prompt must be, for the reader of the number.
        metrics: the numbers, the published one first.
        fallback: what the tool makes of a reply that its rule cannot read; used only when asked for. The generator is
            seeded with 42, as the tools do, and runs through the lines in their order.
        check: refuses rows that are not those of the protocol.
        controls: ways of answering that understand nothing, by name: lines -> the verdicts on those that such a way answers.
    """

    rule: Callable[[Line], Verdict]
    says: str
    metrics: Callable[[Sequence[Verdict]], list[Metric]] = accuracy
    fallback: Callable[[Line, Random], Verdict] | None = None
    check: Callable[[Sequence[Line]], None] | None = None
    controls: Mapping[str, Callable[[Sequence[Line]], list[Verdict]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """
    Attributes:
        title: as its authors have it, with the split.
        sizes: the numbers of rows that published numbers are of, with a name each; empty: not known.
        protocols: by name; the first is the default.
        make: kinds, how many of each, and a seed -> the examples, where a program makes them.
        read: a file -> the examples, where they are conversations and not rows of questions; its own file is ``items``.
        see: of a picture that was drawn for an example without messages: what its line says of it.
    """

    title: str
    sizes: Mapping[int, str]
    protocols: Mapping[str, Protocol]
    make: Callable[[Sequence[str], int, int], list[Example]] | None = None
    read: Callable[[Path], list[Example]] | None = None
    items: Path | None = None
    see: Callable[[Image.Image], dict[str, Any]] | None = None

    @property
    def ours(self) -> bool:
        """Whether its examples come with the repository: there is one protocol, and no row shares its picture with another."""
        return self.make is not None or self.read is not None
