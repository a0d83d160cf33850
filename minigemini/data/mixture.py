"""Checked sources -> one dataset, and the order in which an epoch reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image
from torch.utils.data import Dataset, Sampler

from minigemini.data.check import CheckedSource
from minigemini.data.images import open_image
from minigemini.data.records import Record

Order = Literal["random", "group_by_length", "sequential"]
POOL = 50  # global batches that are sorted by length together: little padding, and still well shuffled


@dataclass(frozen=True, slots=True)
class Example:
    """A record with its images decoded. ``length`` is its number of tokens, as the check pass counted them."""

    record: Record
    images: list[Image.Image]
    length: int


class Mixture(Dataset[Example]):
    """All records of all sources, in order of source. Images are opened when an item is read."""

    def __init__(self, sources: list[CheckedSource]):
        self.sources = sources
        self.records = [record for source in sources for record in source.records]
        self.lengths = np.concatenate([source.lengths for source in sources])

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Example:
        """
        Raises:
            ValueError: an image changed since the check pass; the message names record and file.
        """
        record = self.records[index]
        try:
            return Example(record, [open_image(path) for path in record.images], int(self.lengths[index]))
        except ValueError as error:
            raise ValueError(f"{record.name}: {error}") from error


class EpochSampler(Sampler[int]):
    """The records of an epoch, a function of seed and epoch alone, so that a resumed run reads on where it stopped.

    A source of weight 2.5 gives every record twice and a new random half of them a third time. ``group_by_length``
    fills each global batch (the samples of one optimizer step, over all processes) with records of one kind, with or
    without images, and of about one length; what is left over of the two kinds shares the last batches.
    """

    def __init__(self, mixture: Mixture, order: Order, global_batch_size: int, seed: int):
        self.mixture, self.order, self.global_batch_size, self.seed = mixture, order, global_batch_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(_draws(source) for source in self.mixture.sources)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self.seed, self.epoch))
        drawn = self._draw(generator)
        if self.order == "random":
            drawn = generator.permutation(drawn)
        elif self.order == "group_by_length":
            drawn = self._group(generator.permutation(drawn), generator)
        return iter(drawn.tolist())

    def _draw(self, generator: np.random.Generator) -> np.ndarray:
        """Indices [draws] of the epoch, source by source."""
        chosen, start = [], 0
        for source in self.mixture.sources:
            size = len(source.records)
            passes, rest = divmod(_draws(source), size) if size else (0, 0)
            part = np.sort(generator.choice(size, rest, replace=False)) if rest else np.empty(0, dtype=np.int64)
            chosen.append(start + np.concatenate([*[np.arange(size)] * passes, part]).astype(np.int64))
            start += size
        return np.concatenate(chosen)

    def _group(self, shuffled: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        size = self.global_batch_size
        with_images = np.array([bool(self.mixture.records[index].images) for index in shuffled])
        batches, leftovers = [], []
        for kind in (shuffled[with_images], shuffled[~with_images]):
            whole = len(kind) // size * size
            leftovers.append(kind[whole:])
            for start in range(0, whole, POOL * size):
                pool = kind[start : min(start + POOL * size, whole)]
                pool = pool[np.argsort(self.mixture.lengths[pool], kind="stable")]
                batches += [generator.permutation(batch) for batch in pool.reshape(-1, size)]
        return np.concatenate([*(batches[index] for index in generator.permutation(len(batches))), *leftovers])


def _draws(source: CheckedSource) -> int:
    return round(source.weight * len(source.records))
