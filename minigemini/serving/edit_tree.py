"""The pictures that were drawn in a conversation and its branches, and what came of what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from minigemini.generation.generation_record import GenerationRecord, pixel_hash
from minigemini.serving.assets import Asset
from minigemini.serving.conversation import Conversation


@dataclass(frozen=True)
class Node:
    """
    Attributes:
        prompt: as the generator read it.
        parents: keys of the pictures that this one is an edit of; those that are not in the conversation any more are left out.
    """

    picture: Asset
    record: GenerationRecord
    parents: tuple[str, ...]

    @property
    def prompt(self) -> str:
        return self.record.prompt


def edit_tree(branches: Iterable[Conversation]) -> dict[str, Node]:
    """By the key of the picture, in the order in which they were drawn. What the user showed may be a parent, and is no node."""
    drawn: dict[str, tuple[Asset, GenerationRecord]] = {}
    key_of: dict[str, str] = {}  # by pixels, as records name them
    for asset, record in (one for branch in branches for turn in branch.turns for one in turn.pictures):
        key_of.setdefault(pixel_hash(asset.open()), asset.key)
        if record is not None:
            drawn[asset.key] = asset, record
    return {
        key: Node(asset, record, tuple(key_of[pixels] for pixels in record.parents if pixels in key_of))
        for key, (asset, record) in drawn.items()
    }


@dataclass(frozen=True)
class Difference:
    """
    Attributes:
        ancestor: key of the nearest picture that both came of, which may be one of the two; None: there is none.
        settings: by the name of a record's field, such as ``prompt`` or ``seed``, what the two have where they differ.
    """

    ancestor: str | None
    settings: dict[str, tuple[Any, Any]]


def compare(tree: dict[str, Node], one: str, other: str) -> Difference:
    """Two pictures of a tree, by their keys.

    Raises:
        ValueError: one is not in it.
    """
    for key in (one, other):
        if key not in tree:
            raise ValueError(f"no picture {key!r} was drawn in this conversation")
    others = _line(tree, other)
    ancestor = next((key for key in _line(tree, one) if key in others), None)
    first, second = asdict(tree[one].record), asdict(tree[other].record)
    return Difference(ancestor, {name: (first[name], second[name]) for name in first if first[name] != second[name]})


def _line(tree: dict[str, Node], key: str) -> list[str]:
    """A picture, its parents, theirs, and so on; the nearest first."""
    line = [key]
    for one in line:  # which becomes longer meanwhile
        line += [parent for parent in (tree[one].parents if one in tree else ()) if parent not in line]
    return line
