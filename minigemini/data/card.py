"""``data_recipes/*.yaml``: what a mixture is made of, where each part is from, under which licence, and where its files go."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.box import HORIZONTALS
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from minigemini import shipped, strict_yaml

CARDS = shipped.ROOT / "data_recipes"
SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class CardFile:
    """
    Attributes:
        path: where it goes, below the folder of data. A folder of pictures ends in ``/``; all else holds records (a folder too, of
            tar shards or parquet files).
        holds: in a few words.
        sha256: as its publisher gives it; None: not published.
    """

    path: str
    holds: str
    sha256: str | None = None

    def __post_init__(self) -> None:
        refuse_outside("path", self.path)
        if self.sha256 is not None and not SHA256.fullmatch(self.sha256):
            raise ValueError(f"sha256: {self.sha256!r} is not 64 hexadecimal digits")


@dataclass(frozen=True)
class CardSource:
    """One part of a mixture.

    Attributes:
        origin: addresses of web pages, ``hub:`` and the id of a data set, or the command that makes it.
        records: as published; None: no exact number is.
        weight: how often an epoch sees each of its records, as in a training recipe.
        image_folder: what image paths in its records are relative to, below the folder of data; None: the folder of each file.
        filters: the rules, in their order, by which its records are to be chosen.
        dead: addresses that no longer answer, and what takes their place.
        known: what else is worth knowing.
    """

    name: str
    origin: list[str]
    licence: str
    files: list[CardFile]
    records: int | None = None
    weight: float = 1.0
    image_folder: str | None = None
    filters: list[dict[str, Any]] = field(default_factory=list)
    dead: str | None = None
    known: str | None = None

    def __post_init__(self) -> None:
        for key in ("origin", "files"):
            if not getattr(self, key):
                raise ValueError(f"{key}: {self.name} names none")
        if self.records is not None and self.records < 1:
            raise ValueError(f"records: must be positive, got {self.records}")
        if self.weight <= 0:
            raise ValueError(f"weight: must be positive, got {self.weight}")
        if self.image_folder is not None:
            refuse_outside("image_folder", self.image_folder)
        if not self.data_files and (self.weight != 1 or self.filters or self.image_folder is not None):
            raise ValueError(
                f"weight, filters, image_folder: {self.name} holds pictures alone; they go with the records"
            )

    @property
    def data_files(self) -> list[CardFile]:
        """Those that hold records."""
        return [file for file in self.files if not file.path.endswith("/")]


@dataclass(frozen=True)
class Card:
    """A data recipe.

    Attributes:
        licence: what the parts' licences mean for the whole.
        held_out: what is left to evaluation, by name.
    """

    name: str
    summary: str
    licence: str
    sources: list[CardSource]
    held_out: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("sources: there is none")
        names = [source.name for source in self.sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"sources: {', '.join(twice)} is there twice")


def load_card(name: str) -> Card:
    """A card by its name in ``data_recipes``, or by its file.

    Raises:
        FileNotFoundError: there is none; those that there are are listed.
        ValueError: it does not fit the schema; the message names file and key.
    """
    file = shipped.named(shipped.resolve(name), CARDS)
    if file is None:
        raise FileNotFoundError(
            f"{name}: no such file, and no data recipe of that name: {', '.join(shipped.names(CARDS))}"
        )
    return strict_yaml.load(file, Card)


def refuse_outside(key: str, path: str) -> None:
    """
    Raises:
        ValueError: it leads out of the folder of data.
    """
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ValueError(f"{key}: {path} leads out of the folder of data")


def missing_files(card: Card, folder: Path, parts: Iterable[str] | None = None) -> list[tuple[CardSource, CardFile]]:
    """What of a card is not below ``folder``; a folder counts as there when something is in it.

    Args:
        parts: look at these, by their names, and at those that hold pictures alone, which any of them may show; None: at all.
    """
    wanted = {source.name for source in card.sources if not source.data_files} | set(parts or ())
    return [
        (source, file)
        for source in card.sources
        for file in source.files
        if (parts is None or source.name in wanted) and not _is_there(folder / file.path)
    ]


def words_for_missing(missing: Iterable[tuple[CardSource, CardFile]], folder: Path) -> str:
    """A line a file: where it would go, what it holds, and where it is from."""
    return "\n".join(
        f"  {folder / file.path}: {file.holds} ({source.name}, from {' or '.join(source.origin)})"
        for source, file in missing
    )


def _is_there(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def print_card(card: Card, folder: Path) -> int:
    """The licences first, then every file: whether it is below ``folder``, or where it comes from. The number of missing files."""
    console = Console(highlight=False)
    console.print(f"[bold]{escape(card.name)}[/bold]: {escape(card.summary)}\nLicence: {escape(card.licence)}")
    parts = Table("part", "licence", "records", "from", box=HORIZONTALS)
    files = Table("", "file", "holds", box=HORIZONTALS)
    missing = [file for _, file in missing_files(card, folder)]
    for source in card.sources:
        records = "" if source.records is None else f"{source.records:,}"
        parts.add_row(*map(escape, (source.name, source.licence, records, "\n".join(source.origin))))
        for file in source.files:
            there = "missing" if file in missing else "there"
            files.add_row(there, escape(str(folder / file.path)), escape(file.holds))
    console.print(parts, files)
    for source in card.sources:
        for words in filter(None, (source.dead, source.known)):
            console.print(f"[bold]{escape(source.name)}[/bold]: {escape(words)}")
    return len(missing)
