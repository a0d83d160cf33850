"""The whole of ``minigemini eval`` on a tiny random model: every control, the report, resuming, exit codes."""

import json

import pytest
from PIL import Image

from minigemini.benchmarks.score import score
from minigemini.evaluation.reporting.result import parse_result
from minigemini.evaluation.reporting.scored import as_result
from minigemini.evaluation.running.evaluate import evaluate
from minigemini.evaluation.running.suite import Settings

SUITE = """
batch_size: 4
parts:
  tabletop:
    seed: 3
    examples_per_kind: 4
    low_res_model: {folder}/low_res
    image_generator: {folder}/generator
    kinds:
      colour: {{floor: 95, blind: true, low_res_only: true, must_fail: [blind, bag guess]}}
      tag: {{low_res_only: true, ceilings: {{low-res only: 15}}}}
      edit_1: {{floor: 90, must_fail: [prompt repeated]}}
      draw_or_answer: {{floor: 95, must_fail: [always draw, never draw]}}
      drawn_picture: {{floor: 85}}
"""


@pytest.fixture(scope="module")
def suite(checkpoints):
    path = checkpoints / "suite.yaml"
    path.write_text(SUITE.format(folder=checkpoints))
    return str(path)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_evaluate(suite, checkpoints, tmp_path, capsys):
    model = str(checkpoints / "model")
    assert evaluate(suite, model, tmp_path) == 0
    shown = capsys.readouterr().out
    assert "BELOW its floor" in shown  # random weights are no nano, and the report does not keep it to itself
    results = json.loads((tmp_path / "tabletop" / "results.json").read_text())
    assert json.loads(json.dumps(parse_result(results, tmp_path).as_json())) == results
    mean, *of_kinds = results["metrics"]
    assert (mean["name"], mean["n"]) == ("mean of kinds", 20)
    rows = {row["name"]: row for row in of_kinds}
    assert {kind: row["n"] for kind, row in rows.items()} == dict.fromkeys(rows, 4)
    assert set(rows["colour"]["controls"]) == {"blind", "low-res only", "bag guess", "chance"}
    assert set(rows["tag"]["controls"]) == {"low-res only", "bag guess"}
    assert set(rows["edit_1"]["controls"]) == {"prompt repeated"}
    assert rows["edit_1"]["controls"]["prompt repeated"]["value"] == 0
    assert rows["drawn_picture"]["controls"]["another's prompt"]["value"] == 0
    assert rows["colour"]["controls"]["blind"]["below"] == 95
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
    runs = {name: score("tabletop", of, partial=True).metrics for name, of in lines.items() if name != "model"}
    for one in as_result(score("tabletop", lines["model"]), runs=runs).numbers:
        row = rows.get(one.name, mean)
        assert row["value"] == one.value
        assert {name: control["value"] for name, control in row["controls"].items()} == {
            name: control.value for name, control in one.controls.items()
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


def test_limit_and_no_controls(suite, checkpoints, tmp_path):
    overrides = ["parts.tabletop.kinds={colour: {floor: 0, blind: true, low_res_only: true}}"]
    out = tmp_path / "not" / "there" / "yet"
    code = evaluate(
        suite, str(checkpoints / "model"), out, Settings(limit=2, overrides=overrides), controls=False, strict=True
    )
    assert code == 0
    _, row = json.loads((out / "tabletop" / "results.json").read_text())["metrics"]
    assert (row["n"], set(row["controls"])) == (2, {"bag guess", "chance"})
    assert not (out / "tabletop" / "blind").exists()


def test_a_suite_that_does_not_fit_together(suite, checkpoints, tmp_path):
    for override, message in (
        ("low_res_model=null", r"low_res_only \(colour, tag\) needs low_res_model"),
        ("image_generator=null", "drawn_picture needs image_generator"),
        ("seed=null", "seed, examples_per_kind and kinds are needed"),
        ("path=there.jsonl", "path and images would not be read"),
        ("kinds.tag.ceilings={blnd: 3}", "kinds.tag: there is no control 'blnd'; there are always draw, "),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(suite, str(checkpoints / "model"), tmp_path, Settings(overrides=[f"parts.tabletop.{override}"]))


def test_a_model_that_is_not_there_is_said_before_the_questions_are_read(suite, tmp_path):
    with pytest.raises(ValueError, match="there is no such folder"):
        evaluate(suite, "no model", tmp_path, Settings(overrides=["parts.tabletop.seed=null"]))


def test_only_drawings(suite, checkpoints, tmp_path):
    model = str(checkpoints / "model")
    assert (
        evaluate(suite, model, tmp_path, Settings(limit=1, overrides=["parts.tabletop.kinds={drawn_picture: {}}"])) == 0
    )
    assert not (tmp_path / "tabletop" / "model").exists()
    with pytest.raises(ValueError, match="--limit 0"):
        evaluate(suite, model, tmp_path, Settings(limit=0))


def test_floors_and_controls_of_any_part(checkpoints, tmp_path):
    """The same fields, of a benchmark whose examples are read."""
    model, promised = str(checkpoints / "model"), "{balanced accuracy: {floor: 99, must_fail: [keyword]}}"
    overrides = ["batch_size=8", f"parts.draw_decision.kinds={promised}"]
    assert evaluate("draw_decision", model, tmp_path, Settings(limit=1, overrides=overrides), strict=True) == 1
    result = json.loads((tmp_path / "draw_decision" / "results.json").read_text())
    assert (result["metrics"][0]["name"], result["metrics"][0]["floor"]) == ("balanced accuracy", 99)
    assert result["metrics"][0]["controls"]["keyword"]["below"] == 99
    assert any("balanced accuracy" in complaint for complaint in result["complaints"])
    for kinds, message in (
        ("{balanced: {floor: 9}}", "there is no number 'balanced'; there are balanced accuracy, "),
        ("{balanced accuracy: {blind: true}}", "no row is of this kind"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate("draw_decision", model, tmp_path, Settings(overrides=[f"parts.draw_decision.kinds={kinds}"]))
