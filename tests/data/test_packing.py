"""Packs: full, balanced over processes, others in every epoch, every record once; and what the collator makes of them."""

from typing import Any

import numpy as np
import pytest
import tiny
import torch
from test_collator import RECORDS, examples
from test_mixture import source, with_lengths

from minigemini.data.collator import Collator, PackCollator, sample_of_trained_tokens
from minigemini.data.mixture import EMPTY, Mixture
from minigemini.data.packing import Packs, PackSampler, best_fit, cut_in_two

PROCESSES = 8


@pytest.fixture(scope="module")
def llava() -> Mixture:
    """30,000 records of lengths as in LLaVA-665K: 6 % text alone, the others a picture of 576 tokens; cut at 2,048."""
    rng = np.random.default_rng(0)
    sources = []
    for share, images, mean, deviation in ((0.06, 0, 1288, 600), (0.36, 1, 200, 150), (0.58, 1, 120, 90)):
        size = int(30_000 * share)
        made = source(str(mean), size, images=images)
        words = rng.gamma((mean / deviation) ** 2, deviation**2 / mean, size) + 20
        lengths = np.minimum(words + 575 * images, 2048).astype(np.int32)
        sources.append(with_lengths(made, lengths))
    return Mixture(sources)


def epoch(
    mixture: Mixture, number: int = 0, tokens: int = 8192, accumulation: int = 2, seed: int = 0
) -> list[tuple[int, ...]]:
    sampler = PackSampler(Packs(mixture, tokens), PROCESSES, accumulation, seed)
    sampler.set_epoch(number)
    packs = list(sampler)
    assert len(packs) == len(sampler)
    return packs


def test_packs_are_full_and_balanced_in_tokens_and_images(llava):
    packs = epoch(llava)
    assert sorted(index for pack in packs for index in pack) == list(range(len(llava)))
    assert len(packs) % (2 * PROCESSES) == 0, "whole steps"
    tokens = np.array([llava.lengths[list(pack)].sum() for pack in packs])
    images = np.array([llava.images[list(pack)].sum() for pack in packs])
    assert tokens.max() <= 8192
    assert tokens.mean() / 8192 >= 0.97
    for cost in (tokens, images):
        at_once = cost.reshape(-1, PROCESSES)
        assert at_once.max(axis=1).sum() <= 1.05 * at_once.mean(axis=1).sum()
    assert np.abs(np.diff(images.reshape(-1, 2 * PROCESSES).mean(axis=1))).mean() > 1, "steps are shuffled"


def test_packs_are_a_function_of_seed_and_epoch(llava):
    assert epoch(llava, 1) == epoch(llava, 1)
    assert epoch(llava, 1) != epoch(llava, 2)
    assert epoch(llava, 1) != epoch(llava, 1, seed=1)
    together = [
        {pair for pack in epoch(llava, number) for pair in zip(pack, pack[1:], strict=False)} for number in (1, 2)
    ]
    assert len(together[0] & together[1]) < 0.05 * len(together[0]), "other company in each epoch"


@pytest.mark.parametrize("weight", [1.0, 0.5, 2.5])
def test_every_epoch_has_as_many_packs(weight):
    """Trainer counts the steps once."""
    mixture = Mixture([source("a", 500, weight, images=1), source("b", 300)])
    packs = [epoch(mixture, number, tokens=1000) for number in range(6)]
    assert len({len(each) for each in packs}) == 1
    for each in packs:
        drawn = [index for pack in each for index in pack]
        assert EMPTY not in drawn
        assert len(drawn) == round(500 * weight) + 300
        assert len(set(drawn)) == min(500, round(500 * weight)) + 300


def test_processes_without_a_record_get_the_empty_one():
    mixture = Mixture([source("a", 11)])
    packs = epoch(mixture, tokens=500)
    assert len(packs) == 2 * PROCESSES
    assert sorted(packs)[:5] == [(EMPTY,)] * 5
    assert sorted(index for pack in packs for index in pack if index != EMPTY) == list(range(11))


def test_best_fit_and_cutting():
    assert best_fit(np.array([7, 8, 9, 4]), np.array([5, 9, 4, 1]), 10) == [(8, 4), (7, 9)]
    assert cut_in_two([(1, 2, 3), (4,), (5, 6)], 5) == [(4,), (1, 3), (2,), (5,), (6,)]


@pytest.fixture(scope="module")
def processor(tiny_parts) -> Any:
    return tiny.new_processor(tiny_parts)


def test_a_pack_is_its_samples_in_a_row(processor):
    made = examples(processor)
    pack, padded = PackCollator(processor)([made]), Collator(processor)(made)
    assert pack.keys() == padded.keys() - {"attention_mask"} | {"position_ids"}
    inside = padded["attention_mask"].bool()
    assert torch.equal(pack["input_ids"][0], padded["input_ids"][inside])
    assert torch.equal(pack["labels"][0], padded["labels"][inside])
    assert torch.equal(pack["position_ids"][0], (padded["attention_mask"].cumsum(1) - 1)[inside])
    for key in ("names", "sources"):
        assert pack[key] == padded[key]
    for key in ("pixel_values", "high_res_pixel_values"):
        assert torch.equal(pack[key], padded[key])
    trained = int((padded["labels"][:, 1:] != -100).sum())
    owner = sample_of_trained_tokens(pack, trained)
    assert torch.equal(owner, sample_of_trained_tokens(padded, trained))
    assert owner.unique().tolist() == [0, 1, 2]


def test_a_first_word_is_not_predicted_by_the_sample_before(processor):
    made = examples(processor, RECORDS[1:])
    for example in made:
        example.tokens.trained[0] = True
    labels = PackCollator(processor)([made])["labels"][0]
    assert labels[0] == labels[len(made[0].tokens.ids)] == -100


def test_a_pack_of_text_alone_has_no_pixels(processor):
    pack = PackCollator(processor)([examples(processor, RECORDS[1:2]) * 3])
    assert pack.keys() == {"names", "sources", "input_ids", "position_ids", "labels"}


def test_room_is_made_for_every_epoch_before_the_first():
    made = source("a", 200)
    lengths = np.random.default_rng(0).integers(50, 400, 200).astype(np.int32)
    mixture = Mixture([with_lengths(made, lengths)])
    sampler = PackSampler(Packs(mixture, 1000), PROCESSES, 1, seed=0)
    sampler.number = sampler.step  # as if the first epoch had needed so few
    with pytest.raises(ValueError, match="room was made for"):
        list(sampler)
    sampler.make_room(3)
    assert sampler.epoch == sampler.records.epoch == 0
    for number in range(3):
        sampler.set_epoch(number)
        assert len(list(sampler)) == len(sampler)
