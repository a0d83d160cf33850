"""``{recipe: data_recipes/tabletop.yaml}`` among ``data.sources`` of a training recipe -> a source for each file of records that the
data recipe lists.

It is done in the tree of the YAML, before the schema is asked: what training sees, writes to ``recipe.yaml`` and compares when a run goes
on are plain sources.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minigemini.data.card import Card, load_card
from minigemini.data.sources import PartOf, Source
from minigemini.strict_yaml import Where, convert, unknown_name


@dataclass
class CardParts:
    """What stands in a training recipe.

    Attributes:
        recipe: a data recipe, by its name or file.
        folder: below which its files lie.
        parts: the names of those that are taken; None: all that hold records.
        weight: multiplies the weight of each part.
    """

    recipe: str
    folder: str = "data"
    parts: list[str] | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ValueError(f"weight must be positive, got {self.weight}")


def sources_of(card: Card, taken: CardParts) -> list[Source]:
    """
    Raises:
        ValueError: a part that the card does not have, or one without records.
    """
    known = {part.name: part for part in card.sources}
    for name in taken.parts or ():
        if name not in known:
            raise ValueError(f"{taken.recipe}: parts: {unknown_name(name, known)}")
        if not known[name].data_files:
            raise ValueError(f"{taken.recipe}: parts: {name} holds pictures alone, and no records")
    found = []
    for part in card.sources:
        if taken.parts is not None and part.name not in taken.parts:
            continue
        images = None if part.image_folder is None else str(Path(taken.folder) / part.image_folder)
        for file in part.data_files:
            place = PartOf(taken.recipe, part.name, taken.folder)
            path = str(Path(taken.folder) / file.path)
            found.append(Source(path, images, part.weight * taken.weight, part_of=place))
    if not found:
        raise ValueError(f"{taken.recipe}: none of its parts holds records")
    return found


def put_parts_in_place(tree: Any, where: Where) -> None:
    """Change the tree of a training recipe: wherever a source says ``recipe``, its parts stand instead.

    Raises:
        FileNotFoundError, ValueError: there is no such data recipe, or it does not fit; the message begins with file and key.
    """
    data = tree.get("data") if isinstance(tree, dict) else None
    if not isinstance(data, dict):
        return
    for key in ("sources", "validation"):
        if isinstance(data.get(key), list):
            places = [where.at("data").at(key).at(str(number)) for number in range(len(data[key]))]
            data[key] = [
                one for given, place in zip(data[key], places, strict=True) for one in _in_place_of(given, place)
            ]


def _in_place_of(given: Any, where: Where) -> list[Any]:
    if not isinstance(given, dict) or "recipe" not in given:
        return [given]
    taken = convert(given, CardParts, where)
    try:
        card = load_card(taken.recipe)
        refuse_filters(card, taken)
        return [asdict(source) for source in sources_of(card, taken)]
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"{where}: {error}") from error


def refuse_filters(card: Card, taken: CardParts) -> None:
    """
    Raises:
        ValueError: a part is to be filtered, which training does not do.
    """
    for part in card.sources:
        if part.filters and (taken.parts is None or part.name in taken.parts):
            raise ValueError(
                f"{taken.recipe}: {part.name} has filters, which training does not apply: train on what they have kept"
            )
