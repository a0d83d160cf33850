"""The benchmarks of eval/speed run, at toy size, and write their tables. That they are fast is no matter of tests."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = ROOT / "eval" / "speed" / "run.py"
BENCHMARKS = ["mining", "encoder", "flops", "generation", "preprocessing", "train_step", "real_size"]


def run(*arguments):
    command = [sys.executable, str(RUN), "--device", "cpu", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The folder that a whole run has written."""
    out = tmp_path_factory.mktemp("speed")
    done = run("--toy", "--out", str(out))
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_every_benchmark_leaves_its_tables(toy):
    (file,) = toy.glob("*.json")
    benchmarks = json.loads(file.read_text())["benchmarks"]
    assert list(benchmarks) == BENCHMARKS
    document = file.with_suffix(".md").read_text()
    for name, entry in benchmarks.items():
        assert f"#### {name}\n" in document
        assert entry["machine"]["threads"] >= 1
        assert entry["roofs"]["flops_per_second"] > 0
        for table in entry["tables"]:
            assert table["rows"], name
            assert table["caption"] in document


@pytest.mark.slow
def test_rows_hold_times_memory_and_their_ratio(toy):
    (file,) = toy.glob("*.json")
    benchmarks = json.loads(file.read_text())["benchmarks"]
    rows = benchmarks["mining"]["tables"][0]["rows"] + benchmarks["encoder"]["tables"][0]["rows"]
    assert len(rows) == 3
    for row in rows:
        assert row["times faster"] == pytest.approx(row["definition s"] / row["here s"])
        assert row["share of the memory"] == pytest.approx(row["here peak GB"] / row["definition peak GB"])
        assert 0 < row["here peak GB"] < 1


@pytest.mark.slow
def test_the_definition_costs_more_operations(toy):
    (file,) = toy.glob("*.json")
    (table,) = json.loads(file.read_text())["benchmarks"]["flops"]["tables"]
    assert len(table["rows"]) == 7
    assert all(row["definition / here"] > 2 for row in table["rows"])


@pytest.mark.slow
def test_preprocessing_makes_the_same_pixels(toy):
    (file,) = toy.glob("*.json")
    (table,) = json.loads(file.read_text())["benchmarks"]["preprocessing"]["tables"]
    exact, not_exact = table["rows"]
    assert exact["largest difference"] < 1e-5
    assert not_exact["largest difference"] < 2.5 / 255 / 0.26  # two values of 255, normalised


def test_toy_numbers_cannot_land_among_the_results():
    done = run("--toy")
    assert done.returncode == 2
    assert "--out" in done.stderr


def test_the_readme_has_the_place_that_a_run_fills(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(RUN.parent))
    report = importlib.import_module("report")
    readme = tmp_path / "README.md"
    readme.write_text((RUN.parent / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    report.fill(readme, ["the run before\n"])
    report.fill(readme, ["the run after\n"])
    text = readme.read_text(encoding="utf-8")
    assert "the run after" in text
    assert "the run before" not in text
    assert text.startswith("# eval/speed")
    with pytest.raises(ValueError, match="once each"):
        report.fill(Path(__file__), [])
