"""An installed package does what the clone does: the wheel is built and installed, and its commands run in an empty folder."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ON_CPU = ["trainer.use_cpu=true", "trainer.dataloader_pin_memory=false", "trainer.max_steps=1"]

RUN = """
import contextlib, io, json, sys

opened = set()
sys.addaudithook(lambda event, arguments: event == "open" and opened.add(str(arguments[0])))
import minigemini.cli

results = []
for command in json.load(sys.stdin):
    printed, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complained):
        code = minigemini.cli.main(command)
    results.append((code, printed.getvalue(), complained.getvalue()))
of_clone = sorted(name for name in opened if name.startswith(tuple(sys.argv[1:])))
json.dump({"file": minigemini.__file__, "results": results, "of_clone": of_clone}, sys.stdout)
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Installed:
    packages: Path  # where pip put the wheel
    folder: Path  # where commands run; empty at first

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.packages), "COLUMNS": "200"}

    def run(self, *commands: list[str]) -> list[Result]:
        """Commands in one process, which must not open a file of the clone's package, suites or recipes."""
        code = [sys.executable, "-c", RUN, *(f"{ROOT / name}{os.sep}" for name in ("minigemini", "eval", "train"))]
        done = subprocess.run(
            code, input=json.dumps(commands), cwd=self.folder, env=self.environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert Path(said["file"]).is_relative_to(self.packages)
        assert said["of_clone"] == []
        return [Result(*result) for result in said["results"]]


def build(out: Path, *what: str) -> Path:
    """``python -m build``; the wheel it makes."""
    command = [sys.executable, "-m", "build", "--no-isolation", *what, "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"), "--wheel")


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Installed:
    """The package as in an environment inside of another project's repository."""
    project = tmp_path_factory.mktemp("project")
    packages, folder = project / "packages", project / "empty"
    folder.mkdir()
    for command in (
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", packages, wheel],
        ["git", "init", "-q", project],
        ["git", "-C", project, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "a"],
    ):
        subprocess.run(command, check=True)
    return Installed(packages, folder)


def contents(wheel: Path) -> dict[str, int]:
    """Name -> checksum of every file."""
    with zipfile.ZipFile(wheel) as archive:
        return {info.filename: info.CRC for info in archive.infolist()}


def test_the_wheel_holds_the_package_and_what_is_found_by_name(wheel):
    def below(*patterns: str) -> set[str]:
        files = {file for pattern in patterns for file in ROOT.glob(pattern) if file.is_file()}
        return {file.relative_to(ROOT).as_posix() for file in files if "__pycache__" not in file.parts}

    choices = below("eval/suites/*", "eval/smoke/*.jsonl", "eval/smoke/images/*", "eval/expected/*", "eval/*.jsonl")
    choices |= below("train/recipes/**/*", "train/deepspeed/*", "train/accelerate/*")
    assert len(choices) > 50
    wanted = below("minigemini/**/*") | {f"minigemini/shipped/{name}" for name in choices}
    assert {name for name in contents(wheel) if ".dist-info/" not in name} == wanted
    with zipfile.ZipFile(wheel) as archive:
        (entries,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        points = archive.read(entries).decode()
    assert "minigemini = minigemini.cli:main" in points
    assert "[lmms_eval.models]\nminigemini = minigemini.evaluation.harnesses.lmms_eval_manifest:MANIFEST" in points


def test_the_source_distribution_makes_the_same_wheel(wheel, tmp_path):
    assert contents(build(tmp_path)) == contents(wheel)
    assert len(list(tmp_path.glob("*.tar.gz"))) == 1


def test_the_command(installed):
    command = installed.packages / "bin" / "minigemini"
    done = subprocess.run([command], cwd=installed.folder, env=installed.environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: minigemini")


def test_both_stages_by_name(installed):
    small = [*ON_CPU, "trainer.per_device_train_batch_size=2"]
    missing, *done = installed.run(
        ["train", "nano/align"],
        ["data", "tabletop", "data/tabletop", "--conversations", "16"],
        ["data", "check", "nano/align"],
        ["train", "nano/align", *small],
        ["train", "nano/finetune", *small],
        ["chat", "runs/nano/finetune", "--prompt", "hello"],
    )
    assert missing.code == 1
    assert missing.err == (
        "minigemini: data/tabletop/align.json: no such data file; this makes it: minigemini data tabletop data/tabletop\n"
    )
    assert [(one.code, one.err) for one in done if one.code] == []
    output = installed.folder / "runs" / "nano" / "finetune"
    assert "data/tabletop/finetune.json" in (output / "recipe.yaml").read_text()
    assert json.loads((output / "run.json").read_text())["commit"] is None


def test_evaluation_by_name(installed):
    everything = [{"id": str(i), "prediction": "red", "reference": {"answers": ["red"] * 10}} for i in range(5000)]
    file = installed.folder / "textvqa.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in everything))
    *done, paper, unknown = installed.run(
        ["eval", "smoke", "--limit", "1", "--out", "runs/smoke"],
        ["eval", "tabletop", "--limit", "1", "--out", "runs/tabletop"],
        ["eval", "edits", "--limit", "1", "--out", "runs/edits"],
        ["eval", "report", "runs/smoke", "--out", "smoke.html"],
        ["eval", "report", "textvqa.jsonl", "--benchmark", "textvqa", "--out", "textvqa.html"],
        ["eval", "paper", "--out", "runs/paper"],
        ["eval", "papers", "--out", "runs/paper"],
    )
    assert [(one.code, one.err) for one in done if one.code] == []
    assert (
        "gqa"
        in json.loads((installed.folder / "runs/smoke/results.json").read_text())["parts"]["gqa@llava"]["benchmark"]
    )
    assert '"expected": 0.99' in (installed.folder / "runs/tabletop/results.json").read_text()
    assert "MGM-34B-HD" in (installed.folder / "textvqa.html").read_text()
    assert paper.code == 1
    assert f"textvqa@llava: {installed.folder / 'data/eval'}: no such file or folder" in paper.err
    assert "known: edits, full, paper, smoke, tabletop" in unknown.err


def test_chat_and_drawing(installed):
    drawn, again = installed.run(
        ["chat", "--prompt", "draw a red circle above a small blue square", "--out", "drawings", "--json"],
        ["draw-again", "drawings/drawing-1.png"],
    )
    assert drawn.code == 0, drawn.err
    assert again.code == 0, again.err
    assert "equal in every pixel" in again.out


def test_draw_decision(installed):
    (decided,) = installed.run(["eval", "draw-decision", "--out", "runs/decision"])
    assert decided.code == 0, decided.err
    assert json.loads((installed.folder / "runs/decision/results.json").read_text())["rows"][0]["n"] == 130
