"""The labelled set of wishes for pictures and of what only sounds like them, and its scores."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from minigemini.benchmarks.names.draw_decision import DrawDecision
from minigemini.benchmarks.written_prompt import has_well_formed_prompts

PROMPT = "<h>a red circle</h>"


def line(id: int, kind: str, draw: bool, prediction: str, asked: str = "draw a circle") -> dict[str, Any]:
    return {"id": str(id), "kind": kind, "prediction": prediction, "reference": {"draw": draw, "asked": asked}}


def values(lines: list[dict[str, Any]]) -> dict[str, float]:
    return {row.kind: row.score.value for row in DrawDecision().score({"model": lines})}


def test_the_set() -> None:
    examples = DrawDecision().examples()
    assert len({example.id for example in examples}) == len(examples) == 130
    assert Counter(example.reference["draw"] for example in examples) == {True: 60, False: 70}
    assert len({example.reference["asked"] for example in examples}) > 125
    assert not any(example.constrained for example in examples)
    assert not any("<GEN>" in example.reference["asked"] for example in examples)
    categories = {e.kind: {o.reference["draw"] for o in examples if o.kind == e.kind} for e in examples}
    assert all(len(labels) == 1 for labels in categories.values())
    assert min(Counter(example.kind for example in examples).values()) >= 10
    assert sum(len(example.images) > 0 for example in examples) >= 40
    assert {len(example.messages) for example in examples} == {1, 3}
    for example in examples:
        roles = [message.role for message in example.messages]
        assert roles == ["user", "assistant", "user"][-len(roles) :]
    control = (
        DrawDecision()
        .score(
            {"model": [line(n, e.kind, e.reference["draw"], "", e.reference["asked"]) for n, e in enumerate(examples)]}
        )[0]
        .controls
    )
    assert (control["always draw"].value, control["never draw"].value) == (0.5, 0.5)
    assert control["keyword"].value < 0.75  # else the hard negatives would not be hard


def test_scores() -> None:
    lines = [
        line(0, "wish", True, PROMPT),
        line(1, "wish", True, f"Of course! {PROMPT} Do you like it?"),
        line(2, "wish", True, "<h>a red"),  # wanted to draw, but nothing can be drawn
        line(3, "wish", True, "a red circle</h>", asked="a picture of tea"),  # nor here, and no prompt was begun
        line(4, "talk", False, "It is a circle.", asked="describe the drawing"),
        line(5, "talk", False, PROMPT, asked="draw a conclusion"),
    ]
    found = values(lines)
    assert found == {
        "draw_decision": (3 / 4 + 1 / 2) / 2,
        "missed draws": 1 / 4,
        "false draws": 1 / 2,
        "well formed": 3 / 5,
        "wish": 3 / 4,
        "talk": 1 / 2,
    }
    assert DrawDecision().score({"model": lines})[0].controls["keyword"].value == (3 / 4 + 1 / 2) / 2


def test_nothing_drawn_has_no_well_formed_rate() -> None:
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
def test_well_formed(answer: str, well_formed: bool) -> None:
    assert has_well_formed_prompts(answer) == well_formed


def test_broken_items_are_named(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    good = {"id": "a", "category": "b", "draw": True, "turns": ["draw it"]}
    for bad in ({**good, "turns": ["a", "b"]}, {**good, "drawn": 1}):
        path.write_text(json.dumps(good) + "\n" + json.dumps(bad) + "\n")
        with pytest.raises(ValueError, match="items.jsonl, row 2"):
            DrawDecision(path).examples()
