"""The order of an epoch: weights, grouping, and that it depends on seed and epoch alone."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from minigemini.conversation import message
from minigemini.data.check import CheckedSource, checked_source
from minigemini.data.mixture import EMPTY, EpochSampler, Mixture
from minigemini.data.records import Record
from minigemini.data.shard import Shard, columns_of
from minigemini.data.tokens import Tokens

ONE = Tokens(np.array([5], np.int32), np.ones(1, bool))


def source(name: str, size: int, weight: float = 1.0, images: int = 0) -> CheckedSource:
    records = [
        Record(f"{name}{i}", (message("user", "a", ["x.png"] * images), message("assistant", "b"))) for i in range(size)
    ]
    (made, _) = checked_source(weight, [Shard(columns_of(list(enumerate(records)), [ONE] * size, 1))], 500)
    return with_lengths(made, np.random.default_rng(0).integers(10, 500, size, dtype=np.int32))


def with_lengths(made: CheckedSource, lengths: np.ndarray) -> CheckedSource:
    """As if the records had so many tokens."""
    return replace(made, lengths=lengths)


def test_a_weight_is_how_often_a_record_is_seen():
    mixture = Mixture([source("once", 10), source("twice and a half", 10, 2.5), source("a fifth", 10, 0.2)])
    sampler = EpochSampler(mixture, "random", 4, seed=0)
    drawn = list(sampler)
    seen = Counter(drawn)
    assert len(drawn) == len(sampler) == 10 + 25 + 2
    assert all(seen[i] == 1 for i in range(10))
    assert sorted(seen[i] for i in range(10, 20)) == [2] * 5 + [3] * 5
    assert sum(seen[i] for i in range(20, 30)) == 2


@pytest.mark.parametrize("order", ["random", "group_by_length"])
def test_order_is_a_function_of_seed_and_epoch(order):
    mixture = Mixture([source("a", 50, 0.5), source("b", 30, 1, images=1)])

    def epoch(number: int, seed: int) -> list[int]:
        sampler = EpochSampler(mixture, order, 8, seed)
        sampler.set_epoch(number)
        return list(sampler)

    assert epoch(0, 1) == epoch(0, 1)
    assert epoch(0, 1) != epoch(1, 1)
    assert epoch(0, 1) != epoch(0, 2)
    assert {i for i in epoch(0, 1) if i < 50} != {i for i in epoch(1, 1) if i < 50}, "another half each epoch"


def test_grouping_makes_batches_of_one_kind_and_about_one_length():
    mixture = Mixture([source("text", 403), source("images", 806, images=1)])
    sampler = EpochSampler(mixture, "group_by_length", 8, seed=0)
    drawn = np.array(list(sampler))
    assert sorted(drawn) == list(range(1209))
    batches = [drawn[i : i + 8] for i in range(0, len(drawn), 8)]
    pure = [batch for batch in batches if len({bool(mixture.images[i]) for i in batch}) == 1]
    assert len(pure) >= len(batches) - 2
    spread = np.mean([np.ptp(mixture.lengths[batch]) for batch in batches[:-2]])
    assert spread < 60, "of lengths from 10 to 500"
    assert np.abs(np.diff([mixture.lengths[batch].mean() for batch in batches])).mean() > 60, "batches are shuffled"


def test_sequential_is_the_order_of_the_files():
    assert list(EpochSampler(Mixture([source("a", 3), source("b", 2)]), "sequential", 2, 0)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("order", ["random", "group_by_length", "sequential"])
def test_an_epoch_is_filled_up_to_a_whole_round_of_all_processes(order):
    mixture = Mixture([source("a", 41)])
    alone = EpochSampler(mixture, order, 4, seed=0)
    shared = EpochSampler(mixture, order, 4, seed=0, round_size=4)
    assert list(shared) == [*alone, EMPTY, EMPTY, EMPTY]
    assert len(shared) == 44
    assert list(EpochSampler(mixture, order, 4, seed=0, round_size=41)) == list(alone)


def test_what_it_is_filled_up_with_teaches_nothing():
    record = source("a", 1).record(0)
    columns = columns_of([(0, record)], [Tokens(np.array([5, 7], np.int32), np.ones(2, bool))], 1)
    mixture = Mixture([checked_source(1.0, [Shard(columns)], 9)[0]])
    example = mixture[EMPTY]
    assert example.images == []
    assert example.tokens.ids.tolist() == [7]
    assert not example.tokens.trained.any()
