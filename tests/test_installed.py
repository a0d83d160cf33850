"""An installed package does what the clone does: the wheel is built and installed, and its commands run in an empty folder."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from released import RECORDED, TOWERS, copied

ROOT = Path(__file__).parents[1]

RUN = """
import contextlib, io, json, shlex, sys

opened = set()
sys.addaudithook(lambda event, arguments: event == "open" and opened.add(str(arguments[0])))
import minigemini.cli

results = {}
for command in json.load(sys.stdin):
    printed, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complained):
        code = minigemini.cli.main(shlex.split(command))
    results[command] = code, printed.getvalue(), complained.getvalue()
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

    def run(self, *commands: str) -> dict[str, Result]:
        """Commands in one process, which must not open a file of the clone's package, suites or recipes."""
        code = [sys.executable, "-c", RUN, *(f"{ROOT / name}{os.sep}" for name in ("minigemini", "eval", "train"))]
        done = subprocess.run(
            code, input=json.dumps(commands), cwd=self.folder, env=self.environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert Path(said["file"]).is_relative_to(self.packages)
        assert said["of_clone"] == []
        return {command: Result(*result) for command, result in said["results"].items()}


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
    choices |= below(
        "train/recipes/**/*", "train/deepspeed/*", "train/accelerate/*", "train/fsdp/*", "data_recipes/*.yaml"
    )
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


def test_the_console_script(installed):
    command = installed.packages / "bin" / "minigemini"
    done = subprocess.run([command], cwd=installed.folder, env=installed.environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: minigemini")


# In this order and one process, which starts in an empty folder. What lacks data or a checkpoint says what it lacks:
DATA = "{folder}/data/eval: no such file or folder"
REFUSED = {
    "train nano/align": "data/tabletop/align.json: no such data file; this makes it: minigemini data tabletop data/tabletop\n",
    "train nano/finetune": "runs/nano/align: there is no such folder",
    "train nano/tune": "no recipe of that name (there are gemma_2b/align, ",
    "eval paper --out runs/paper": f"textvqa@llava: {DATA}\n",
    "eval full --out runs/full": f"chartqa@lmms: {DATA}\n",
    "eval papers --out runs/paper": "known: edits, full, paper, smoke, smollm2, tabletop",
}
SMALL = (
    "trainer.use_cpu=true trainer.dataloader_pin_memory=false trainer.max_steps=1 trainer.per_device_train_batch_size=2"
)
DONE = [
    "data tabletop data/tabletop --conversations 16",
    "data check nano/align",
    f"train nano/align {SMALL}",
    f"train nano/finetune {SMALL}",
    "chat runs/nano/finetune --prompt hello",
    "chat --prompt 'draw a red circle above a small blue square' --out drawings --json",
    "draw-again drawings/drawing-1.png",
    "eval smoke --limit 1 --out runs/smoke",
    "eval tabletop --limit 1 --out runs/tabletop",
    "eval edits --limit 1 --out runs/edits",
    "eval draw-decision --out runs/decision",
    "eval report runs/smoke --out smoke.html",
    "eval report textvqa.jsonl --benchmark textvqa --out textvqa.html",
]
CONVERT = (
    f"convert released converted --vision-tower {TOWERS['vision_tower']} "
    f"--high-res-vision-tower {TOWERS['high_res_vision_tower']}"
)


def test_every_command_in_an_empty_folder(installed):
    """One test, so that tests on several cores load the libraries for it once."""
    folder = installed.folder
    rows = [{"id": str(i), "prediction": "red", "reference": {"answers": ["red"] * 10}} for i in range(5000)]
    text = "".join(json.dumps(row) + "\n" for row in rows)  # as many as TextVQA has: published numbers stand beside it
    (folder / "textvqa.jsonl").write_text(text)
    done = list(DONE)
    if RECORDED.is_dir():  # a checkpoint to convert
        copied("llama_std/MGM-7B-tiny", folder / "released")
        done.append(CONVERT)

    ran = installed.run(*REFUSED, *done)
    assert {command: result.err for command, result in ran.items() if result.code and command not in REFUSED} == {}
    for command, words in REFUSED.items():
        assert ran[command].code == 1, command
        assert words.format(folder=folder) in ran[command].err

    def left(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    assert json.loads(left("runs/nano/finetune/run.json"))["commit"] is None  # of the repository around, not of ours
    assert "equal in every pixel" in ran["draw-again drawings/drawing-1.png"].out
    assert json.loads(left("runs/smoke/results.json"))["parts"].keys() == {"tabletop", "gqa@llava"}
    expected = {
        one["name"]: one["expected"] for one in json.loads(left("runs/tabletop/tabletop/results.json"))["metrics"]
    }
    assert expected["colour"] > 95
    assert json.loads(left("runs/decision/draw_decision/results.json"))["metrics"][0]["n"] == 130
    assert "MGM-34B-HD" in left("textvqa.html")
