"""Which of the known records is most like a new one, without comparing it with each of them."""

import base64
from collections import defaultdict
from typing import Any

import numpy as np

HASH_SIDE = 16  # of the square of bits that pHash makes of a picture
HASH_BITS = HASH_SIDE**2
PERMUTATIONS = 128
NEAR_MISSES = 0.1  # so much less alike is still come upon most of the time, and MinHash's error is within it


class SimilarRecords:
    """Grows with what it knows: 1.5 KB a record with a picture, 5 KB one of text alone (measured at 60,000).

    Pictures: two hashes that differ in no more than r of their bits agree in one at least of r + 1 pieces, so only those that share a piece
    are compared, and none is missed. Texts: by `datasketch`'s MinHashLSH, by which a few that are just alike enough are.

    Args:
        of_texts, of_pictures: similarities that are asked for, 0 to 1. What is less alike is told as 0, or as what it is, if it was
            come upon.
    """

    def __init__(self, of_texts: float, of_pictures: float) -> None:
        from datasketch import MinHashLSH

        self.radius = int((1 - of_pictures) * HASH_BITS + 1e-9)
        edges = np.linspace(0, HASH_BITS, self.radius + 2).round().astype(int).tolist()
        self.pieces = list(zip(edges[:-1], edges[1:], strict=True))
        self.by_piece: list[defaultdict[int, list[int]]] = [defaultdict(list) for _ in self.pieces]
        self.by_text = MinHashLSH(threshold=of_texts - NEAR_MISSES, num_perm=PERMUTATIONS)
        self.names: list[str] = []
        self.hashes: list[list[int]] = []
        self.texts: list[np.ndarray | None] = []

    def __len__(self) -> int:
        return len(self.names)

    def add(self, fingerprint: Any, name: str) -> None:
        hashes, text = unpacked(fingerprint)
        number = len(self.names)
        self.names.append(name)
        self.hashes.append(hashes)
        self.texts.append(text)
        if hashes:
            for (start, end), known in zip(self.pieces, self.by_piece, strict=True):
                known[piece_of(hashes[0], start, end)].append(number)
        elif text is not None:
            self.by_text.insert(number, as_minhash(text))

    def most_alike(self, fingerprint: Any) -> tuple[float, str]:
        """Similarity and name of the most similar; 0 and no name where nothing like it was come upon.

        Of texts, where there are any; pictures beside them must then be nearly the same.
        """
        hashes, text = unpacked(fingerprint)
        if hashes:
            found = {
                number
                for (start, end), known in zip(self.pieces, self.by_piece, strict=True)
                for number in known.get(piece_of(hashes[0], start, end), ())
            }
        else:
            assert text is not None, "there is nothing to compare"
            found = set(self.by_text.query(as_minhash(text)))
        best, name = 0.0, ""
        for number in sorted(found):
            similarity = self.similarity(number, hashes, text)
            if similarity > best:
                best, name = similarity, self.names[number]
        return best, name

    def similarity(self, number: int, hashes: list[int], text: np.ndarray | None) -> float:
        known, known_text = self.hashes[number], self.texts[number]
        if len(known) != len(hashes):
            return 0.0
        differing = max(((one ^ other).bit_count() for one, other in zip(hashes, known, strict=True)), default=0)
        if text is None or known_text is None:
            return 1 - differing / HASH_BITS
        return float((text == known_text).mean()) if differing <= self.radius else 0.0


def unpacked(fingerprint: Any) -> tuple[list[int], np.ndarray | None]:
    hashes, text = fingerprint
    found = None if text is None else np.frombuffer(base64.b64decode(text), "<u4")
    return [int(one, 16) for one in hashes or []], found


def piece_of(bits: int, start: int, end: int) -> int:
    return (bits >> start) & ((1 << (end - start)) - 1)


def as_minhash(text: np.ndarray) -> Any:
    from datasketch import MinHash

    return MinHash(PERMUTATIONS, hashvalues=text, scheme="affine32")
