"""Checked sources -> one dataset, and the order in which an epoch reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from PIL import Image
from torch.utils.data import Dataset, Sampler

from minigemini.data.check import CheckedSource
from minigemini.data.records import Record
from minigemini.data.tokens import Tokens
from minigemini.media import open_image

Order = Literal["random", "group_by_length", "sequential"]
EMPTY = -1  # the index of no record: where processes share an epoch that does not divide evenly
POOL = 50  # global batches that are sorted by length together: little padding, and still well shuffled


@dataclass(frozen=True, slots=True)
class Example:
    """A record as tokens, with its images decoded."""

    name: str
    source: int  # its position in the recipe's list of sources
    tokens: Tokens
    images: list[Image.Image]


class Mixture(Dataset[Example]):
    """All records of all sources, in order of source. They stay in their shards until an item is read, and images are opened then."""

    def __init__(self, sources: list[CheckedSource]):
        self.sources = sources
        self.weights = [source.weight for source in sources]
        self.sizes = [len(source) for source in sources]
        self.starts = np.cumsum([0, *self.sizes])
        self.images = np.concatenate([source.images for source in sources])  # [records], number of pictures
        self.lengths = np.concatenate([source.lengths for source in sources])  # [records], every image token counted

    def __len__(self) -> int:
        return int(self.starts[-1])

    def place(self, index: int) -> tuple[int, int]:
        """The number of its source, and its place there."""
        number = int(np.searchsorted(self.starts, index, side="right")) - 1
        return number, index - int(self.starts[number])

    def record(self, index: int) -> Record:
        number, place = self.place(index)
        return self.sources[number].record(place)

    def tokens(self, index: int) -> Tokens:
        number, place = self.place(index)
        return self.sources[number].tokens(place)

    def all_tokens(self) -> Iterator[Tokens]:
        return chain.from_iterable(source.all_tokens() for source in self.sources)

    def __getitem__(self, index: int) -> Example:
        """The record at ``index``; at ``EMPTY`` one token of which nothing is learnt, so that it weighs nothing in any mean.

        Raises:
            ValueError: an image changed since the check pass; the message names record and file.
        """
        if index == EMPTY:
            end = self.tokens(0).ids[-1:]  # of an answer: it stands for no picture
            return Example("", 0, Tokens(end, np.zeros(1, dtype=bool)), [])
        number, place = self.place(index)
        record = self.sources[number].record(place)
        try:
            images = [open_image(picture) for picture in record.images]
        except ValueError as error:
            raise ValueError(f"{record.name}: image {error}") from error
        return Example(record.name, number, self.sources[number].tokens(place), images)


class EpochSampler(Sampler[int]):
    """The records of an epoch, a function of seed and epoch alone, so that a resumed run reads on where it stopped.

    A source of weight 2.5 gives every record twice and a new random half of them a third time. ``group_by_length``
    fills each global batch (the samples of one optimizer step, over all processes) with records of one kind, with or
    without images, and of about one length; what is left over of the two kinds shares the last batches.

    Args:
        round_size: samples of a micro-batch, over all processes. The epoch ends with a whole round, filled up with ``EMPTY``:
            all processes have as many batches, and no record is read twice for it.
    """

    def __init__(self, mixture: Mixture, order: Order, global_batch_size: int, seed: int, round_size: int = 1):
        self.mixture, self.order, self.global_batch_size, self.seed = mixture, order, global_batch_size, seed
        self.round_size = round_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        drawn = sum(self.draws())
        return drawn + -drawn % self.round_size

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self.seed, self.epoch))
        drawn = self._draw(generator)
        if self.order == "random":
            drawn = generator.permutation(drawn)
        elif self.order == "group_by_length":
            drawn = self._group(generator.permutation(drawn), generator)
        return iter(drawn.tolist() + [EMPTY] * (-len(drawn) % self.round_size))

    def draws(self) -> list[int]:
        """How many records the epoch takes from each source."""
        return [round(weight * size) for weight, size in zip(self.mixture.weights, self.mixture.sizes, strict=True)]

    def _draw(self, generator: np.random.Generator) -> np.ndarray:
        """Indices [draws] of the epoch, source by source."""
        chosen, start = [np.empty(0, dtype=np.int64)], 0
        for size, draws in zip(self.mixture.sizes, self.draws(), strict=True):
            passes, rest = divmod(draws, max(size, 1))
            chosen += [start + np.arange(size)] * passes
            chosen.append(start + np.sort(generator.choice(size, rest, replace=False)))
            start += size
        return np.concatenate(chosen)

    def _group(self, shuffled: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        size = self.global_batch_size
        with_images = self.mixture.images[shuffled] > 0
        batches, leftovers = [], []
        for kind in (shuffled[with_images], shuffled[~with_images]):
            whole = len(kind) // size * size
            leftovers.append(kind[whole:])
            for start in range(0, whole, POOL * size):
                pool = kind[start : min(start + POOL * size, whole)]
                pool = pool[np.argsort(self.mixture.lengths[pool], kind="stable")]
                batches += [generator.permutation(batch) for batch in pool.reshape(-1, size)]
        return np.concatenate([*(batches[index] for index in generator.permutation(len(batches))), *leftovers])
