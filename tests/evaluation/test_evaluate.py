"""The whole of ``minigemini eval`` on a tiny random model: every control, the report, resuming, exit codes."""

import json
from pathlib import Path

import pytest
from PIL import Image

from minigemini.benchmarks.names.tabletop import Tabletop
from minigemini.evaluation.running.evaluate import evaluate

SUITE = """
batch_size: 4
tabletop:
  seed: 3
  examples_per_kind: 4
  low_res_model: {folder}/low_res
  image_generator: {folder}/generator
  kinds:
    colour: {{floor: 0.95, blind: true, low_res_only: true, must_fail: [blind, bag guess]}}
    tag: {{low_res_only: true, ceilings: {{low-res only: 0.15}}}}
    edit_1: {{floor: 0.9, must_fail: [prompt repeated]}}
    draw_or_answer: {{floor: 0.95, must_fail: [always draw, never draw]}}
    drawn_picture: {{floor: 0.85}}
"""


@pytest.fixture(scope="module")
def suite(checkpoints: Path) -> str:
    path = checkpoints / "suite.yaml"
    path.write_text(SUITE.format(folder=checkpoints))
    return str(path)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_evaluate(suite: str, checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(checkpoints / "model")
    assert evaluate(suite, model, tmp_path) == 0
    shown = capsys.readouterr().out
    assert "BELOW its floor" in shown  # random weights are no nano, and the report does not keep it to itself
    results = json.loads((tmp_path / "tabletop" / "results.json").read_text())
    rows = {row["kind"]: row for row in results["rows"]}
    assert {kind: row["n"] for kind, row in rows.items()} == dict.fromkeys(rows, 4)
    assert set(rows["colour"]["controls"]) == {"blind", "low-res only", "bag guess", "chance"}
    assert set(rows["tag"]["controls"]) == {"low-res only", "bag guess"}
    assert set(rows["edit_1"]["controls"]) == {"prompt repeated"}
    assert rows["edit_1"]["controls"]["prompt repeated"]["value"] == 0
    assert rows["draw_or_answer"]["metric"] == "balanced accuracy"
    assert rows["drawn_picture"]["controls"]["another's prompt"]["value"] == 0
    assert rows["colour"]["below_floor"]
    assert any("colour" in complaint for complaint in results["complaints"])
    assert Image.open(tmp_path / "tabletop" / "drawn" / "pictures" / "drawn_picture-3.png").size == (48, 48)

    # The table is made of the lines alone.
    lines = {
        name: [
            json.loads(line) for line in (tmp_path / "tabletop" / folder / "predictions.jsonl").read_text().splitlines()
        ]
        for name, folder in {
            "model": "model",
            "blind": "blind",
            "low-res only": "low-res-only",
            "drawn": "drawn",
        }.items()
    }
    lines["model"] += lines.pop("drawn")
    for row in Tabletop(list(rows), 4, 3).score(lines):
        assert rows[row.kind]["value"] == row.score.value
        assert {name: control["value"] for name, control in rows[row.kind]["controls"].items()} == {
            name: control.value for name, control in row.controls.items()
        }

    before = files(tmp_path)
    drawn = tmp_path / "tabletop" / "drawn" / "predictions.jsonl"
    drawn.write_text("".join(drawn.read_text().splitlines(keepends=True)[:1]))
    blind = tmp_path / "tabletop" / "blind" / "predictions.jsonl"
    blind.write_bytes(blind.read_bytes()[:-1])
    assert evaluate(suite, model, tmp_path, strict=True) == 1
    assert files(tmp_path) == before
    with pytest.raises(ValueError, match=r"model holds predictions made with other settings \(.*weights"):
        evaluate(suite, str(checkpoints / "low_res"), tmp_path)


def test_limit_and_no_controls(suite: str, checkpoints: Path, tmp_path: Path) -> None:
    overrides = ["tabletop.kinds={colour: {floor: 0.0, blind: true, low_res_only: true}}"]
    out = tmp_path / "not" / "there" / "yet"
    code = evaluate(suite, str(checkpoints / "model"), out, limit=2, controls=False, strict=True, overrides=overrides)
    assert code == 0
    (row,) = json.loads((out / "tabletop" / "results.json").read_text())["rows"]
    assert (row["n"], set(row["controls"])) == (2, {"bag guess", "chance"})
    assert not (out / "tabletop" / "blind").exists()


def test_a_suite_without_the_models_it_needs(suite: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"low_res_only \(colour, tag\) needs low_res_model"):
        evaluate(suite, "never loaded", tmp_path, overrides=["tabletop.low_res_model=null"])
    with pytest.raises(ValueError, match="drawn_picture needs image_generator"):
        evaluate(suite, "never loaded", tmp_path, overrides=["tabletop.image_generator=null"])


def test_only_drawings(suite: str, tmp_path: Path) -> None:
    assert evaluate(suite, "never loaded", tmp_path, limit=1, overrides=["tabletop.kinds={drawn_picture: {}}"]) == 0
    with pytest.raises(ValueError, match="--limit 0"):
        evaluate(suite, "never loaded", tmp_path, limit=0)
