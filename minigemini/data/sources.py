"""The ``data:`` section of a recipe: which files, how much of each, and what to do with bad records."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass
class PartOf:
    """The data recipe that lists a source (:mod:`minigemini.data.card`), the name of the part there, and the folder of its data."""

    recipe: str
    part: str
    folder: str


@dataclass
class Source:
    """A data file, where its images are, and how often an epoch sees each record (0.5: a new half each epoch)."""

    path: str
    image_folder: str | None = None  # None: the folder of `path`
    weight: float = 1.0
    made_by: str | None = None  # the command that makes the file, for whoever does not have it
    part_of: PartOf | None = None  # set where a data recipe is named in its place, see minigemini/data/card_parts.py

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ValueError(f"weight must be positive, got {self.weight}")


@dataclass
class DataRecipe:
    """The ``data:`` section of a recipe."""

    sources: list[Source]
    max_length: int  # tokens of a sample, image tokens and template included
    validation: list[Source] = field(default_factory=list)  # files of which the loss is told during training
    on_bad_record: Literal["error", "skip"] = "error"
    packing: int | None = (
        None  # tokens of a pack, in which samples stand behind each other without padding; None: padded batches
    )
    prepared: str | None = (
        None  # folder of what is made of the files before training; None: `prepared` beside the output
    )

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("sources must name at least one data file")
        trained_on = {Path(source.path).resolve() for source in self.sources}
        for source in self.validation:
            if source.weight != 1:
                raise ValueError(f"validation: {source.path}: a weight does nothing here, every record is read once")
            if Path(source.path).resolve() in trained_on:
                raise ValueError(f"validation: {source.path} is trained on, it is among data.sources")
        if self.max_length <= 0:
            raise ValueError(f"max_length must be positive, got {self.max_length}")
        if self.packing is not None and self.packing < self.max_length:
            raise ValueError(
                f"packing = {self.packing} tokens would not hold a sample of max_length = {self.max_length}: nothing is cut"
            )


def source_names(sources: list[Source]) -> list[str]:
    """What their losses are called: the name of the file, or as much of its path as tells it from the others."""
    paths = [Path(source.path).with_suffix("").parts for source in sources]
    deepest = max(map(len, paths), default=1)
    for depth in range(1, deepest + 1):
        names = ["_".join(parts[-depth:]) for parts in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{number}_{parts[-1]}" for number, parts in enumerate(paths)]  # a file that is there twice
