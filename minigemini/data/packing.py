"""Which records share a pack: a row of tokens of about one length, in which samples stand behind each other without padding.

It is planned from lengths alone, before an image is opened, by best-fit decreasing: longest first, each into the fullest pack that it
fits (Johnson 1973; about a microsecond a record). The packs of one optimizer step have about as many images each, so that no process
waits for the towers of another; about as many tokens they have by being full.
"""

import bisect
import math
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Dataset, Sampler

from minigemini.data.mixture import EMPTY, POOL, EpochSampler, Example, Mixture

Pack = tuple[int, ...]  # indices of records


class Packs(Dataset[list[Example]]):
    """The records of a mixture, read a pack at a time.

    Args:
        tokens: of a pack, at most.
    """

    def __init__(self, mixture: Mixture, tokens: int):
        self.mixture, self.tokens = mixture, tokens
        assert mixture.lengths.max() <= tokens, "max_length is not above packing"

    def __len__(self) -> int:
        return len(self.mixture)

    def __getitem__(self, pack: Pack) -> list[Example]:
        return [self.mixture[index] for index in pack]


class PackSampler(Sampler[Pack]):
    """The packs of an epoch, a function of seed and epoch alone.

    Every epoch has the same number of packs, a whole number of optimizer steps where there are records enough: what the plan of
    the first epoch needs and a little more, as another order, and another part of a source of weight 0.5, may need more. An epoch
    that needs fewer cuts packs in two.

    Args:
        processes: that read a pack each at the same time.
        accumulation: packs that each of them reads for one optimizer step.
    """

    def __init__(self, packs: Packs, processes: int, accumulation: int, seed: int):
        self.packs, self.processes, self.step, self.seed = packs, processes, processes * accumulation, seed
        self.records = EpochSampler(packs.mixture, "random", self.step, seed)
        needed = len(self._plan())
        if needed > POOL * self.step:
            needed += math.ceil(0.002 * needed)
        needed += math.ceil(4 * self._deviation() / packs.tokens)
        self.number = min(-(-needed // self.step) * self.step, len(self.records))
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.records.set_epoch(epoch)

    def make_room(self, epochs: int) -> None:
        """Plan so many epochs once, so that one that needs more packs than was thought does not stop the run in its middle."""
        for epoch in range(epochs):
            self.set_epoch(epoch)
            self.number = max(self.number, min(-(-len(self._plan()) // self.step) * self.step, len(self.records)))
        self.set_epoch(0)

    def __len__(self) -> int:
        return -(-self.number // self.processes) * self.processes

    def __iter__(self) -> Iterator[Pack]:
        packs = self._plan()
        if len(packs) > self.number:
            raise ValueError(
                f"data.packing: epoch {self.epoch} fills {len(packs)} packs, room was made for {self.number}, which the number of "
                "steps is made of; choose another trainer.seed, or a larger data.packing"
            )
        packs = cut_in_two(packs, self.number)
        packs = self._shuffled_steps(packs, np.random.default_rng((self.seed, self.epoch, 1)))
        return iter(packs + [(EMPTY,)] * (len(self) - len(packs)))

    def _plan(self) -> list[Pack]:
        """As few packs as will do. A pool of records at a time, so that who shares a pack is another in each epoch."""
        lengths, records = self.packs.mixture.lengths, np.fromiter(self.records, np.int64)
        pool_of = np.cumsum(lengths[records]) // (POOL * self.step * self.packs.tokens)
        done: list[Pack] = []
        waiting = np.empty(0, np.int64)  # in the packs that a pool opened last, and could not fill
        for number in np.unique(pool_of):
            pool = np.concatenate([waiting, records[pool_of == number]])
            packs = best_fit(pool, lengths[pool], self.packs.tokens)
            if number < pool_of[-1]:
                whole = (len(packs) - 1) // self.step * self.step
                waiting = np.array([index for pack in packs[whole:] for index in pack])
                packs = packs[:whole]
            done += packs
        return done

    def _shuffled_steps(self, packs: list[Pack], generator: np.random.Generator) -> list[Pack]:
        """Steps of packs with about as many images each, in random order. What does not fill a step goes last."""
        images, size = self.packs.mixture.images, self.step
        steps: list[list[Pack]] = []
        last: list[Pack] = []
        for start in range(0, len(packs), POOL * size):
            pool = [packs[start + number] for number in generator.permutation(len(packs[start : start + POOL * size]))]
            pool.sort(key=lambda pack: images[list(pack)].sum())
            steps += [pool[at : at + size] for at in range(0, len(pool) // size * size, size)]
            last += pool[len(pool) // size * size :]
        return [pack for number in generator.permutation(len(steps)) for pack in steps[number]] + last

    def _deviation(self) -> float:
        """Of the tokens of an epoch, from epoch to epoch: sources of a weight that is no whole number draw another part each time."""
        mixture = self.packs.mixture
        variance, start = 0.0, 0
        for size, draws in zip(mixture.sizes, self.records.draws(), strict=True):
            if rest := draws % max(size, 1):
                variance += float(mixture.lengths[start : start + size].var()) * rest * (1 - rest / size)
            start += size
        return math.sqrt(variance)


def best_fit(records: np.ndarray, lengths: np.ndarray, capacity: int) -> list[Pack]:
    """The records as packs of at most ``capacity`` tokens, in the order in which they were opened.

    Args:
        records: [n] indices, shuffled: those of one length come in this order.
        lengths: [n], in tokens.
    """
    packs: list[list[int]] = []
    spaces: list[tuple[int, int]] = []  # of every pack: tokens that are left, its number; in ascending order
    for position in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[position])
        at = bisect.bisect_left(spaces, (length, -1))
        if at == len(spaces):
            packs.append([])
            space, number = capacity, len(packs) - 1
        else:
            space, number = spaces.pop(at)
        packs[number].append(int(records[position]))
        bisect.insort(spaces, (space - length, number))
    return [tuple(pack) for pack in packs]


def cut_in_two(packs: list[Pack], number: int) -> list[Pack]:
    """``number`` packs: those of most records are cut, the halves behind the rest."""
    more = number - len(packs)
    while more > 0:
        order = sorted(range(len(packs)), key=lambda at: -len(packs[at]))
        cut = [at for at in order[:more] if len(packs[at]) > 1]
        assert cut, "there are not more packs than records"
        halves = [half for at in cut for half in (packs[at][::2], packs[at][1::2])]
        kept = set(cut)
        packs = [pack for at, pack in enumerate(packs) if at not in kept] + halves
        more = number - len(packs)
    return packs
