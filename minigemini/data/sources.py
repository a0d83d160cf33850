"""The ``data:`` section of a recipe: which files, how much of each, and what to do with bad records."""

from dataclasses import dataclass
from typing import Literal


@dataclass
class Source:
    """A data file, where its images are, and how often an epoch sees each record (0.5: a new half each epoch)."""

    path: str
    image_folder: str | None = None  # None: the folder of `path`
    weight: float = 1.0
    made_by: str | None = None  # the command that makes the file, for whoever does not have it

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ValueError(f"weight must be positive, got {self.weight}")


@dataclass
class DataRecipe:
    """The ``data:`` section of a recipe."""

    sources: list[Source]
    max_length: int  # tokens of a sample, image tokens and template included
    on_bad_record: Literal["error", "skip"] = "error"
    packing: int | None = (
        None  # tokens of a pack, in which samples stand behind each other without padding; None: padded batches
    )

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("sources must name at least one data file")
        if self.max_length <= 0:
            raise ValueError(f"max_length must be positive, got {self.max_length}")
        if self.packing is not None and self.packing < self.max_length:
            raise ValueError(
                f"packing = {self.packing} tokens would not hold a sample of max_length = {self.max_length}: nothing is cut"
            )
