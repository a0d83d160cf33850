"""What to evaluate: a small YAML file in ``eval/suites/``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from minigemini import strict_yaml

# Suites are choices, not code: they lie beside the package in the repository, and are not installed with it.
SUITES = Path(__file__).parents[2] / "eval" / "suites"


@dataclass(frozen=True)
class Kind:
    """One row of the table: what the score must reach, which models answer as controls, which controls must fail."""

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
class Suite:
    benchmark: Literal["tabletop"]
    seed: int
    examples_per_kind: int
    batch_size: int
    kinds: dict[str, Kind]
    low_res_model: str | None = None
    image_generator: str | None = None  # for kinds that are drawn
    expected: Expected | None = None

    def __post_init__(self) -> None:
        asked = [name for name, kind in self.kinds.items() if kind.low_res_only]
        if asked and self.low_res_model is None:
            raise ValueError(f"low_res_only ({', '.join(asked)}) needs low_res_model")


def load_suite(name: str, overrides: Sequence[str] = ()) -> Suite:
    """Reads a suite: the path of a YAML file, or the name of one in ``eval/suites/``.

    Raises:
        ValueError: there is no such file, or it does not fit :class:`Suite`.
    """
    path = Path(name)
    if not path.is_file():
        path = SUITES / f"{name}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in SUITES.glob("*.yaml"))) or f"none; {SUITES} is empty or not there"
            raise ValueError(f"{name!r} is neither a YAML file nor the name of a suite (known: {known})")
    suite = strict_yaml.load(path, Suite, overrides)
    if suite.expected is not None:
        results = path.parent / suite.expected.results
        if not results.is_file():
            raise ValueError(f"{path}: expected.results: {results} does not exist")
        suite = replace(suite, expected=replace(suite.expected, results=str(results)))
    return suite
