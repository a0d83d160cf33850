"""Records that are nearly another one: of the same data, or of an evaluation set.

Pictures are compared by their perceptual hash (pHash of `imagehash`, 256 bits), texts by MinHash over their runs of five characters
(`datasketch`, 128 permutations), which estimates the share of runs that two texts have in common of all that either has (Broder 1997).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from minigemini.conversation import message
from minigemini.data.readers.sample import is_picture, split_name
from minigemini.data.records import Record, read_records
from minigemini.filtering.rule import NOTHING, Bounded, Corpus, CorpusRule, Measured
from minigemini.filtering.sample import Sample
from minigemini.filtering.similar import HASH_SIDE, PERMUTATIONS, SimilarRecords

RUN = 5  # characters
NEEDED = "{name} needs {package}: pip install 'minigemini[filter]'"
Of = Literal["pictures", "text", "both"]


@dataclass(frozen=True, kw_only=True)
class NearDuplicate(Bounded, CorpusRule):
    """How like a record before it, which passed this rule, a record is: 0 to 1; the first of those that are alike stays.

    Attributes:
        of: pictures: the share of bits in which their hashes agree (of several pictures the least, and in their order); text: the estimate
            above, of all that is said; both: that of the text, among records of nearly the same pictures, about which several things may be
            asked. Without pictures the text alone decides where it is both, and a record passes where it is pictures.
        same_picture: both: the share of bits from which on pictures are nearly the same.
    """

    UNIT: ClassVar[str] = "similarity"
    SEEN_FROM_THRESHOLD: ClassVar[bool] = True
    of: Of = "both"
    same_picture: float = 0.92

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.75 <= self.same_picture <= 1:
            raise ValueError("same_picture: from 0.75 to 1: with less most pictures would be compared with each other")
        if self.min is not None or self.max is None or not 0.5 <= self.max < 1:
            raise ValueError("max, from 0.5 to less than 1, is its only threshold: what is more alike is dropped")
        if self.of == "pictures" and self.max < 0.75:
            raise ValueError("max: from 0.75 on for pictures: with less most would be compared with each other")

    def fingerprint(self, sample: Sample) -> list[Any]:
        """Hashes of the pictures in hexadecimal digits, None where they are not compared; and the text's, or None."""
        hashes = None if self.of == "text" else [picture_hash(picture) for picture in sample.pictures]
        return [hashes, None if self.of == "pictures" else text_hash(sample.text)]

    def compare(self, fingerprints: Callable[[], Iterable[Any]]) -> Alike:
        return Alike(self.known())

    def known(self) -> SimilarRecords:
        assert self.max is not None
        return SimilarRecords(self.max, self.max if self.of == "pictures" else self.same_picture)


@dataclass(frozen=True, kw_only=True)
class EvaluationOverlap(NearDuplicate):
    """How like a record is to one of an evaluation set, which must not be trained on; by the pictures, if nothing else is said.

    Attributes:
        files: data files as training reads them, or folders of pictures, which are looked for at any depth.
        image_folder: what image paths in them are relative to; None: the folder of each.
    """

    files: list[str]
    image_folder: str | None = None
    of: Of = "pictures"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.files:
            raise ValueError("files: there is none")
        for file in self.files:
            if not Path(file).exists():
                raise ValueError(f"files: {file}: no such file")

    def compare(self, fingerprints: Callable[[], Iterable[Any]]) -> Alike:
        """
        Raises:
            ValueError: an evaluation set cannot be read, or one of its pictures cannot.
        """
        alike = Alike(self.known(), of_evaluation=True)
        for file in self.files:
            for name, sample in evaluation_samples(file, self.image_folder):
                if self.of != "pictures" and not sample.text:
                    raise ValueError(f"{file}: a folder of pictures, with no text to compare; say of: pictures")
                alike.add(self.fingerprint(sample), name)
        if not len(alike.known):
            raise ValueError(f"{', '.join(self.files)}: nothing in them to compare with")
        return alike


class Alike(Corpus):
    """
    Args:
        known: to compare with.
        of_evaluation: what is known does not grow, and each picture of a record is compared by itself.
    """

    def __init__(self, known: SimilarRecords, of_evaluation: bool = False) -> None:
        self.known = known
        self.of_evaluation = of_evaluation

    def measure(self, fingerprint: Any) -> Measured:
        if not any(fingerprint):
            return NOTHING
        similarity, name = max(map(self.known.most_alike, self._compared(fingerprint)))
        return Measured(similarity, f"like {name}" if name else "")

    def keep(self, fingerprint: Any, name: str) -> None:
        if not self.of_evaluation:
            self.add(fingerprint, name)

    def add(self, fingerprint: Any, name: str) -> None:
        if any(fingerprint):
            for one in self._compared(fingerprint):
                self.known.add(one, name)

    def _compared(self, fingerprint: Any) -> list[Any]:
        hashes, text = fingerprint
        return [[[one], text] for one in hashes] if hashes and self.of_evaluation else [fingerprint]


def evaluation_samples(file: str, image_folder: str | None) -> Iterator[tuple[str, Sample]]:
    path = Path(file)
    pictures = [one for one in sorted(path.rglob("*")) if is_picture(split_name(one.name)[1])] if path.is_dir() else []
    if pictures:
        for picture in pictures:
            yield str(picture), Sample(Record(str(picture), (message("user", "", [str(picture)]),)))
        return
    for record in read_records(path, image_folder):
        if not isinstance(record, Record):
            raise ValueError(f"{record}: an evaluation set with records that cannot be read would let all of them pass")
        yield record.name, Sample(record)


def picture_hash(picture: Any) -> str:
    try:
        import imagehash
    except ModuleNotFoundError:
        raise ValueError(NEEDED.format(name="comparing pictures", package="imagehash")) from None
    bits = imagehash.phash(picture, HASH_SIDE).hash
    return np.packbits(bits.reshape(-1)).tobytes().hex()


def text_hash(text: str) -> str:
    """[PERMUTATIONS] uint32 in base64."""
    try:
        from datasketch import MinHash
    except ModuleNotFoundError:
        raise ValueError(NEEDED.format(name="comparing texts", package="datasketch")) from None
    plain = " ".join(text.casefold().split())
    runs = {plain[start : start + RUN].encode() for start in range(max(1, len(plain) - RUN + 1))}
    sketch = MinHash(PERMUTATIONS, scheme="affine32")
    sketch.update_batch(sorted(runs))
    return base64.b64encode(sketch.hashvalues.astype("<u4").tobytes()).decode()
