"""YAML to dataclasses: what fits is read exactly, what does not is named by file and key."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from minigemini import strict_yaml


@dataclass
class Source:
    path: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ValueError(f"weight must be positive, got {self.weight}")


@dataclass
class Schema:
    stage: str
    origin: str | Source | None = None
    sources: list[Source] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)
    on_bad: Literal["error", "skip"] = "error"
    size: int = 1
    flag: bool = False
    rest: dict[str, Any] = field(default_factory=dict)


def read(tmp_path, text: str, *overrides: str) -> Schema:
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    return strict_yaml.load(file, Schema, overrides)


def test_everything_that_fits(tmp_path):
    schema = read(
        tmp_path,
        "stage: align\norigin: {path: a}\nsources: [{path: b, weight: 2}]\nrates: {x: 1e-3}\n"
        "rest: {save_strategy: no, learning_rate: 2e-5, steps: 10, deep: {on: [1, 2.5]}}\n",
    )
    assert schema.origin == Source("a")
    assert schema.sources == [Source("b", 2.0)]
    assert isinstance(schema.sources[0].weight, float)
    assert schema.rates == {"x": 0.001}
    assert schema.rest == {"save_strategy": "no", "learning_rate": 2e-5, "steps": 10, "deep": {"on": [1, 2.5]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stage: a\nsorces: []", r"recipe.yaml: sorces: unknown name 'sorces' \(did you mean 'sources'\?\)"),
        ("stage: a\nsources: [{path: b, wieght: 2}]", r"recipe.yaml: sources.0.wieght: .*did you mean 'weight'"),
        ("stage: a\norigin: {pth: b}", r"recipe.yaml: origin.pth: .*did you mean 'path'"),
        ("stage: a\nsources: [{weight: 2}]", r"recipe.yaml: sources.0.path: missing"),
        ("stage: a\nsources: [{path: x, weight: -1}]", r"recipe.yaml: sources.0: weight must be positive"),
        ("size: 1", r"recipe.yaml: stage: missing"),
        ("stage: 3", r"recipe.yaml: stage: expected text, got 3"),
        ("stage: a\nsize: 1.5", r"recipe.yaml: size: expected a whole number, got 1.5"),
        ("stage: a\nsize: true", r"recipe.yaml: size: expected a whole number, got True"),
        ("stage: a\nflag: 1", r"recipe.yaml: flag: expected true or false, got 1"),
        ("stage: a\nflag: yes", r"recipe.yaml: flag: expected true or false, got 'yes'"),
        ("stage: a\nrates: {x: fast}", r"recipe.yaml: rates.x: expected a number, got 'fast'"),
        ("stage: a\non_bad: ignore", r"recipe.yaml: on_bad: 'ignore' is not one of 'error', 'skip'"),
        ("stage: a\norigin: 3", r"recipe.yaml: origin: expected text or a mapping with path, weight or null, got 3"),
        ("stage: a\nstage: b", r"recipe.yaml: not valid YAML: key 'stage' twice"),
        ("stage: [", r"recipe.yaml: not valid YAML"),
        ("- a", r"recipe.yaml: expected a mapping with stage"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml"):
        strict_yaml.load(tmp_path / "nowhere.yaml", Schema)


def test_overrides_win_over_the_file(tmp_path):
    schema = read(
        tmp_path,
        "stage: a\nsources: [{path: b}, {path: c}]",
        "stage=b",
        "sources.1.weight=3",
        "rest.output_dir=runs/x",
        "rest.learning_rate=1e-4",
        "rates.x=2",
        "origin.path=z",
        "flag=true",
    )
    assert (schema.stage, schema.flag, schema.origin) == ("b", True, Source("z"))
    assert [source.weight for source in schema.sources] == [1.0, 3.0]
    assert schema.rest == {"output_dir": "runs/x", "learning_rate": 1e-4}
    assert schema.rates == {"x": 2.0}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("siz=3", r"command line: siz: unknown name 'siz' \(did you mean 'size'"),
        ("size=big", r"command line: size: expected a whole number, got 'big'"),
        ("sources.5.weight=2", r"command line: sources.5.weight: '5' is not the position of one of 1 items"),
        ("stage.x=2", r"command line: stage.x: stage is 'a', it has no parts to set"),
        ("size", r"command line: 'size' is not of the form key.path=value"),
    ],
)
def test_a_wrong_override_is_named(tmp_path, override, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, "stage: a\nsources: [{path: b}]", override)


def test_dump_reads_back_equal(tmp_path):
    schema = read(tmp_path, "stage: '1e-3'\nrates: {x: 1e-5}\nrest: {a: 'no', b: 'true', c: null, d: '012', e: ''}")
    assert read(tmp_path, strict_yaml.dump(schema)) == schema
