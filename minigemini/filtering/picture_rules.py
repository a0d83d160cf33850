"""Rules of pictures; a record without pictures passes them all, and one with several is judged by the worst."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minigemini.filtering.rule import NOTHING, Bounded, Measured, SampleRule
from minigemini.filtering.sample import Sample


@dataclass(frozen=True, kw_only=True)
class Unreadable(SampleRule):
    """Pictures that are not there, no pictures, broken, or beyond the limits of :mod:`minigemini.media`."""

    UNIT: ClassVar[str] = "pictures"

    def measure(self, sample: Sample) -> Measured:
        return Measured(float(len(sample.pictures)))


@dataclass(frozen=True, kw_only=True)
class Resolution(Bounded, SampleRule):
    """The shorter side of a picture, the least of the record."""

    UNIT: ClassVar[str] = "pixels"

    def measure(self, sample: Sample) -> Measured:
        return Measured(float(min(map(min, sample.sizes)))) if sample.sizes else NOTHING


@dataclass(frozen=True, kw_only=True)
class AspectRatio(Bounded, SampleRule):
    """The longer side in shorter sides, the greatest of the record."""

    UNIT: ClassVar[str] = "longer / shorter side"

    def measure(self, sample: Sample) -> Measured:
        return Measured(max(max(size) / min(size) for size in sample.sizes)) if sample.sizes else NOTHING


@dataclass(frozen=True, kw_only=True)
class Contrast(Bounded, SampleRule):
    """Standard deviation of the grey levels, 0 to 127.5; a blank picture has (nearly) none. The least of the record."""

    UNIT: ClassVar[str] = "grey levels"

    def measure(self, sample: Sample) -> Measured:
        greys = (np.asarray(picture.convert("L"), np.float32) for picture in sample.pictures)
        deviations = [float(grey.std()) for grey in greys]
        return Measured(min(deviations)) if deviations else NOTHING
