from pathlib import Path

from rich.console import Console

from minigemini.benchmarks.benchmark import Row, Score
from minigemini.benchmarks.statistics.wilson import wilson
from minigemini.evaluation.reporting.table import Report, Result


def row(kind: str, value: float, **controls: float) -> Row:
    made = {name.replace("_", " "): Score(control, 300) for name, control in controls.items()}
    return Row(kind, "exact match", Score(value, 300, wilson(value, 300)), made)


GOOD = Result(row("colour", 0.97, blind=0.3, bag_guess=0.45), 0.95, ("blind", "bag guess"))


def report(*results: Result) -> Report:
    return Report("tabletop", "nano", results, {"unfinished": 3, "limit": None})


def test_nothing_to_complain_about() -> None:
    assert report(GOOD, Result(row("position", 0.1))).complaints() == []


def test_a_missed_floor_is_said() -> None:
    missed = Result(row("shape", 0.94), 0.95)
    far = Result(row("size", 0.5), 0.95)
    assert (GOOD.verdict(), missed.verdict(), far.verdict()) == ("ok", "BELOW", "BELOW")
    assert report(GOOD, far).complaints() == [
        "size: 0.500 is BELOW its floor of 0.95 (n = 300, 95 % interval 0.444 to 0.556)"
    ]


def test_a_control_that_does_not_fail_is_said() -> None:
    blind = Result(row("count", 0.97, blind=0.92, chance=0.99), 0.90, ("blind",))
    assert report(blind).complaints() == ["count: the control 'blind' is at 0.920 and must not reach 0.90"]
    tag = Result(row("tag", 0.8, low_res_only=0.16), 0.70, (), {"low-res only": 0.15})
    tag.row.controls["low-res only"] = tag.row.controls.pop("low res only")
    assert report(tag).complaints() == ["tag: the control 'low-res only' is at 0.160 and must not exceed 0.15"]


def test_a_ceiling_may_be_touched_and_a_floor_may_not_be_by_a_control() -> None:
    assert not report(Result(row("tag", 0.8, blind=0.15), 0.7, (), {"blind": 0.15})).complaints()
    assert report(Result(row("tag", 0.8, blind=0.7), 0.7, ("blind",))).complaints()


def test_far_below_what_is_expected_is_said() -> None:
    results = [
        Result(row("colour", 0.9), expected=0.95, within=0.08),
        Result(row("tag", 0.7), expected=0.79, within=0.08),
    ]
    made = Report("tabletop", "mine", results, {"unfinished": 0, "limit": None}, "the shipped nano")
    assert made.complaints() == ["tag: 0.700 is more than 0.08 below the 0.790 of the shipped nano"]
    assert "Against the shipped nano: colour -0.050, tag -0.090." in made.markdown()


def test_a_control_that_is_too_good_is_marked_in_the_table() -> None:
    tag = Result(row("tag", 0.8, blind=0.16), 0.70, (), {"blind": 0.15})
    assert "| .160! |" in report(tag).markdown()
    assert "| .300 |" in report(GOOD).markdown()


def test_all_forms_hold_the_numbers(tmp_path: Path) -> None:
    made = report(GOOD, Result(row("edit_1", 0.5, prompt_repeated=0.0), 0.9, ("prompt repeated",)))
    markdown = made.markdown()
    assert "| colour | 300 | .970 | .944-.984 | .95 ok | .300 | .450 |" in markdown
    assert "| edit 1 | 300 | .500 | .444-.556 | .90 BELOW |  |  |" in markdown
    assert "Other controls: edit_1: prompt repeated .000." in markdown
    assert "edit_1: 0.500 is BELOW its floor" in markdown
    assert "3 answers did not end" in markdown
    stored = made.as_json()
    assert stored["rows"][0]["controls"]["bag guess"] == {"value": 0.45, "n": 300, "interval": None}
    assert [r["below_floor"] for r in stored["rows"]] == [False, True]
    console = Console(width=80, record=True, file=(tmp_path / "terminal").open("w"))
    made.print(console)
    shown = console.export_text()
    assert ".944-.984  .95 ok" in shown
    assert "Other controls: edit_1: prompt repeated .000." in markdown
    assert "…" not in shown  # nothing is cut at 80 columns
    assert "edit_1: 0.500 is BELOW its floor of 0.90" in shown
