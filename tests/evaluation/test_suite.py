import json
from pathlib import Path

import pytest

from minigemini.evaluation.running.suite import SUITES, TabletopPart, load_suite, part_name


@pytest.mark.parametrize("path", sorted(SUITES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_suite_loads(path: Path) -> None:
    suite = load_suite(str(path))
    assert suite.published or (suite.tabletop is not None and suite.tabletop.kinds)


def tabletop(*overrides: str) -> TabletopPart:
    part = load_suite("tabletop", overrides).tabletop
    assert part is not None
    return part


def test_the_promised_floors() -> None:
    kinds = tabletop().kinds
    promised = {
        "colour": 0.95, "shape": 0.95, "size": 0.95, "count": 0.90, "existence": 0.90, "relation": 0.85, "tag": 0.70,
        "colour_held_out": 0.80, "shape_held_out": 0.80, "size_held_out": 0.80,
        "draw_prompt": 0.98, "edit_1": 0.90, "edit_3": 0.75,
        "draw_or_answer": 0.95, "drawn_picture": 0.85,
    }  # fmt: skip
    assert {name: kind.floor for name, kind in kinds.items() if kind.floor is not None} == promised
    assert kinds["tag"].ceilings == {"low-res only": 0.15}
    assert tabletop().examples_per_kind >= 300


def test_names_and_mistakes() -> None:
    assert tabletop("tabletop.examples_per_kind=7").examples_per_kind == 7
    with pytest.raises(
        ValueError, match=r"'tabletopp' is neither a YAML file nor the name of a suite \(known: .*tabletop"
    ):
        load_suite("tabletopp")
    with pytest.raises(ValueError, match="needs a floor"):
        load_suite("tabletop", ["tabletop.kinds.position.must_fail=[blind]"])


def test_expected_results_lie_beside_the_suite(tmp_path: Path) -> None:
    text = (SUITES / "tabletop.yaml").read_text().replace("../expected/nano.json", "theirs.json")
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"expected.results: .*theirs.json does not exist"):
        load_suite(str(tmp_path / "mine.yaml"))
    (tmp_path / "theirs.json").write_text(json.dumps({"rows": [{"kind": "colour", "value": 0.5}]}))
    part = load_suite(str(tmp_path / "mine.yaml")).tabletop
    assert part is not None
    expected = part.expected
    assert expected is not None
    assert expected.scores() == {"colour": 0.5}


def test_benchmarks_by_name_are_a_suite() -> None:
    suite = load_suite("mme,textvqa@lmms", ["batch_size=3", "data=/there", "published.mme.blind=true"])
    assert (suite.batch_size, suite.data, suite.tabletop) == (3, "/there", None)
    assert list(suite.published) == ["mme", "textvqa@lmms"]
    assert suite.published["mme"].blind
    assert [part_name(key) for key in suite.published] == ["mme@llava", "textvqa@lmms"]
    for name, message in (
        ("mme,mme@llava", "mme and mme@llava are the same"),
        ("mme@lava", "mme has no protocol 'lava'; it has llava, lmms, vlmevalkit"),
        ("mme,mmee", "no scorer for 'mmee'"),
    ):
        with pytest.raises(ValueError, match=message):
            load_suite(name)


def test_a_suite_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("batch_size: 4\n")
    with pytest.raises(ValueError, match="empty.yaml: nothing to evaluate"):
        load_suite(str(tmp_path / "empty.yaml"))


def test_a_file_speaks_of_its_own_place_and_the_command_line_of_yours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text("data: pictures\npublished: {gqa: {}}\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Path(load_suite("../mine.yaml").data).resolve() == tmp_path / "pictures"
    assert load_suite("../mine.yaml", ["data=pictures"]).data == "pictures"
    assert load_suite("paper").place == "data/eval"  # which says nothing of it
