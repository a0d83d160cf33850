"""The README tells the truth: its Python runs, its commands are understood, its files exist."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor, cli
from minigemini.evaluation import command_line
from minigemini.evaluation.drawing import command_line as pictures
from minigemini.serving import command_line as serving

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    fenced = README.split("```")[1::2]
    return [block.partition("\n")[2] for block in fenced if block.partition("\n")[0] == language]


def test_the_python_runs_and_reads_the_tag(monkeypatch):
    monkeypatch.chdir(ROOT)
    answer, auto_classes, pipeline = [block for block in blocks("python") if "OpenAI(" not in block]
    assert len(answer.strip().splitlines()) <= 9  # eight lines and an empty one
    assert len(auto_classes.splitlines()) == len(pipeline.splitlines()) == 3
    shared: dict = {}
    assert printed_by(answer, shared) == "K7"
    assert printed_by(auto_classes, shared) == ""
    assert type(shared["model"]) is MiniGeminiForConditionalGeneration
    assert type(shared["processor"]) is MiniGeminiProcessor
    assert printed_by(pipeline, shared) == "K7"


def printed_by(code: str, shared: dict) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), shared)
    return printed.getvalue().strip()


def commands() -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    found = [line for line in lines if line.startswith("minigemini ")]
    assert len(found) >= 8
    return found


def commands_of_evaluation() -> list[str]:
    text = (ROOT / "eval" / "README.md").read_text(encoding="utf-8").replace("\\\n        ", "")
    lines = [line.strip().split("  #")[0] for line in text.split("\n") if line.startswith("    minigemini ")]
    assert len(lines) >= 25
    return [line.strip() for line in lines]


@pytest.mark.parametrize("command", [*commands(), *commands_of_evaluation()])
def test_every_command_is_understood(command, monkeypatch):
    """Parsed by the real parser; what it would run is replaced, as runs are tested elsewhere."""
    ran = []
    for module in (cli, command_line, pictures, serving):
        for name in [name for name in vars(module) if name.startswith("run_")]:
            monkeypatch.setattr(module, name, lambda parsed, name=name: (ran.append(name), 0)[1])
    assert cli.main(shlex.split(command)[1:]) == 0
    assert len(ran) == 1


def test_the_file_map_names_what_is_there():
    (tree,) = blocks("")
    inside, named = "", 0
    for line in tree.splitlines():
        indented, name = line.startswith("  "), line.split()[0]
        if not indented:
            inside = ""
        assert (ROOT / inside / name).exists(), f"{inside}{name}"
        named += 1
        if not indented and len(line.split()) == 1:
            inside = name
    assert named > 10


@pytest.mark.parametrize(
    "document",
    sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("*/README.md")) + sorted(ROOT.glob("train/*/README.md")),
    ids=lambda d: str(d.relative_to(ROOT)),
)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_every_make_target_of_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([\w-]+)", README, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile
