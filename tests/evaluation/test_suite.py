import json
from pathlib import Path

import pytest

from minigemini.evaluation.running.suite import SUITES, load_suite, part_name


@pytest.mark.parametrize("path", sorted(SUITES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_suite_loads(path):
    assert load_suite(str(path)).parts


def tabletop(*overrides):
    return load_suite("tabletop", overrides).parts["tabletop"]


def test_the_promised_floors():
    kinds = tabletop().kinds
    promised = {
        "colour": 95, "shape": 95, "size": 95, "count": 90, "existence": 90, "relation": 85, "tag": 70,
        "colour_held_out": 80, "shape_held_out": 80, "size_held_out": 80,
        "draw_prompt": 98, "edit_1": 90, "edit_3": 75,
        "draw_or_answer": 95, "drawn_picture": 85,
    }  # fmt: skip
    assert {name: kind.floor for name, kind in kinds.items() if kind.floor is not None} == promised
    assert kinds["tag"].ceilings == {"low-res only": 15}
    assert (tabletop().examples_per_kind or 0) >= 300


def test_names_and_mistakes():
    assert tabletop("parts.tabletop.examples_per_kind=7").examples_per_kind == 7
    with pytest.raises(
        ValueError, match=r"'tabletopp' is neither a YAML file nor the name of a suite \(known: .*tabletop"
    ):
        load_suite("tabletopp")
    with pytest.raises(ValueError, match="needs a floor"):
        load_suite("tabletop", ["parts.tabletop.kinds.position.must_fail=[blind]"])


def test_expected_results_lie_beside_the_suite(tmp_path):
    text = (SUITES / "tabletop.yaml").read_text().replace("../expected/nano.json", "theirs.json")
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"expected.results: .*theirs.json does not exist"):
        load_suite(str(tmp_path / "mine.yaml"))
    (tmp_path / "theirs.json").write_text(json.dumps({"metrics": [{"name": "colour", "value": 50}]}))
    expected = load_suite(str(tmp_path / "mine.yaml")).parts["tabletop"].expected
    assert expected is not None
    assert expected.scores() == {"colour": 50}


def test_benchmarks_by_name_are_a_suite():
    suite = load_suite("mme,textvqa@lmms", ["batch_size=3", "data=/there", "parts.mme.blind=true"])
    assert (suite.batch_size, suite.data) == (3, "/there")
    assert list(suite.parts) == ["mme", "textvqa@lmms"]
    assert suite.parts["mme"].blind
    assert [part_name(key) for key in (*suite.parts, "tabletop")] == ["mme@llava", "textvqa@lmms", "tabletop"]
    for name, message in (
        ("mme,mme@llava", "mme and mme@llava are the same"),
        ("mme@lava", "mme has no protocol 'lava'; it has llava, lmms, vlmevalkit"),
        ("mme,mmee", "no scorer for 'mmee'"),
    ):
        with pytest.raises(ValueError, match=message):
            load_suite(name)


def test_a_suite_of_nothing(tmp_path):
    (tmp_path / "empty.yaml").write_text("batch_size: 4\nparts: {}\n")
    with pytest.raises(ValueError, match="empty.yaml: parts: nothing to evaluate"):
        load_suite(str(tmp_path / "empty.yaml"))


def test_a_file_speaks_of_its_own_place_and_the_command_line_of_yours(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("data: pictures\nparts: {gqa: {}}\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Path(load_suite("../mine.yaml").data).resolve() == tmp_path / "pictures"
    assert load_suite("../mine.yaml", ["data=pictures"]).data == "pictures"
    assert load_suite("paper").place == "data/eval"  # which says nothing of it
