"""What to evaluate: a small YAML file in ``eval/suites/``."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from minigemini import shipped, strict_yaml
from minigemini.benchmarks.benchmark import Benchmark
from minigemini.benchmarks.names import BENCHMARKS, protocol_of

SUITES = shipped.ROOT / "eval" / "suites"
BATCH_SIZE = 16  # where no suite says another
DATA = "data/eval"  # likewise


@dataclass(frozen=True)
class Settings:
    """What a call says beside suite, model and folder.

    Attributes:
        limit: at most so many examples of every kind; of published benchmarks, the rows of so many images.
        overrides: ``key.path=value`` for fields of the suite.
        bits: load the layers of language models in 4 or 8 bits (:mod:`minigemini.checkpoints.load`).
    """

    limit: int | None = None
    overrides: Sequence[str] = ()
    bits: Literal[4, 8] | None = None


AS_THE_SUITE_SAYS = Settings()


@dataclass(frozen=True)
class Kind:
    """What is promised of one number, in its own unit, and which controls answer its rows.

    Attributes:
        floor: what the number must reach.
        blind: the same model without the pictures answers the rows of this kind, too.
        low_res_only: the part's low-res-only model answers them, too.
        must_fail: controls that must stay below the floor.
        ceilings: controls that must not exceed a number of their own.
    """

    floor: float | None = None
    blind: bool = False
    low_res_only: bool = False
    must_fail: list[str] = field(default_factory=list)
    ceilings: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.must_fail and self.floor is None:
            raise ValueError(f"must_fail ({', '.join(self.must_fail)}) needs a floor to stay below")


@dataclass(frozen=True)
class Expected:
    """Results that were published or shipped, to be compared with: no number may be lower by more than ``within``."""

    name: str
    results: str  # a results.json of a part, relative to the suite's file
    within: float

    def scores(self) -> dict[str, float]:
        """The value of each number."""
        return {one["name"]: one["value"] for one in json.loads(Path(self.results).read_text())["metrics"]}


@dataclass(frozen=True)
class Part:
    """One benchmark of a suite.

    Attributes:
        path: file, folder or ``hub:``, below the suite's data; by default what ``rows.find_source`` finds there.
        images: folder of the images, below the suite's data, where the layout does not say.
        seed, examples_per_kind: of examples that are made.
        blind: the same model without the pictures answers every row, too.
        low_res_only: the ``low_res_model`` answers every row, too.
        low_res_model: a model that was trained the same way without the high-resolution tower.
        image_generator: draws the examples that are drawings.
        expected: what to compare the numbers with.
        kinds: by the name of a number, what is promised of it. Of a benchmark whose examples are made: the kinds that are made.
    """

    path: str | None = None
    images: str | None = None
    seed: int | None = None
    examples_per_kind: int | None = None
    blind: bool = False
    low_res_only: bool = False
    low_res_model: str | None = None
    image_generator: str | None = None
    expected: Expected | None = None
    kinds: dict[str, Kind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        asked = [name for name, kind in self.kinds.items() if kind.low_res_only]
        if (asked or self.low_res_only) and self.low_res_model is None:
            raise ValueError(f"low_res_only ({', '.join(asked) or 'every row'}) needs low_res_model")

    def asks_blind(self, kind: str) -> bool:
        return self.blind or self.kinds.get(kind, Kind()).blind

    def asks_low_res(self, kind: str) -> bool:
        return self.low_res_only or self.kinds.get(kind, Kind()).low_res_only


@dataclass(frozen=True)
class Suite:
    """
    Attributes:
        parts: ``benchmark`` or ``benchmark@protocol`` -> where its data is and what is promised.
        data: folder that the paths of the parts are relative to; of a single benchmark also its file, or ``hub:``. In a suite's
            file it is relative to the file, on the command line to the working directory. None: ``data/eval`` of the latter.
    """

    parts: dict[str, Part]
    batch_size: int = BATCH_SIZE
    data: str | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size: {self.batch_size} is less than 1")
        if not self.parts:
            raise ValueError("parts: nothing to evaluate")
        named: dict[str, str] = {}
        for key in self.parts:
            full = part_name(key)
            if full in named:
                raise ValueError(f"parts: {named[full]} and {key} are the same")
            named[full] = key
        of_the_data = [key for key, part in self.parts.items() if part.path is None and not benchmark_of(key).ours]
        if Path(self.place).is_file() and len(of_the_data) > 1:
            raise ValueError(f"data: {self.place} is one file, for {len(of_the_data)} benchmarks; give the folder")

    @property
    def place(self) -> str:
        """Where the data is: ``data``, or its default."""
        return DATA if self.data is None else self.data


def benchmark_of(key: str) -> Benchmark:
    return BENCHMARKS[key.partition("@")[0]]


def part_name(key: str) -> str:
    """``benchmark@protocol`` with the benchmark's first protocol where none is named; of ours just the name. Also the folder's name.

    Raises:
        ValueError: there is no such benchmark or protocol.
    """
    benchmark, _, protocol = key.partition("@")
    name = protocol_of(benchmark, protocol or None)[0]
    return benchmark if BENCHMARKS[benchmark].ours else f"{benchmark}@{name}"


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
        return strict_yaml.from_tree({"parts": {key: {} for key in keys}}, Suite, name, overrides)
    suite = strict_yaml.load(path, Suite, overrides)
    said_by_file = suite.data is not None and not any(override.startswith("data=") for override in overrides)
    if said_by_file and not suite.place.startswith("hub:"):  # what the file says, it says of its own place
        suite = replace(suite, data=os.path.relpath(path.parent / suite.place))
    parts = {key: _place_expected(part, path, key) for key, part in suite.parts.items()}
    return replace(suite, parts=parts)


def _place_expected(part: Part, path: Path, key: str) -> Part:
    """With the expected results where they lie beside the suite's file."""
    if part.expected is None:
        return part
    results = path.parent / part.expected.results
    if not results.is_file():
        raise ValueError(f"{path}: parts.{key}.expected.results: {results} does not exist")
    return replace(part, expected=replace(part.expected, results=str(results)))
