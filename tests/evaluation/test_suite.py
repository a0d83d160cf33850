import json
from pathlib import Path

import pytest

from minigemini.evaluation.suite import SUITES, load_suite


@pytest.mark.parametrize("path", sorted(SUITES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_suite_loads(path: Path) -> None:
    assert load_suite(str(path)).kinds


def test_the_promised_floors() -> None:
    kinds = load_suite("tabletop").kinds
    promised = {
        "colour": 0.95, "shape": 0.95, "size": 0.95, "count": 0.90, "existence": 0.90, "relation": 0.85, "tag": 0.70,
        "colour_held_out": 0.80, "shape_held_out": 0.80, "size_held_out": 0.80,
        "draw_prompt": 0.98, "edit_1": 0.90, "edit_3": 0.75,
        "draw_or_answer": 0.95, "drawn_picture": 0.85,
    }  # fmt: skip
    assert {name: kind.floor for name, kind in kinds.items() if kind.floor is not None} == promised
    assert kinds["tag"].ceilings == {"low-res only": 0.15}
    assert load_suite("tabletop").examples_per_kind >= 300


def test_names_and_mistakes() -> None:
    assert load_suite("tabletop", ["examples_per_kind=7"]).examples_per_kind == 7
    with pytest.raises(
        ValueError, match=r"'tabletopp' is neither a YAML file nor the name of a suite \(known: .*tabletop"
    ):
        load_suite("tabletopp")
    with pytest.raises(ValueError, match="needs a floor"):
        load_suite("tabletop", ["kinds.position.must_fail=[blind]"])


def test_expected_results_lie_beside_the_suite(tmp_path: Path) -> None:
    text = (SUITES / "tabletop.yaml").read_text().replace("../expected/nano.json", "theirs.json")
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"expected.results: .*theirs.json does not exist"):
        load_suite(str(tmp_path / "mine.yaml"))
    (tmp_path / "theirs.json").write_text(json.dumps({"rows": [{"kind": "colour", "value": 0.5}]}))
    expected = load_suite(str(tmp_path / "mine.yaml")).expected
    assert expected is not None
    assert expected.scores() == {"colour": 0.5}
