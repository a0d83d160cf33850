import json
from pathlib import Path

from rich.console import Console

from minigemini.evaluation.benchmark import Row, Score
from minigemini.evaluation.intervals import wilson
from minigemini.evaluation.report import Report, Result


def row(kind: str, value: float, **controls: float) -> Row:
    made = {name.replace("_", " "): Score(control, 300) for name, control in controls.items()}
    return Row(kind, "exact match", Score(value, 300, wilson(value, 300)), made)


GOOD = Result(row("colour", 0.97, blind=0.3, bag_guess=0.45), 0.95, ("blind", "bag guess"))


def report(*results: Result) -> Report:
    return Report("tabletop", "nano", results, {"unfinished": 3})


def test_nothing_to_complain_about() -> None:
    assert report(GOOD, Result(row("position", 0.1))).complaints() == []


def test_a_missed_floor_is_said() -> None:
    missed = Result(row("shape", 0.94), 0.95)
    far = Result(row("size", 0.5), 0.95)
    assert (GOOD.verdict(), missed.verdict(), far.verdict()) == ("ok", "BELOW (within the interval)", "BELOW")
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


def test_all_forms_hold_the_numbers(tmp_path: Path) -> None:
    made = report(GOOD, Result(row("edit_1", 0.5, prompt_repeated=0.0), 0.9, ("prompt repeated",)))
    made.write(tmp_path)
    markdown = (tmp_path / "results.md").read_text()
    assert "| colour | 300 | 0.970 | 0.944 .. 0.984 | 0.95 | ok | 0.300 | 0.450 |  |" in markdown
    assert "| edit 1 | 300 | 0.500 | 0.444 .. 0.556 | 0.90 | BELOW |  |  | prompt repeated 0.000 |" in markdown
    assert "edit_1: 0.500 is BELOW its floor" in markdown
    assert "3 answers did not end" in markdown
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored["rows"][0]["controls"]["bag guess"] == {"value": 0.45, "n": 300, "interval": None}
    assert [r["below_floor"] for r in stored["rows"]] == [False, True]
    console = Console(width=160, record=True, file=(tmp_path / "terminal").open("w"))
    made.print(console)
    shown = console.export_text()
    assert "0.944 .. 0.984" in shown
    assert "edit_1: 0.500 is BELOW its floor of 0.90" in shown
