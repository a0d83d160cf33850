"""`minigemini eval score` on our own predictions.jsonl, and what it refuses."""

import json
import subprocess
import sys

import pytest
from score_command import line, write_jsonl

from minigemini.benchmarks.names import BENCHMARKS
from minigemini.cli import main


def write(path, rows):
    return str(write_jsonl(path, rows))


def row(id, reply, gold="A", **reference):
    return line(id, reply, {"answer": gold, "choices": ["x y", "z w"], **reference})


def test_our_own_predictions(tmp_path, capsys):
    file = write(
        tmp_path / "predictions.jsonl",
        [row("a", "A", image="1"), row("b", "A", "B", image="2"), row("c", "?", image="3")],
    )
    assert main(["eval", "score", "ai2d", file, "--json", str(tmp_path / "out.json")]) == 0
    printed = capsys.readouterr().out
    assert "ai2d@lmms\nlmms-eval" in printed
    assert "33.33 %" in printed
    assert "unparsable, counted as wrong: 1 of 3 (33.3%)" in printed
    assert "3 rows; the published data has 3088 (test): not comparable" in printed
    assert "may be too narrow" not in printed
    written = json.loads((tmp_path / "out.json").read_text())
    assert [verdict["path"] for verdict in written["verdicts"]] == ["exact", "exact", "unparsable"]


def test_the_same_file_gives_the_same_bytes(tmp_path, capsys):
    file = write(tmp_path / "predictions.jsonl", [row(str(i), "?AB"[i % 3]) for i in range(50)])
    for name in ("one", "two"):
        assert main(["eval", "score", "ai2d", file, "--json", str(tmp_path / name)]) == 0
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert list(json.loads((tmp_path / "one").read_text())["paths"].items()) == [("exact", 33), ("unparsable", 17)]
    assert "may be too narrow" in capsys.readouterr().out  # no row says its image


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nothing", "{file}"], "no scorer for 'nothing'; there are ai2d, blink, chartqa"),
        (["ai2d", "{file}", "--protocol", "official"], "ai2d has no protocol 'official'; it has lmms, vlmevalkit"),
        (["ai2d", "nowhere.jsonl"], "nowhere.jsonl: no such file or folder"),
        (["ai2d", "{file}", "--official-random"], "ai2d@lmms has no fallback"),
        (["ai2d", "{file}", "--format", "llava"], "a row has no 'question_id', but id, kind, prediction, reference"),
        (["ai2d", "{twice}"], "1 rows are there twice, such as 'a'"),
        (["ai2d", "{empty}"], "ai2d: no rows"),
        (["ai2d", "{torn}"], "line 2: not JSON"),
        (["ai2d", "{file}", "--gold", "{file}.json"], "no such file or folder"),
    ],
)
def test_refusals(arguments, error, tmp_path, capsys):
    files = {
        "file": write(tmp_path / "file.jsonl", [row("a", "A")]),
        "twice": write(tmp_path / "twice.jsonl", [row("a", "A"), row("a", "B")]),
        "empty": write(tmp_path / "empty.jsonl", []),
        "torn": write(tmp_path / "torn.jsonl", [row("a", "A")]) and str(tmp_path / "torn.jsonl"),
    }
    with open(files["torn"], "a") as torn:
        torn.write('{"id": "b", "pred')
    assert main(["eval", "score", *(argument.format(**files) for argument in arguments)]) == 1
    captured = capsys.readouterr()
    assert error in captured.err
    assert captured.err.count("\n") == 1


def test_a_suite_may_still_be_named(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["eval", "tabletop"])  # without --out
    assert exit.value.code == 2
    assert "--out" in capsys.readouterr().err


NAMES = """textvqa vqav2 gqa vizwiz scienceqa pope mme mmbench mmbench_cn mmvet llava_bench seed_bench mmmu mmmu_pro
mathvista ai2d chartqa docvqa infovqa ocrbench realworldqa mmstar hallusionbench blink
tabletop draw_decision"""


def test_every_benchmark_that_was_promised_has_a_scorer():
    assert set(BENCHMARKS) == set(NAMES.split())
    assert all(protocol.says for published in BENCHMARKS.values() for protocol in published.protocols.values())


PROTOCOLS = {
    "llava lmms": "textvqa vizwiz gqa",
    "llava lmms vlmevalkit": "scienceqa pope mme seed_bench",
    "llava official lmms": "vqav2",
    "llava vlmevalkit": "mmbench mmbench_cn",
    "llava mgm eval-only lmms vlmevalkit": "mmmu",
    "official vlmevalkit": "mmmu_pro hallusionbench",
    "llava rules": "mathvista",
    "lmms vlmevalkit": "ai2d",
    "official lmms vlmevalkit": "mmstar blink realworldqa",
    "lmms": "chartqa",
    "lmms official paper": "docvqa infovqa",
    "official lmms": "ocrbench",
    "llava": "mmvet llava_bench",
    "minigemini": "tabletop draw_decision",
}


def test_the_protocols_of_every_benchmark():
    """Their names are what users write; the first is the default."""
    found = {name: " ".join(published.protocols) for name, published in BENCHMARKS.items()}
    assert found == {name: protocols for protocols, names in PROTOCOLS.items() for name in names.split()}
    sizes = {name: tuple(published.sizes) for name, published in BENCHMARKS.items()}
    assert sizes["scienceqa"] == (4241, 2017)
    assert sizes["pope"] == (8910, 9000)
    assert [sizes[name] for name in ("mme", "mmbench", "mmmu", "mmvet")] == [(2374,), (4377,), (900,), (218,)]


def test_the_file_is_whole_when_the_reader_goes_away(tmp_path):
    """``minigemini eval score ... --json F | head -1``"""
    file, out = write(tmp_path / "predictions.jsonl", [row("a", "A", image="1")]), tmp_path / "out.json"
    command = [sys.executable, "-m", "minigemini", "eval", "score", "ai2d", file, "--json", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait()
    assert len(json.loads(out.read_text())["verdicts"]) == 1
