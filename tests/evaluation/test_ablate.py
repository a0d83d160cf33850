"""`minigemini eval ablate` on a tiny random model."""

import json

import pytest

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.cli import main
from minigemini.evaluation.running.ablate import compare_views
from minigemini.evaluation.running.evaluate import evaluate
from minigemini.evaluation.running.suite import Settings

SUITE = "batch_size: 4\nparts:\n  tabletop:\n    seed: 3\n    examples_per_kind: 4\n    kinds: {colour: {}, tag: {}, draw_or_answer: {}}\n"


def test_every_view_is_answered_and_compared(checkpoints, tmp_path, capsys):
    (tmp_path / "suite.yaml").write_text(SUITE)
    model, out = str(checkpoints / "model"), tmp_path / "out"
    asked = [str(tmp_path / "suite.yaml"), "--model", model, "--out", str(out), "--limit", "3"]
    assert evaluate(asked[0], model, out, Settings(limit=3)) == 0
    answered = out / "tabletop" / "model" / "predictions.jsonl"
    lines = [json.loads(line) for line in answered.read_text().splitlines()]
    lines[0]["prediction"] = "as it was answered before"
    answered.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    before = answered.read_bytes()
    assert main(["eval", "ablate", *asked]) == 0
    assert answered.read_bytes() == before  # nothing is asked twice
    shown = capsys.readouterr().out
    size = MiniGeminiForConditionalGeneration.from_pretrained(model).config.high_res_vision_config.image_size
    views = ["mining off", "high-res blank", f"high-res {2 * size}", "blind"]
    stored = json.loads((out / "ablation.json").read_text())["parts"]["tabletop"]
    assert all(view in shown for view in views)
    names = ["mean of kinds", "colour", "tag", "draw_or_answer"]
    assert [one["name"] for one in stored["metrics"]] == names
    found = stored["differences"]
    assert [(one["a_is"], one["b_is"], one["name"]) for one in found] == [
        ("model", view, name) for view in views for name in names
    ]
    assert all(one["n"] == (9 if one["name"] == "mean of kinds" else 3) for one in found)
    assert all(one["interval"][0] <= one["difference"] <= one["interval"][1] for one in found)
    prompts = {
        view: [json.loads(line)["prompt"] for line in file.read_text().splitlines()]
        for view in views
        for file in (out / "tabletop" / "ablation" / view.replace(" ", "-") / "predictions.jsonl",)
    }
    assert any("<image>" in prompt for prompt in prompts["mining off"])
    assert not any("<image>" in prompt for prompt in prompts["blind"])
    assert "| tag: mining off - model |" in (out / "ablation.md").read_text()
    assert main(["eval", "ablate", *asked, "--high-res-size", str(size + 1)]) == 1
    assert f"--high-res-size = {size + 1} does not fit" in capsys.readouterr().err


def test_a_model_without_the_tower_has_nothing_to_ablate(checkpoints, tmp_path, capsys):
    (tmp_path / "suite.yaml").write_text(SUITE)
    asked = [str(tmp_path / "suite.yaml"), "--model", str(checkpoints / "low_res"), "--out", str(tmp_path / "out")]
    assert main(["eval", "ablate", *asked]) == 1
    assert "has no high-resolution tower" in capsys.readouterr().err


def test_a_difference_is_resolved_only_when_it_is():
    def lines(right):
        return [
            {"id": str(n), "kind": "tag", "prediction": "ab" if n < right else "x", "reference": {"answer": "ab"}}
            for n in range(100)
        ]

    runs = {"model": lines(90), "mining off": lines(40), "high-res blank": lines(89)}
    off, blank = (
        pair.difference
        for pair in compare_views("tabletop", "minigemini", runs).differences
        if pair.difference.name == "tag"
    )
    assert (off.a, off.b, off.resolved, blank.resolved) == (90, 40, True, False)


def test_needs_a_judge():
    line = {"id": "v1_0", "kind": "", "prediction": "a cat", "reference": {}}
    with pytest.raises(ValueError, match="mmvet@llava: needs judge"):
        compare_views("mmvet", "llava", {"model": [line], "blind": [line]})
