"""The labelled set of wishes for pictures and of what only sounds like them, and its scores."""

import json
from collections import Counter

import pytest
import score_command

from minigemini.benchmarks.names.draw_decision import ITEMS, read_examples
from minigemini.benchmarks.score import score
from minigemini.benchmarks.written_prompt import has_well_formed_prompts

PROMPT = "<h>a red circle</h>"


def line(id, kind, draw, prediction, asked="draw a circle"):
    return score_command.line(id, prediction, {"answer": "draw" if draw else "answer", "asked": asked}, kind)


def values(lines):
    return {metric.name: pytest.approx(metric.value) for metric in score("draw_decision", lines).metrics}


def controls(lines):
    """Balanced accuracy of each."""
    return {name: metrics[0].value for name, metrics in score("draw_decision", lines).controls.items()}


def test_the_set():
    examples = read_examples(ITEMS)
    assert len({example.id for example in examples}) == len(examples) == 130
    assert Counter(example.reference["answer"] for example in examples) == {"draw": 60, "answer": 70}
    assert len({example.reference["asked"] for example in examples}) > 125
    assert not any(example.constrained for example in examples)
    assert not any("<GEN>" in example.reference["asked"] for example in examples)
    categories = {e.kind: {o.reference["answer"] for o in examples if o.kind == e.kind} for e in examples}
    assert all(len(labels) == 1 for labels in categories.values())
    assert min(Counter(example.kind for example in examples).values()) >= 10
    assert sum(len(example.images) > 0 for example in examples) >= 40
    assert {len(example.messages) for example in examples} == {1, 3}
    for example in examples:
        roles = [message.role for message in example.messages]
        assert roles == ["user", "assistant", "user"][-len(roles) :]
    asked = [line(n, e.kind, e.reference["answer"] == "draw", "", e.reference["asked"]) for n, e in enumerate(examples)]
    found = controls(asked)
    assert (found["always draw"], found["never draw"]) == (50, 50)
    assert found["keyword"] < 75  # else the hard negatives would not be hard


def test_scores():
    lines = [
        line(0, "wish", True, PROMPT),
        line(1, "wish", True, f"Of course! {PROMPT} Do you like it?"),
        line(2, "wish", True, "<h>a red"),  # wanted to draw, but nothing can be drawn
        line(3, "wish", True, "a red circle</h>", asked="a picture of tea"),  # nor here, and no prompt was begun
        line(4, "talk", False, "It is a circle.", asked="describe the drawing"),
        line(5, "talk", False, PROMPT, asked="draw a conclusion"),
    ]
    assert values(lines) == {
        "balanced accuracy": 100 * (3 / 4 + 1 / 2) / 2,
        "missed draws": 25,
        "false draws": 50,
        "well formed": 60,
        "wish": 75,
        "talk": 50,
    }
    assert controls(lines)["keyword"] == 100 * (3 / 4 + 1 / 2) / 2


def test_nothing_drawn_has_no_well_formed_rate():
    assert "well formed" not in values([line(0, "wish", True, "no"), line(1, "talk", False, "yes")])


@pytest.mark.parametrize(
    ("answer", "well_formed"),
    [
        (PROMPT, True),
        (f"Here: {PROMPT}, and {PROMPT}.", True),
        (f"{PROMPT} <h>", False),
        (f"{PROMPT} </h>", False),
        (f"{PROMPT} <h></h>", False),
        ("<h>a <h>red circle</h>", False),
        ("<h>---</h>", False),
        ("<h>a < b</h>", False),
        ("words", False),
    ],
)
def test_well_formed(answer, well_formed):
    assert has_well_formed_prompts(answer) == well_formed


def test_broken_items_are_named(tmp_path):
    path = tmp_path / "items.jsonl"
    good = {"id": "a", "category": "b", "draw": True, "turns": ["draw it"]}
    for bad in ({**good, "turns": ["a", "b"]}, {**good, "drawn": 1}):
        path.write_text(json.dumps(good) + "\n" + json.dumps(bad) + "\n")
        with pytest.raises(ValueError, match="items.jsonl, row 2"):
            read_examples(path)
