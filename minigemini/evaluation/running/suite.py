"""What to evaluate: a small YAML file in ``eval/suites/``."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from minigemini import shipped, strict_yaml
from minigemini.benchmarks.names import BENCHMARKS, protocol_of

SUITES = shipped.ROOT / "eval" / "suites"
BATCH_SIZE = 16  # where no suite says another
DATA = "data/eval"  # likewise


@dataclass(frozen=True)
class Kind:
    """One row of the tabletop's table: what the score must reach, which models answer as controls, which controls must fail."""

    floor: float | None = None
    blind: bool = False  # the same model without the picture answers too
    low_res_only: bool = False  # the suite's low-res-only model answers too
    must_fail: list[str] = field(default_factory=list)  # controls that must stay below the floor
    ceilings: dict[str, float] = field(default_factory=dict)  # controls that must not exceed a number of their own

    def __post_init__(self) -> None:
        if self.must_fail and self.floor is None:
            raise ValueError(f"must_fail ({', '.join(self.must_fail)}) needs a floor to stay below")


@dataclass(frozen=True)
class Expected:
    """Results that were published or shipped, to be compared with: no score may be lower by more than ``within``."""

    name: str
    results: str  # a results.json, relative to the suite's file
    within: float

    def scores(self) -> dict[str, float]:
        """Score of each kind."""
        return {row["kind"]: row["value"] for row in json.loads(Path(self.results).read_text())["rows"]}


@dataclass(frozen=True)
class TabletopPart:
    """The nano's own benchmark."""

    seed: int
    examples_per_kind: int
    kinds: dict[str, Kind]
    low_res_model: str | None = None
    image_generator: str | None = None  # for kinds that are drawn
    expected: Expected | None = None

    def __post_init__(self) -> None:
        asked = [name for name, kind in self.kinds.items() if kind.low_res_only]
        if asked and self.low_res_model is None:
            raise ValueError(f"low_res_only ({', '.join(asked)}) needs low_res_model")


@dataclass(frozen=True)
class PublishedPart:
    """A benchmark that others publish numbers on.

    Attributes:
        path: file, folder or ``hub:``, below the suite's data; by default what ``evaluate_published.data_of`` finds there.
        images: folder of the images, below the suite's data, where the layout does not say.
        blind: the same model without the pictures answers too.
    """

    path: str | None = None
    images: str | None = None
    blind: bool = False


@dataclass(frozen=True)
class Suite:
    """
    Attributes:
        published: ``benchmark`` or ``benchmark@protocol`` -> where its data is.
        data: folder that the paths of ``published`` are relative to; of a single benchmark also its file, or ``hub:``. In a suite's
            file it is relative to the file, on the command line to the working directory. None: ``data/eval`` of the latter.
    """

    batch_size: int = BATCH_SIZE
    tabletop: TabletopPart | None = None
    published: dict[str, PublishedPart] = field(default_factory=dict)
    data: str | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size: {self.batch_size} is less than 1")
        if self.tabletop is None and not self.published:
            raise ValueError("nothing to evaluate: neither tabletop nor published")
        named: dict[str, str] = {}
        for key in self.published:
            full = part_name(key)
            if full in named:
                raise ValueError(f"published: {named[full]} and {key} are the same")
            named[full] = key
        of_their_own = [part for part in self.published.values() if part.path is not None]
        if Path(self.place).is_file() and len(self.published) - len(of_their_own) > 1:
            raise ValueError(f"data: {self.place} is one file, for {len(self.published)} benchmarks; give the folder")

    @property
    def place(self) -> str:
        """Where the data is: ``data``, or its default."""
        return DATA if self.data is None else self.data


def part_name(key: str) -> str:
    """``benchmark@protocol`` with the benchmark's first protocol where none is named; also the name of the folder.

    Raises:
        ValueError: there is no such benchmark or protocol.
    """
    benchmark, _, protocol = key.partition("@")
    return f"{benchmark}@{protocol_of(benchmark, protocol or None)[0]}"


def load_suite(name: str, overrides: Sequence[str] = ()) -> Suite:
    """Reads a suite: the path of a YAML file, the name of one in ``eval/suites/``, or a benchmark or several, as
    "mme,mmmu@mgm".

    Raises:
        ValueError: there is no such file, or it does not fit :class:`Suite`.
    """
    path = shipped.named(name, SUITES)
    if path is None:
        if name.partition("@")[0].partition(",")[0] not in BENCHMARKS:
            raise ValueError(
                f"{name!r} is neither a YAML file nor the name of a suite (known: {', '.join(shipped.names(SUITES))}) nor a "
                f"benchmark ({', '.join(sorted(BENCHMARKS))})"
            )
        keys = name.split(",")
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"{name}: {twice[0]} is there twice")
        return strict_yaml.from_tree({"published": {key: {} for key in keys}}, Suite, name, overrides)
    suite = strict_yaml.load(path, Suite, overrides)
    said_by_file = suite.data is not None and not any(override.startswith("data=") for override in overrides)
    if said_by_file and not suite.place.startswith("hub:"):  # what the file says, it says of its own place
        suite = replace(suite, data=os.path.relpath(path.parent / suite.place))
    tabletop = suite.tabletop
    if tabletop is not None and tabletop.expected is not None:
        results = path.parent / tabletop.expected.results
        if not results.is_file():
            raise ValueError(f"{path}: tabletop.expected.results: {results} does not exist")
        suite = replace(suite, tabletop=replace(tabletop, expected=replace(tabletop.expected, results=str(results))))
    return suite
