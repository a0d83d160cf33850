"""What must not be trained on is refused by a callable of the user's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from PIL import Image

from minigemini.filtering.rule import BatchRule, Measured
from minigemini.filtering.sample import Sample
from minigemini.safety import refusal

SAFE, UNSAFE = 0.0, 1.0


@dataclass(frozen=True, kw_only=True)
class Safety(BatchRule):
    """Given all that is said in a record, and then each of its pictures, the callable says why it is refused, or None; as that of a chat
    (``safety`` of a session). What it fails on does not pass.

    Attributes:
        function: ``module:name``; a module in the current folder will do.
        on_error: drop: what it fails on, with the reason; stop: the whole filtering.
    """

    UNIT: ClassVar[str] = "refused"
    function: str
    on_error: Literal["drop", "stop"] = "drop"

    def __post_init__(self) -> None:
        self._resolved()

    def _resolved(self) -> refusal.Safety:
        try:
            return refusal.resolve(self.function)
        except ValueError as error:
            raise ValueError(f"function: {error}") from error

    def depends_on(self) -> list[str]:
        file = getattr(sys.modules[self.function.partition(":")[0]], "__file__", None)
        return [file] if file else []

    def threshold(self, measured: Measured) -> str | None:
        return "must be safe" if measured.value == UNSAFE else super().threshold(measured)

    def load(self) -> Callable[[Sequence[Sample]], list[Measured]]:
        refuses = self._resolved()

        def measure(samples: Sequence[Sample]) -> list[Measured]:
            return [self._measure(sample, refuses) for sample in samples]

        return measure

    def _measure(self, sample: Sample, refuses: refusal.Safety) -> Measured:
        try:
            contents: list[str | Image.Image] = [sample.text, *sample.pictures]
            for content in contents:
                reason = refusal.ask(refuses, content)
                if reason is not None:
                    return Measured(UNSAFE, reason)
        except Exception as error:
            if self.on_error == "stop":
                raise ValueError(f"{sample.record.name}: {self.function} failed: {error!r}") from error
            return Measured(None, f"{self.function} failed: {error!r}", failed=True)
        return Measured(SAFE)
