"""The largest micro-batch that a run will see: what its memory is planned for, and what a dry run tries."""

import math
from collections.abc import Iterator

import numpy as np
from transformers import TrainingArguments

from minigemini.data.mixture import EMPTY, EpochSampler, Mixture
from minigemini.data.packing import PackSampler
from minigemini.data.sources import DataRecipe
from minigemini.training.meta_step import MicroBatch


def largest_micro_batch(
    mixture: Mixture, sampler: EpochSampler | PackSampler, arguments: TrainingArguments
) -> tuple[list[int], MicroBatch]:
    """Over all epochs: the records of the micro-batch with the most tokens, padding included; and a shape that holds every one,
    with the most images and the most trained tokens that any has.
    """
    images = mixture.images
    trained = np.fromiter((tokens.trained.sum() for tokens in mixture.all_tokens()), np.int64, len(mixture))
    packed = isinstance(sampler, PackSampler)
    most: list[int] = []
    largest = most_images = most_trained = 0
    for epoch in range(max(1, math.ceil(arguments.num_train_epochs))):
        sampler.set_epoch(epoch)
        for records in micro_batches(sampler, arguments.train_batch_size):
            lengths = mixture.lengths[records]
            tokens = int(lengths.sum() if packed else len(records) * lengths.max())
            if tokens > largest:
                most, largest = records.tolist(), tokens
            most_images = max(most_images, int(images[records].sum()))
            most_trained = max(most_trained, int(trained[records].sum()))
    samples = 1 if packed else len(most)
    return most, MicroBatch(samples, largest // samples, most_images, most_trained)


def micro_batches(sampler: EpochSampler | PackSampler, size: int) -> Iterator[np.ndarray]:
    """The records of each micro-batch of an epoch."""
    if isinstance(sampler, PackSampler):
        groups = [np.array(pack) for pack in sampler]
    else:
        order = np.fromiter(sampler, dtype=np.int64)
        groups = [order[start : start + size] for start in range(0, len(order), size)]
    for group in groups:
        if (group != EMPTY).any():
            yield group[group != EMPTY]


def assumed_micro_batch(size: int, data: DataRecipe) -> MicroBatch:
    """Where there is no data: every sample is as long as it may be, has one image, and all of it is trained."""
    samples, length = (size, data.max_length) if data.packing is None else (1, data.packing)
    images = math.ceil(samples * length / data.max_length)
    return MicroBatch(samples, length, images, samples * length)
