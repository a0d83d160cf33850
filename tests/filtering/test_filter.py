"""`minigemini data filter`: what is kept, what is dropped and why, and that it goes on after being killed."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from filtering_data import captioned, lines, noise, rules_file
from PIL import Image

from minigemini import shipped
from minigemini.cli import main
from minigemini.data.card import CARDS, load_card
from minigemini.data.records import Record, read_records
from minigemini.filtering import measure
from minigemini.filtering.rules import load_rules

THREE = [
    {"rule": "unreadable"},
    {"rule": "length", "min": 3, "max": 50},
    {"rule": "resolution", "min": 32},
]


def write_data(folder: Path) -> Path:
    """Ten records: 3 is short, 5 small, 6 short and small, 7 a torn file, 8 no record."""
    records = [captioned(folder, number, f"number {number} of ten pictures") for number in range(10)]
    records[3] = captioned(folder, 3, "a picture")
    records[5] = captioned(folder, 5, "this one is quite small", size=(40, 20))
    records[6] = captioned(folder, 6, "small", size=(20, 20))
    torn = folder / records[7]["image"]
    torn.write_bytes(torn.read_bytes()[:-100])
    del records[8]["conversations"]
    file = folder / "data.json"
    file.write_text(json.dumps(records))
    return file


def dropped(out: Path) -> dict[int, dict]:
    """By number of the record, with the whole line."""
    found = {}
    for line in lines(out / "dropped.jsonl"):
        found[int(line["record"].split("record ")[1].split()[0])] = line
    return found


def test_what_is_kept_and_what_is_dropped(tmp_path, capsys):
    file, out = write_data(tmp_path), tmp_path / "out"
    assert main(["data", "filter", str(rules_file(tmp_path, THREE)), str(file), "--out", str(out)]) == 0
    gone = dropped(out)
    assert {number: line["rule"] for number, line in gone.items()} == {
        3: "filters.1 length",
        5: "filters.2 resolution",
        6: "filters.1 length",
        7: "filters.0 unreadable",
        8: "bad_record",
    }
    assert (gone[3]["value"], gone[3]["threshold"]) == (2.0, "min 3")
    assert (gone[5]["value"], gone[5]["threshold"]) == (20.0, "min 32")
    assert "7.png" in gone[7]["note"]
    assert gone[7]["value"] is None
    assert "conversations" in gone[8]["note"]
    given = json.loads(file.read_text())
    assert lines(out / "kept.jsonl") == [record for number, record in enumerate(given) if number not in gone]
    note = json.loads((out / "filter.json").read_text())
    assert (note["read"], note["kept"], sum(note["dropped"].values())) == (10, 5, 5)
    assert "10 records, 5 kept, 5 dropped" in capsys.readouterr().out
    # what is kept can be trained on
    assert all(isinstance(one, Record) for one in read_records(out / "kept.jsonl", tmp_path))


def test_the_order_is_that_of_the_list(tmp_path):
    file, out = write_data(tmp_path), tmp_path / "out"
    main(["data", "filter", str(rules_file(tmp_path, [THREE[2], THREE[1], THREE[0]])), str(file), "--out", str(out)])
    gone = dropped(out)
    assert gone[6]["rule"] == "filters.0 resolution"
    # a torn picture's size can still be read from its head; what cannot be decoded falls to the rule that decodes
    assert gone[7]["rule"] == "filters.2 unreadable"


def test_another_threshold_measures_nothing_again_and_a_changed_picture_does(tmp_path, monkeypatch):
    file, out = write_data(tmp_path), tmp_path / "out"
    command = ["data", "filter", str(rules_file(tmp_path, THREE)), str(file), "--out", str(out)]
    main(command)
    looked = []
    look_at = measure.look_at
    monkeypatch.setattr(measure, "look_at", lambda sample, rule: looked.append(rule) or look_at(sample, rule))
    main([*command, "filters.2.min=10"])
    assert not looked
    assert 5 not in dropped(out)
    noise(tmp_path / "7.png", 7)
    main(command)
    assert looked
    assert 7 not in dropped(out)


def test_pictures_inside_of_parquet_become_files(tmp_path):
    def inside(size: int) -> dict:
        data = io.BytesIO()
        Image.effect_noise((size, size), 50).convert("RGB").save(data, "PNG")
        return {"bytes": data.getvalue(), "path": None}

    rows = [{"image": inside(size), "caption": f"{size} pixels on each side"} for size in (16, 64, 48)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "data.parquet")
    out = tmp_path / "out"
    command = ["data", "filter", str(rules_file(tmp_path, THREE)), str(tmp_path / "data.parquet"), "--out", str(out)]
    assert main(command) == 0
    kept = read_records(out / "kept.jsonl")
    assert [one.messages[1].text for one in kept] == ["64 pixels on each side", "48 pixels on each side"]
    assert [Path(one.images[0]).read_bytes() for one in kept] == [row["image"]["bytes"] for row in rows[1:]]


def many(folder: Path, records: int) -> Path:
    """Every third of which is too short."""
    found = [captioned(folder, n, "short" if n % 3 == 0 else f"number {n} of many") for n in range(records)]
    file = folder / "many.json"
    file.write_text(json.dumps(found))
    return file


def digests(out: Path) -> dict[str, str]:
    return {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest()
        for name in ("kept.jsonl", "dropped.jsonl", "filter.json")
    }


def test_on_all_cores_it_is_the_same(tmp_path, monkeypatch):
    file, rules = many(tmp_path, 30), rules_file(tmp_path, THREE)
    main(["data", "filter", str(rules), str(file), "--out", str(tmp_path / "one")])
    monkeypatch.setattr(measure, "RECORDS", 6)  # five parts: enough for processes to be started
    monkeypatch.setattr("minigemini.data.check.cores", lambda: 2)
    main(["data", "filter", str(rules), str(file), "--out", str(tmp_path / "two")])
    assert len(list((tmp_path / "two" / "measured").iterdir())) == 5 * 4
    assert lines(tmp_path / "one" / "kept.jsonl") == lines(tmp_path / "two" / "kept.jsonl")
    assert lines(tmp_path / "one" / "dropped.jsonl") == lines(tmp_path / "two" / "dropped.jsonl")


IN_SMALL_PARTS = (
    "import sys; from minigemini.filtering import measure; measure.RECORDS = 5\n"
    "from minigemini.cli import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same(tmp_path):
    file, rules = many(tmp_path, 300), rules_file(tmp_path, THREE)

    def start(out: Path) -> subprocess.Popen:
        command = [sys.executable, "-c", IN_SMALL_PARTS, "data", "filter", str(rules), str(file), "--out", str(out)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)

    began = time.monotonic()
    whole = start(tmp_path / "whole")
    assert whole.wait() == 0, whole.stderr.read()
    took = time.monotonic() - began
    out = tmp_path / "killed"
    killed = 0
    for moment in range(1, 12):
        process = start(out)
        try:
            process.wait(took * moment / 10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
            assert not (out / "filter.json").exists() or digests(out) == digests(tmp_path / "whole")
    assert killed > 2
    last = start(out)
    assert last.wait() == 0, last.stderr.read()
    assert digests(out) == digests(tmp_path / "whole")


@pytest.mark.parametrize(
    ("rules", "wrong"),
    [
        ([], "filters: there is none"),
        (["length"], "filters.0: expected a mapping with 'rule'"),
        ([{"rule": "lenght", "min": 3}], "filters.0.rule: unknown name 'lenght' (did you mean 'length'?)"),
        ([{"rule": "length", "mni": 3}], "filters.0.mni: unknown name 'mni' (did you mean 'min'?)"),
        ([{"rule": "unreadable"}, {"rule": "length"}], "filters.1: neither min nor max"),
        ([{"rule": "length", "min": 3, "max": 2}], "filters.0: min 3 is more than max 2"),
        ([{"rule": "length", "min": "three"}], "filters.0.min: expected a number"),
    ],
)
def test_what_is_wrong_in_rules_is_said(tmp_path, capsys, rules, wrong):
    file = rules_file(tmp_path, rules)
    assert main(["data", "filter", str(file), str(tmp_path / "data.json"), "--out", str(tmp_path / "out")]) == 1
    assert f"rules.yaml: {wrong}" in capsys.readouterr().err


def test_a_data_recipe_holds_filters(tmp_path):
    card = (Path(__file__).parents[2] / "data_recipes" / "yours.yaml").read_text()
    file = tmp_path / "recipe.yaml"
    file.write_text(card)
    questions = tmp_path / "anywhere" / "shelf" / "questions.json"
    assert [named.name for named in load_rules(file, questions, [])] == [
        "filters.0 unreadable",
        "filters.1 resolution",
        "filters.2 length",
    ]
    with pytest.raises(ValueError, match=r"other.json is a file of 0 of its sources"):
        load_rules(file, tmp_path / "other.json", [])
    file.write_text(card.replace("min: 64", "mim: 64"))
    with pytest.raises(ValueError, match=r"recipe.yaml: sources.0.filters.1.mim: unknown name"):
        load_rules(file, questions, [])


@pytest.mark.parametrize("name", shipped.names(CARDS))
def test_the_filters_of_the_repository_are_whole(name):
    for source in load_card(name).sources:
        if source.filters:
            assert load_rules(CARDS / f"{name}.yaml", Path("data") / source.files[0].path, [])
