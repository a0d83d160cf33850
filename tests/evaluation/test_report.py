"""What is promised of numbers, and the one writer of tables."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from minigemini.benchmarks.statistics.paired import Difference
from minigemini.benchmarks.statistics.wilson import wilson
from minigemini.evaluation.reporting.result import Control, Number, Pair, Result, parse_result
from minigemini.evaluation.reporting.table import as_markdown, print_result, write_result


def number(name, value, floor=None, **more):
    low, high = wilson(value / 100, 300)
    return Number(name, value, "%", 300, 300, (100 * low, 100 * high), floor, **more)


GOOD = number("colour", 97, 95, controls={"blind": Control(30, below=95), "bag guess": Control(45, below=95)})


def result(*numbers, **more):
    return Result("tabletop", "minigemini", "exact match", numbers, "nano", **more)


def test_nothing_to_complain_about():
    assert result(GOOD, number("position", 10)).complaints() == []


def test_a_missed_floor_is_said():
    assert [number(name, value, 95).below_floor for name, value in (("shape", 94), ("size", 95))] == [True, False]
    assert result(GOOD, number("size", 50, 95)).complaints() == [
        "size: 50.00 % is BELOW its floor of 95 (n = 300, 95 % interval 44.38 to 55.62)"
    ]


def test_a_control_that_does_not_fail_is_said():
    blind = number("count", 97, 90, controls={"blind": Control(92, below=90), "chance": Control(99)})
    assert result(blind).complaints() == ["count: the control 'blind' is at 92.00 % and must not reach 90"]
    tag = number("tag", 80, 70, controls={"low-res only": Control(16, at_most=15)})
    assert result(tag).complaints() == ["tag: the control 'low-res only' is at 16.00 % and must not exceed 15"]


def test_a_ceiling_may_be_touched_and_a_floor_may_not_be_by_a_control():
    assert not Control(15, at_most=15).too_good
    assert Control(70, below=70).too_good


def test_far_below_what_is_expected_is_said():
    numbers = number("colour", 90, expected=95, within=8), number("tag", 70, expected=79, within=8)
    made = result(*numbers, expected_of="the shipped nano")
    assert made.complaints() == ["tag: 70.00 % is more than 8 below the 79.00 % of the shipped nano"]
    assert "against the shipped nano: colour -5.00, tag -9.00" in as_markdown(made)


def test_markdown_and_terminal_hold_the_numbers(tmp_path):
    many = [number(f"kind {n}", 50) for n in range(4)]
    edit = number("edit_1", 50, 90, controls={"prompt repeated": Control(0, below=90)})
    made = result(GOOD, edit, *many, *many[:3], notes=["3 answers did not end"])
    markdown = as_markdown(made)
    assert "| colour | 97.00 % | 94.40 .. 98.41 | 300 | 95 |" in markdown
    assert "| edit_1 | 50.00 % | 44.38 .. 55.62 | 300 | 90 ! |" in markdown
    # a column needs a quarter of the numbers
    assert "other controls: colour: blind 30.00; colour: bag guess 45.00; edit_1: prompt repeated 0.00" in markdown
    assert "edit_1: 50.00 % is BELOW its floor" in markdown
    assert "3 answers did not end" in markdown
    assert "images" not in markdown  # as many as rows
    too_good = number("tag", 80, 70, controls={"blind": Control(16, at_most=15)})
    assert "| 16.00! |" in as_markdown(result(too_good))
    console = Console(width=80, record=True, file=(tmp_path / "terminal").open("w"))
    print_result(result(*[number("shape_held_out", 100, 95, controls=GOOD.controls)] * 3, edit), console)
    shown = console.export_text()
    assert "shape_held_out" in shown
    assert "98.74 .. 100.00 300" in shown  # one line at 80 columns
    assert "edit_1: 50.00 % is BELOW its floor of 90" in shown


@pytest.mark.parametrize("pairs", [1, 2])
def test_differences(pairs):
    off = Difference("tag", "%", 100, 100, 90, 40, (-60.0, -40.0), 0.0001)
    blank = Difference("tag", "%", 100, 100, 90, 89, None, 1.0)
    both = [Pair("model", "mining off", off), Pair("model", "high-res blank", blank)][:pairs]
    markdown = as_markdown(result(GOOD, differences=both))
    name = "tag: mining off - model" if pairs == 2 else "tag"
    assert f"| {name} | 90.00 | 40.00 | -50.00 | -60.00 .. -40.00 | 0.0001 | 100 | yes |" in markdown
    assert ("| 90.00 | 89.00 | -1.00 | one image | 1.0000 | 100 | no |" in markdown) == (pairs == 2)


def test_what_is_written_is_what_is_read(tmp_path):
    pair = Pair("A", "B", Difference("tag", "%", 100, 100, 90, 40, (-60.0, -40.0), 0.0001))
    made = result(
        GOOD, number("tag", 80, expected=79, within=8), differences=[pair], expected_of="x", about={"seed": 1}
    )
    write_result(tmp_path, made)
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored["metrics"][0]["controls"]["bag guess"] == {
        "value": 45,
        "interval": None,
        "below": 95,
        "at_most": None,
    }
    assert stored["differences"][0]["difference"] == -50
    again = parse_result(stored, Path())
    assert (again.numbers, again.differences, again.complaints()) == ([*made.numbers], [pair], made.complaints())
    assert again.as_json() == made.as_json()
    with pytest.raises(ValueError, match="no results of `minigemini eval`"):
        parse_result({"metrics": []}, tmp_path)
