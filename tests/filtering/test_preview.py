"""`--preview`: the numbers are those that applying gives, nothing is dropped, and the page shows what is near each threshold."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from filtering_data import captioned, lines, rules_file
from playwright.sync_api import sync_playwright

from minigemini.cli import main
from minigemini.filtering.measure import measure, parts_of
from minigemini.filtering.preview import preview, thresholds_of
from minigemini.filtering.rules import load_rules

RULES = [
    {"rule": "unreadable"},
    {"rule": "length", "min": 4, "max": 12},
    {"rule": "resolution", "min": 40},
    {"rule": "near_duplicate", "max": 0.8},
]


@pytest.fixture
def data(tmp_path) -> Path:
    """Twenty records of 1 to 20 words; 0 no record, 5 a torn picture, 6 a small one, 8 small in words of 7, 9 the same as 8 in all."""
    records = [captioned(tmp_path, n, " ".join(f"word{n}{i}" for i in range(n + 1))) for n in range(20)]
    del records[0]["conversations"]
    (tmp_path / "5.png").write_bytes((tmp_path / "5.png").read_bytes()[:-80])
    records[6] = captioned(tmp_path, 6, records[6]["conversations"][1]["value"], size=(32, 32))
    records[9] = records[8] | {"id": 9}
    file = tmp_path / "data.json"
    file.write_text(json.dumps(records))
    return file


def previewed(data: Path, rules: list, out: Path):
    named = load_rules(rules_file(data.parent, rules), data, [])
    parts = measure(parts_of(data), None, [one.rule for one in named], out / "measured", 1, show_progress=False)
    return preview(parts, named, show_progress=False)


def dropped_by(data: Path, rules: list, out: Path, *overrides: str) -> dict[str, int]:
    main(["data", "filter", str(rules_file(data.parent, rules)), str(data), *overrides, "--out", str(out)])
    return json.loads((out / "filter.json").read_text())["dropped"]


def test_the_numbers_are_those_of_applying(data, tmp_path):
    found = previewed(data, RULES, tmp_path / "out")
    applied = dropped_by(data, RULES, tmp_path / "out")
    assert applied == {"bad_record": found.bad, **{rule.named.name: rule.in_order for rule in found.rules}}
    assert found.kept == len(lines(tmp_path / "out" / "kept.jsonl"))
    for rule, settings in zip(found.rules, RULES, strict=True):
        alone = dropped_by(data, [settings], tmp_path / "out")
        assert rule.alone == list(alone.values())[1], settings
        for side in rule.sides:
            for threshold, number in side.thresholds:
                only = {key: value for key, value in settings.items() if key not in ("min", "max")}
                applied = dropped_by(data, [only | {side.side: threshold}], tmp_path / "out")
                failed = rule.number_of_others if len(side.thresholds) else 0
                assert list(applied.values())[1] == number + failed, (settings, side.side, threshold)
    assert [len(side.thresholds) > 2 for side in found.rules[1].sides] == [True, True]


def test_the_examples_are_those_nearest_to_the_threshold(data, tmp_path):
    least, most = previewed(data, RULES, tmp_path / "out").rules[1].sides
    # record n has n + 1 words, but 9, which has nine
    assert [one.measured.value for one in least.dropped.examples()] == [3, 2]
    assert [one.measured.value for one in least.kept.examples()] == [4, 5, 6, 7, 8, 9]
    assert [one.measured.value for one in most.farthest.examples()] == [20, 19, 18, 17, 16, 15]
    assert [one.place for one in most.dropped.examples()[:2]] == [(0, 12), (0, 13)]


def test_the_page_shows_them_and_nothing_is_dropped(data, tmp_path, capsys):
    out = tmp_path / "out"
    rules = rules_file(tmp_path, RULES)
    assert main(["data", "filter", str(rules), str(data), "--preview", "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["measured", "preview.html"]
    printed = capsys.readouterr().out
    assert "20 records, 1 of them no records" in printed
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium")
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto((out / "preview.html").as_uri())
        sections = page.locator("section")
        assert sections.count() == 4
        length = sections.nth(1)
        assert "min 4 (set)" in length.inner_text()
        assert "Kept, nearest to it" in length.inner_text()
        images = page.locator("img").all()
        assert images
        assert all(image.evaluate("image => image.naturalWidth > 0") for image in images)
        assert "5.png" in sections.nth(0).inner_text()  # the torn one, by its name
        assert "like" in sections.nth(3).inner_text()
        browser.close()


def test_a_long_text_is_cut_and_said(tmp_path):
    record = captioned(tmp_path, 0, "<b>word</b> " * 100)
    (tmp_path / "data.json").write_text(json.dumps([record]))
    rules = rules_file(tmp_path, [{"rule": "length", "max": 5}])
    main(["data", "filter", str(rules), str(tmp_path / "data.json"), "--preview", "--out", str(tmp_path / "out")])
    page = (tmp_path / "out" / "preview.html").read_text()
    assert re.search(r"and [\d,]+ more characters", page)
    assert "&lt;b&gt;word" in page
    assert "<b>word" not in page


def test_thresholds_drop_as_many_as_they_say():
    values = np.random.default_rng(0).normal(size=5000)
    for side in ("min", "max"):
        found = thresholds_of(values, side, 0.0, -np.inf)
        assert [number for _, number in found] == sorted({number for _, number in found})
        assert any(at == 0 for at, _ in found)
        for at, number in found:
            assert number == (values < at if side == "min" else values > at).sum()
        shares = [number / 5000 for at, number in found if at != 0]
        assert np.allclose(shares, [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2], atol=0.001)
    assert thresholds_of(np.array([]), "min", 1.0, -np.inf) == [(1.0, 0)]
