"""GenEval's rules on boxes drawn by hand."""

import json
from collections import Counter

import pytest
from shared import FIXTURES, needs_fixtures

from minigemini.evaluation.drawing.geneval import (
    COLOURS,
    Box,
    Detection,
    classes_of,
    coloured,
    complaints,
    counted,
    directions,
    metrics,
    read_prompts,
    verdict,
)

HERE: Box = (100, 100, 120, 120)


def found(label, score=0.95, box=HERE, colour=None):
    return Detection(label, score, box, colour)


def around(x, y, side=20):
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


SINGLE = {"tag": "single_object", "include": [{"class": "bench", "count": 1}]}
TWO = {"tag": "two_object", "include": [{"class": "bench", "count": 1}, {"class": "cow", "count": 1}]}
CLOCKS = {"tag": "counting", "include": [{"class": "clock", "count": 2}], "exclude": [{"class": "clock", "count": 3}]}
DOG_RIGHT = {
    "tag": "position",
    "include": [{"class": "cow", "count": 1}, {"class": "dog", "count": 1, "position": ["right of", 0]}],
}
ATTRIBUTES = {
    "tag": "color_attr",
    "include": [{"class": "cup", "count": 1, "color": "red"}, {"class": "apple", "count": 1, "color": "black"}],
}


def test_an_object_counts_above_the_threshold_of_its_tag():
    assert not complaints(SINGLE, [found("bench", 0.31)])
    assert complaints(SINGLE, [found("bench", 0.3)]) == ["0 of 1 bench"]
    assert complaints(SINGLE, [found("cow")])
    assert not complaints(SINGLE, [found("bench"), found("bench"), found("cow")])  # more is no mistake
    assert not complaints(CLOCKS, [found("clock", 0.91), found("clock", 0.92), found("clock", 0.9)])
    assert complaints(CLOCKS, [found("clock", 0.91), found("clock", 0.9)]) == ["1 of 2 clock"]


def test_every_class_must_be_there():
    assert not complaints(TWO, [found("cow"), found("bench")])
    assert complaints(TWO, [found("cow"), found("cow")]) == ["0 of 1 bench"]


def test_counting_excludes_one_more():
    assert not complaints(CLOCKS, [found("clock")] * 2)
    assert complaints(CLOCKS, [found("clock")] * 3) == ["3 clock, not fewer than 3"]


def test_at_most_sixteen_boxes_of_a_class_the_surest_first_and_overlapping_ones_stay():
    boxes = [found("clock", 0.91 + n / 1000) for n in range(20)] + [found("cow", 0.95)]
    kept = counted(boxes, "counting")
    assert [round(1000 * d.score) for d in kept["clock"]] == list(range(929, 913, -1))
    assert len(kept["cow"]) == 1
    many = {
        "tag": "counting",
        "include": [{"class": "clock", "count": 16}],
        "exclude": [{"class": "clock", "count": 17}],
    }
    assert not complaints(many, boxes)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (around(40, 100), {"left of"}),
        (around(160, 100), {"right of"}),
        (around(100, 40), {"above"}),
        (around(100, 160), {"below"}),
        (around(160, 160), {"right of", "below"}),
        (around(100, 100), set()),
        (around(104, 100), set()),  # 4 is the dead zone: a tenth of 20 + 20
        # Shortened by 4, but divided by the whole offset: 4 of 8 is not above one half, 5 of 9 is.
        (around(108, 100), set()),
        (around(109, 100), {"right of"}),
        # 36 of 40 by 16 of 20 off: cosines .80 and .36.
        (around(140, 120), {"right of"}),
    ],
)
def test_directions(one, expected):
    assert directions(one, around(100, 100)) == expected


def test_the_dead_zone_grows_with_the_objects():
    assert directions(around(130, 100, 20), around(100, 100, 20)) == {"right of"}
    assert directions(around(130, 100, 150), around(100, 100, 150)) == set()  # .1 * 300 = 30


def test_position_is_asked_of_the_surest_box():
    cow, right, left = around(100, 100), around(200, 100), around(20, 100)
    assert not complaints(DOG_RIGHT, [found("cow", box=cow), found("dog", box=right)])
    assert complaints(DOG_RIGHT, [found("cow", box=cow), found("dog", box=left)]) == ["dog right of cow: it is left of"]
    surer = [found("dog", 0.9, left), found("dog", 0.8, right)]
    assert complaints(DOG_RIGHT, [found("cow", box=cow), *surer])
    assert complaints(DOG_RIGHT, [found("dog", box=right)]) == [
        "0 of 1 cow",
        "dog right of cow: nothing right to be right of",
    ]


def test_what_is_wrong_itself_is_no_target():
    clauses = [{"class": "cow", "count": 1, "color": "red"}, DOG_RIGHT["include"][1]]
    row = {"tag": "position", "include": clauses}
    dog = found("dog", box=around(200, 100))
    assert not complaints(row, [found("cow", box=around(100, 100), colour="red"), dog])
    said = complaints(row, [found("cow", box=around(100, 100), colour="blue"), dog])
    assert said == ["cow is blue, not red", "dog right of cow: nothing right to be right of"]


def test_position_is_asked_of_every_pair():
    row = {
        "tag": "position",
        "include": [{"class": "cow", "count": 2}, {"class": "dog", "count": 1, "position": ["above", 0]}],
    }
    dog = found("dog", box=around(100, 20))
    cows = [found("cow", box=around(80, 100)), found("cow", box=around(120, 100))]
    assert not complaints(row, [dog, *cows])
    assert complaints(row, [dog, cows[0], found("cow", box=around(120, 22))])


def test_colour_is_asked_of_the_surest_box():
    right = [found("cup", 0.8, colour="red"), found("apple", 0.8, colour="black")]
    assert not complaints(ATTRIBUTES, right)
    assert complaints(ATTRIBUTES, [*right, found("cup", 0.9, colour="blue")]) == ["cup is blue, not red"]
    assert not complaints(ATTRIBUTES, [*right, found("cup", 0.5, colour="blue")])
    both = {"tag": "colors", "include": [{"class": "cup", "count": 2, "color": "red"}]}
    assert complaints(both, [found("cup", colour="red"), found("cup", colour="pink")]) == ["cup is red, pink, not red"]


def test_who_is_asked_for_a_colour():
    cups = [found("cup", 0.5), found("cup", 0.8), found("apple", 0.2), found("dog", 0.99)]
    assert coloured(ATTRIBUTES, cups) == [cups[1]]
    assert coloured(SINGLE, [found("bench")]) == []


def line(number, row, detections, picture=0):
    return {
        "id": f"{number:05}-{picture}",
        "kind": row["tag"],
        "detections": [vars(d) for d in detections],
        "reference": {"row": row, "number": number, "asked": "a photo"},
    }


def test_the_score_is_the_mean_over_tags_of_pictures():
    lines = [line(0, SINGLE, [found("bench")], picture) for picture in range(4)]
    lines += [line(1, SINGLE, [found("bench")] if picture == 0 else [], picture) for picture in range(4)]
    lines += [line(2, CLOCKS, [], picture) for picture in range(2)]
    verdicts = [verdict(item) for item in json.loads(json.dumps(lines))]
    found_metrics = metrics("GenEval-like[hand]", verdicts)
    values = {metric.name: metric.value for metric in found_metrics}
    # 5 of 8 single objects and 0 of 2 counts: not 5 of 10.
    assert values == {"GenEval-like[hand]": 31.25, "single_object": 62.5, "counting": 0}
    assert len(found_metrics[0].images) == 3  # the interval draws prompts
    assert [v.reading for v in verdicts[4:6]] == ["right", "0 of 1 bench"]


@needs_fixtures
def test_the_official_prompts():
    rows = read_prompts(FIXTURES / "geneval_prompts" / "evaluation_metadata.jsonl")
    assert Counter(row["tag"] for row in rows) == {
        "single_object": 80, "two_object": 99, "counting": 80, "colors": 94, "position": 100, "color_attr": 100,
    }  # fmt: skip
    names = (FIXTURES / "geneval_prompts" / "object_names.txt").read_text().split("\n")
    assert {name for row in rows for name in classes_of(row)} <= set(names)
    for row in rows:  # each can be satisfied, and an empty picture never does
        assert complaints(row, [])
        drawn = []
        for clause in row["include"]:
            offset = {"left of": (-80, 0), "right of": (80, 0), "above": (0, -80), "below": (0, 80)}
            x, y = offset[clause["position"][0]] if "position" in clause else (0, 0)
            drawn += [found(clause["class"], box=around(100 + x, 100 + y), colour=clause.get("color"))] * clause[
                "count"
            ]
        assert not complaints(row, drawn), row


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"tag": "colour"}, "tag 'colour' is none of single_object, "),
        ({"tag": "colors", "prompt": "a cup"}, "what the picture must include"),
        ({"tag": "colors", "prompt": "a cup", "include": [{"class": "cup"}]}, "class and count"),
        (
            {"tag": "colors", "prompt": "a cup", "include": [{"class": "cup", "count": 1, "color": "grey"}]},
            f"color 'grey' is none of {', '.join(COLOURS)}",
        ),
        (
            {"tag": "position", "prompt": "a cup", "include": [{"class": "cup", "count": 1, "position": ["above", 0]}]},
            "no direction from an earlier clause",
        ),
        *(
            ({"tag": "position", "prompt": "a cup", "include": [cup, cup | {"position": position}]}, problem)
            for cup in [{"class": "cup", "count": 1}]
            for position, problem in [
                (["above"], "no pair of a direction and the number of a clause"),
                ("above", "no pair"),
                (3, "no pair"),
                (None, "no pair"),
                (["above", "0"], "no direction from an earlier clause"),
                ([["above"], 0], "no direction from an earlier clause"),
            ]
        ),
    ],
)
def test_rows_that_are_no_prompts(row, problem, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps({**SINGLE, "prompt": "a bench"}) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(ValueError, match=f"prompts.jsonl, row 2: .*{problem}"):
        read_prompts(path)
