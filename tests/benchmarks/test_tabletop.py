"""The scoring rules and the controls, on lines written by hand."""

import pytest
from score_command import line

from minigemini.benchmarks.names.tabletop import make_examples, what_the_oracle_sees
from minigemini.benchmarks.score import score
from minigemini.evaluation.reporting.scored import as_result
from minigemini.evaluation.running.suite import load_suite
from minigemini.tabletop.language import parse_prompt
from minigemini.tabletop.picture import render


def lines(kind, *answers, **reference):
    """(prediction, answer) pairs as prediction lines."""
    other = {"choices": [], "bag": [], "previous": ""} | reference
    return [line(f"{kind}-{n}", said, {"answer": answer, **other}, kind) for n, (said, answer) in enumerate(answers)]


def numbers(model, **others):
    runs = {name: score("tabletop", of, partial=True).metrics for name, of in others.items()}
    return {one.name: one for one in as_result(score("tabletop", model), runs=runs).numbers}


def number(kind, model, **others):
    return numbers(model, **others)[kind]


def test_exact_match_is_of_the_whole_answer():
    right = lines("colour", ("red", "red"), (" Red\n", "red"), ("top left", "top left"))
    assert number("colour", right).value == 100
    # Whoever scores by containment, by prefix or by word would let one of these pass.
    wrong = lines("colour", ("red and blue", "red"), ("re", "red"), ("red.", "red"), ("top left", "left"), ("", "red"))
    assert number("colour", wrong).value == 0
    assert number("tag", lines("tag", ("K", "K7"), ("K77", "K7"), ("7K", "K7"))).value == 0


def test_accuracy_n_and_interval():
    found = number("colour", lines("colour", *[("red", "red")] * 81, *[("blue", "red")] * (263 - 81)))
    assert (found.n, found.value) == (263, pytest.approx(8100 / 263))
    assert found.interval == pytest.approx((25.53, 36.62), abs=1e-2)  # Wilson's


def test_each_kind_is_scored_on_its_own_lines():
    both = lines("colour", ("red", "red")) + lines("count", ("2", "3"), ("3", "3"))
    found = numbers(both).values()
    assert [(one.name, one.value, one.n) for one in found] == [
        ("mean of kinds", 75, 3), ("colour", 100, 1), ("count", 50, 2)
    ]  # fmt: skip


def test_bag_guess_and_chance_are_expected_values():
    told = lines(
        "colour", ("red", "red"), bag=["red", "blue", "red", "cyan"], choices=["red", "blue", "cyan", "black", "green"]
    )
    other = {"bag": ["blue"], "choices": ["red", "blue", "cyan", "black", "green"]}
    told += lines("colour", ("red", "red"), ("red", "blue"), **other)[1:]
    controls = number("colour", told).controls
    assert controls["bag guess"].value == pytest.approx(100 * (2 / 4 + 1) / 2)
    assert controls["chance"].value == pytest.approx(20)
    assert controls["bag guess"].interval is None
    assert not number("count", lines("count", ("2", "2"))).controls


def test_other_models_become_controls_with_the_same_rule():
    found = number(
        "colour",
        lines("colour", ("red", "red"), ("blue", "blue")),
        blind=lines("colour", ("red", "red"), ("red or blue", "blue")) + lines("count", ("1", "1")),
        **{"low-res only": lines("count", ("1", "1"))},
    )
    assert (found.value, found.controls["blind"].value) == (100, 50)
    assert found.controls["blind"].interval is not None
    both = lines("colour", ("red", "red")) + lines("count", ("1", "1"))
    mean = number("mean of kinds", both, blind=lines("colour", ("red", "red")))
    assert not mean.controls  # that of fewer kinds is another number
    assert "low-res only" not in found.controls  # it did not answer this kind


def test_an_edit_that_repeats_the_prompt_before_is_the_control():
    before, after = "<h>a large red circle at the top</h>", "<h>a large blue circle at the top</h>"
    found = number("edit_1", lines("edit_1", (after, after), (before, after), previous=before))
    assert (found.value, found.controls["prompt repeated"].value) == (50, 0)


def test_well_formed_is_one_prompt_and_nothing_else():
    prompt = "<h>a large red circle at the top</h>"
    right = [prompt, f" {prompt}\n", "<h>anything with words</h>"]
    wrong = [
        f"Sure! {prompt}", prompt + prompt, prompt + ".", "<h>a large red circle", "a large red circle</h>", "", "red",
        "<h></h>", "<h> ... </h>", "<h><h>red</h>", "<h>red</h></h>", "<h>red < blue</h>",
    ]  # fmt: skip
    found = number("well_formed", lines("well_formed", *[(answer, prompt) for answer in right + wrong]))
    assert (found.n, found.value) == (15, pytest.approx(20))
    for answer in right:
        assert number("well_formed", lines("well_formed", (answer, prompt))).value == 100, answer
    free = make_examples(["well_formed"], 3, 0)
    assert not any(example.constrained for example in free)
    assert all(example.max_new_tokens >= 80 for example in free)


def test_decision_is_balanced():
    prompt = "<h>a large red circle at the top</h>"
    nine_to_one = lines("draw_or_answer", *[(prompt, "draw")] * 9, ("something <h>else</h>", "answer"))
    found = number("draw_or_answer", nine_to_one)
    assert found.value == 100  # what starts with words is an answer; which prompt or which words is not asked here
    always = number("draw_or_answer", lines("draw_or_answer", *[(" <h>x</h>", "draw")] * 9, ("<h>", "answer")))
    assert always.value == 50  # plain accuracy would say .9
    assert (found.controls["always draw"].value, found.controls["never draw"].value) == (50, 50)
    # 9 and 1 examples are worth 4 / (1/9 + 1/1) = 3.6, not 10.
    assert found.interval[0] == pytest.approx(100 * 3.6 / (3.6 + 1.96**2), abs=0.1)  # type: ignore[index]


def test_decision_of_a_smoke_run_with_one_class():
    found = number("draw_or_answer", lines("draw_or_answer", ("no", "answer"), ("<h>x</h>", "answer")))
    assert (found.value, found.n) == (50, 2)
    assert (found.controls["always draw"].value, found.controls["never draw"].value) == (0, 100)


PROMPTS = ("a large red circle at the top left, a small blue square at the center", "a small green cross at the right")


def drawn(*pairs):
    return [
        {"id": f"drawn-{n}", "kind": "drawn_picture", "reference": {"prompt": prompt}, **what_the_oracle_sees(picture)}
        for n, (picture, prompt) in enumerate(pairs)
    ]


def test_drawings_are_judged_by_what_the_oracle_saw():
    pictures = [render(parse_prompt(prompt), 48) for prompt in PROMPTS]
    found = number("drawn_picture", drawn(*zip(pictures, PROMPTS, strict=True)))
    assert found.value == 100
    assert found.controls["another's prompt"].value == 0
    assert number("drawn_picture", drawn(*zip(reversed(pictures), PROMPTS, strict=True))).value == 0
    reordered = ", ".join(reversed(PROMPTS[0].split(", ")))
    assert number("drawn_picture", drawn((pictures[0], reordered))).value == 100


def test_something_unknown_in_the_drawing_is_wrong():
    picture = render(parse_prompt(PROMPTS[1]), 48)
    picture.paste((255, 0, 255), (2, 2, 14, 8))
    one = drawn((picture, PROMPTS[1]))
    assert one[0]["unknown_cells"] == [0]
    assert number("drawn_picture", one).value == 0


def test_examples_are_complete_and_the_same_again():
    part = load_suite("tabletop").parts["tabletop"]
    assert part.seed is not None
    examples = make_examples(list(part.kinds), 3, part.seed)
    assert [e.id for e in examples] == [e.id for e in make_examples(list(part.kinds), 3, part.seed)]
    assert len({e.id for e in examples}) == 3 * len(part.kinds) == len(examples)
    assert {e.kind for e in examples if e.constrained} == {"draw_prompt", "edit_1", "edit_2", "edit_3"}
    # Whoever answers everything right scores 100 everywhere, and no guess does.
    asked = [e for e in examples if e.kind not in ("drawn_picture", "draw_or_answer")]
    right = [line(e.id, e.reference["answer"], e.reference, e.kind) for e in asked]
    for one in numbers(right).values():
        assert one.value == 100, one
        assert all(control.value < 100 for control in one.controls.values()), one
    edits = [e for e in examples if e.kind == "edit_3"]
    assert all(len(e.images) == 3 and e.reference["previous"].startswith("<h>") for e in edits)


def test_an_unknown_kind_is_an_error():
    with pytest.raises(ValueError, match="tabletop has no examples of color; it has"):
        make_examples(["color"], 2, 0)
