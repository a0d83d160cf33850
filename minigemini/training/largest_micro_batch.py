"""The largest micro-batch that a run will see: what its memory is planned for, and what a dry run tries."""

import math

import numpy as np
from transformers import TrainingArguments

from minigemini.data.mixture import EpochSampler, Mixture
from minigemini.training.meta_step import MicroBatch


def largest_micro_batch(
    mixture: Mixture, sampler: EpochSampler, arguments: TrainingArguments
) -> tuple[list[int], MicroBatch]:
    """Over all epochs: the records of the micro-batch with the most tokens, padding included; and a shape that holds every one,
    with the most images and the most trained tokens that any has.
    """
    size = arguments.train_batch_size
    images = np.array([len(paths) for paths in mixture.images])
    trained = np.array([int(tokens.trained.sum()) for tokens in mixture.tokens])
    most: list[int] = []
    length = most_images = most_trained = 0
    for epoch in range(max(1, math.ceil(arguments.num_train_epochs))):
        sampler.set_epoch(epoch)
        order = np.fromiter(sampler, dtype=np.int64)
        for start in range(0, len(order), size):
            records = order[start : start + size]
            longest = int(mixture.lengths[records].max())
            if len(records) * longest > len(most) * length:
                most, length = records.tolist(), longest
            most_images = max(most_images, int(images[records].sum()))
            most_trained = max(most_trained, int(trained[records].sum()))
    return most, MicroBatch(len(most), length, most_images, most_trained)


def assumed_micro_batch(samples: int, max_length: int) -> MicroBatch:
    """Where there is no data: every sample is as long as it may be, has one image, and all of it is trained."""
    return MicroBatch(samples, max_length, samples, samples * max_length)
