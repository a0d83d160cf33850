"""The scoring rules and the controls, on lines written by hand."""

import subprocess
import sys
from typing import Any

import pytest
from PIL import Image

from minigemini.benchmarks.benchmark import Row
from minigemini.benchmarks.names.tabletop import Tabletop, what_the_oracle_sees
from minigemini.evaluation.running.suite import load_suite
from minigemini.tabletop.language import parse_prompt
from minigemini.tabletop.picture import render


def lines(kind: str, *answers: tuple[str, str], **reference: Any) -> list[dict]:
    """(prediction, answer) pairs as prediction lines."""
    other = {"choices": [], "bag": [], "previous": ""} | reference
    return [
        {"id": f"{kind}-{n}", "kind": kind, "prediction": prediction, "reference": {"answer": answer, **other}}
        for n, (prediction, answer) in enumerate(answers)
    ]


def row(kind: str, model: list[dict], **others: list[dict]) -> Row:
    return Tabletop([kind], 300, 0).score({"model": model, **others})[0]


def test_exact_match_is_of_the_whole_answer() -> None:
    right = lines("colour", ("red", "red"), (" Red\n", "red"), ("top left", "top left"))
    assert row("colour", right).score.value == 1
    # Whoever scores by containment, by prefix or by word would let one of these pass.
    wrong = lines("colour", ("red and blue", "red"), ("re", "red"), ("red.", "red"), ("top left", "left"), ("", "red"))
    assert row("colour", wrong).score.value == 0
    assert row("tag", lines("tag", ("K", "K7"), ("K77", "K7"), ("7K", "K7"))).score.value == 0


def test_accuracy_n_and_interval() -> None:
    score = row("colour", lines("colour", *[("red", "red")] * 81, *[("blue", "red")] * (263 - 81))).score
    assert (score.n, score.value) == (263, 81 / 263)
    assert score.interval == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_each_kind_is_scored_on_its_own_lines() -> None:
    both = lines("colour", ("red", "red")) + lines("count", ("2", "3"), ("3", "3"))
    rows = Tabletop(["count", "colour"], 300, 0).score({"model": both})
    assert [(r.kind, r.score.value, r.score.n) for r in rows] == [("count", 0.5, 2), ("colour", 1, 1)]


def test_bag_guess_and_chance_are_expected_values() -> None:
    told = lines(
        "colour", ("red", "red"), bag=["red", "blue", "red", "cyan"], choices=["red", "blue", "cyan", "black", "green"]
    )
    told += lines("colour", ("red", "blue"), bag=["blue"], choices=["red", "blue", "cyan", "black", "green"])
    controls = row("colour", told).controls
    assert controls["bag guess"].value == pytest.approx((2 / 4 + 1) / 2)
    assert controls["chance"].value == pytest.approx(1 / 5)
    assert controls["bag guess"].interval is None
    assert not row("count", lines("count", ("2", "2"))).controls


def test_other_models_become_controls_with_the_same_rule() -> None:
    found = row(
        "colour",
        lines("colour", ("red", "red"), ("blue", "blue")),
        blind=lines("colour", ("red", "red"), ("red or blue", "blue")) + lines("count", ("1", "1")),
        **{"low-res only": lines("count", ("1", "1"))},
    )
    assert (found.score.value, found.controls["blind"].value, found.controls["blind"].n) == (1, 0.5, 2)
    assert "low-res only" not in found.controls  # it did not answer this kind


def test_an_edit_that_repeats_the_prompt_before_is_the_control() -> None:
    before, after = "<h>a large red circle at the top</h>", "<h>a large blue circle at the top</h>"
    found = row("edit_1", lines("edit_1", (after, after), (before, after), previous=before))
    assert (found.score.value, found.controls["prompt repeated"].value) == (0.5, 0)


def test_well_formed_is_one_prompt_and_nothing_else() -> None:
    prompt = "<h>a large red circle at the top</h>"
    right = [prompt, f" {prompt}\n", "<h>anything with words</h>"]
    wrong = [
        f"Sure! {prompt}", prompt + prompt, prompt + ".", "<h>a large red circle", "a large red circle</h>", "", "red",
        "<h></h>", "<h> ... </h>", "<h><h>red</h>", "<h>red</h></h>", "<h>red < blue</h>",
    ]  # fmt: skip
    found = row("well_formed", lines("well_formed", *[(answer, prompt) for answer in right + wrong]))
    assert (found.score.n, round(found.score.value * found.score.n)) == (15, 3)
    for answer in right:
        assert row("well_formed", lines("well_formed", (answer, prompt))).score.value == 1, answer
    free = Tabletop(["well_formed"], 3, 0).examples()
    assert not any(example.constrained for example in free)
    assert all(example.max_new_tokens >= 80 for example in free)


def test_decision_is_balanced() -> None:
    prompt = "<h>a large red circle at the top</h>"
    nine_to_one = lines("draw_or_answer", *[(prompt, "draw")] * 9, ("something <h>else</h>", "answer"))
    found = row("draw_or_answer", nine_to_one)
    assert found.score.value == 1  # what starts with words is an answer; which prompt or which words is not asked here
    always = row("draw_or_answer", lines("draw_or_answer", *[(" <h>x</h>", "draw")] * 9, ("<h>", "answer")))
    assert always.score.value == 0.5  # plain accuracy would say .9
    assert (found.controls["always draw"].value, found.controls["never draw"].value) == (0.5, 0.5)
    # 9 and 1 examples are worth 4 / (1/9 + 1/1) = 3.6, not 10.
    assert found.score.interval[0] == pytest.approx(3.6 / (3.6 + 1.96**2), abs=1e-3)  # type: ignore[index]


def test_decision_of_a_smoke_run_with_one_class() -> None:
    found = row("draw_or_answer", lines("draw_or_answer", ("no", "answer"), ("<h>x</h>", "answer")))
    assert (found.score.value, found.score.n) == (0.5, 2)
    assert (found.controls["always draw"].value, found.controls["never draw"].value) == (0, 1)


PROMPTS = (
    "a large red circle at the top left, a small blue square at the center",
    "a small green cross at the right",
)


def drawn(*pairs: tuple[Image.Image, str]) -> list[dict]:
    return [
        {"id": f"drawn-{n}", "kind": "drawn_picture", "reference": {"prompt": prompt}, **what_the_oracle_sees(picture)}
        for n, (picture, prompt) in enumerate(pairs)
    ]


def test_drawings_are_judged_by_what_the_oracle_saw() -> None:
    pictures = [render(parse_prompt(prompt), 48) for prompt in PROMPTS]
    found = row("drawn_picture", drawn(*zip(pictures, PROMPTS, strict=True)))
    assert found.score.value == 1
    assert found.controls["another's prompt"].value == 0
    assert row("drawn_picture", drawn(*zip(reversed(pictures), PROMPTS, strict=True))).score.value == 0
    reordered = ", ".join(reversed(PROMPTS[0].split(", ")))
    assert row("drawn_picture", drawn((pictures[0], reordered))).score.value == 1


def test_something_unknown_in_the_drawing_is_wrong() -> None:
    picture = render(parse_prompt(PROMPTS[1]), 48)
    picture.paste((255, 0, 255), (2, 2, 14, 8))
    line = drawn((picture, PROMPTS[1]))
    assert line[0]["unknown_cells"] == [0]
    assert row("drawn_picture", line).score.value == 0


def test_examples_are_complete_and_the_same_again() -> None:
    suite = load_suite("tabletop").tabletop
    assert suite is not None
    benchmark = Tabletop(list(suite.kinds), 3, suite.seed)
    examples = benchmark.examples()
    assert [e.id for e in examples] == [e.id for e in benchmark.examples()]
    assert len({e.id for e in examples}) == 3 * len(suite.kinds) == len(examples)
    assert {e.kind for e in examples if e.constrained} == {"draw_prompt", "edit_1", "edit_2", "edit_3"}
    # Whoever answers everything right scores 1 everywhere, and no guess does.
    right = [
        {"id": e.id, "kind": e.kind, "prediction": e.reference["answer"], "reference": e.reference}
        for e in benchmark.examples()
        if e.kind not in ("drawn_picture", "draw_or_answer")
    ]
    kinds = [kind for kind in suite.kinds if kind not in ("drawn_picture", "draw_or_answer")]
    for one in Tabletop(kinds, 3, suite.seed).score({"model": right}):
        assert one.score.value == 1, one
        assert all(control.value < 1 for control in one.controls.values()), one
    edits = [e for e in examples if e.kind == "edit_3"]
    assert all(len(e.images) == 3 and e.reference["previous"].startswith("<h>") for e in edits)


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="tabletop has no examples of color; it has"):
        Tabletop(["color"], 2, 0).examples()


def test_scoring_needs_no_torch() -> None:
    code = "import sys, minigemini.benchmarks.names.tabletop, minigemini.evaluation.reporting.table; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
