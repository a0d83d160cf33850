"""The command line: help without torch, one-line errors, overrides in any place, data commands."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from minigemini import shipped
from minigemini.cli import main, new_parser
from minigemini.training.recipe import RECIPES

COMMANDS = [
    [],
    ["chat"],
    ["train"],
    ["runs"],
    ["runs", "compare"],
    ["eval"],
    ["eval", "score"],
    ["eval", "diff"],
    ["eval", "report"],
    ["eval", "vlmevalkit"],
    ["eval", "draw-decision"],
    ["eval", "best-of-n"],
    ["eval", "geneval"],
    ["eval", "clip-score"],
    ["data"],
    ["data", "tabletop"],
    ["data", "check"],
    ["data", "prepare"],
    ["data", "filter"],
    ["data", "card"],
    ["convert"],
    ["draw-again"],
    ["verify-serving"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "minigemini")
def test_help(command, capsys):
    with pytest.raises(SystemExit) as exit:
        main([*command, "--help"])
    assert exit.value.code == 0
    assert capsys.readouterr().out.startswith("usage: minigemini")


def test_help_imports_no_torch():
    code = (
        "import sys; from minigemini.cli import main, new_parser\n"
        "try: main(['train', '--help'])\n"
        "finally: print([name for name in ('torch', 'transformers', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("[]\n")


def test_an_error_the_user_can_mend_is_one_line(capsys, monkeypatch):
    assert main(["train", "nowhere.yaml"]) == 1
    captured = capsys.readouterr()
    names = ", ".join(shipped.names(RECIPES))
    assert captured.err == f"minigemini: nowhere.yaml: no such file, and no recipe of that name (there are {names})\n"
    monkeypatch.setenv("MINIGEMINI_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError):
        main(["train", "nowhere.yaml"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "recipe.yaml", "stage=a", "trainer.seed=3", "--resume"],
        ["train", "recipe.yaml", "--resume", "stage=a", "trainer.seed=3"],
        ["train", "--resume", "recipe.yaml", "stage=a", "trainer.seed=3"],
        ["train", "recipe.yaml", "stage=a", "--resume", "trainer.seed=3"],
    ],
)
def test_overrides_and_options_in_any_order(arguments, monkeypatch):
    called = []

    def train(*given):
        called.append(given)
        return "folder"

    monkeypatch.setattr("minigemini.training.run.train", train)
    assert main(arguments) == 0
    ((recipe, overrides, resume, changed),) = called
    assert (str(recipe), overrides, resume, changed) == ("recipe.yaml", ["stage=a", "trainer.seed=3"], True, [])


@pytest.mark.parametrize(
    "arguments",
    [["train", "recipe.yaml", "--resme"], ["train", "recipe.yaml", "--resume", "x"], ["draw-again", "a.png", "b=c"]],
)
def test_what_nobody_asked_for_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    assert arguments[-1] in capsys.readouterr().err


def test_data_check_of_a_file(tmp_path, capsys):
    data, listing = tmp_path / "data.json", tmp_path / "bad.txt"
    good = {"id": "good", "conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]}
    data.write_text(json.dumps([good]))
    assert main(["data", "check", str(data), "--list", str(listing)]) == 0
    assert capsys.readouterr().out == "1 good records, 1 of them text only, 0 images\n"
    assert not listing.exists()
    data.write_text(json.dumps([good, good | {"image": "gone.png"}]))
    assert main(["data", "check", str(data), "--list", str(listing)]) == 1
    assert "record 1 (id 'good'): 0 <image> in the conversation" in capsys.readouterr().out
    assert listing.read_text().startswith(f"{data}: record 1")


def test_data_tabletop(tmp_path, capsys):
    assert main(["data", "tabletop", str(tmp_path / "a"), "--conversations", "12"]) == 0
    assert main(["data", "tabletop", str(tmp_path / "b"), "--conversations", "12"]) == 0
    assert (tmp_path / "a" / "align.json").read_bytes() == (tmp_path / "b" / "align.json").read_bytes()
    for stage in ("align", "finetune"):
        assert main(["data", "check", str(tmp_path / "a" / f"{stage}.json")]) == 0
    assert "pictures" in capsys.readouterr().out


def options_of(parser, path=""):
    """Every command, and what it takes: `--option`, or `NAME` of an argument without dashes."""
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                found |= options_of(inner, f"{path} {name}".strip())
        elif action.dest != "help":
            found.setdefault(path, []).append(max(action.option_strings, key=len, default=action.dest))
    return found


def test_the_commands_and_their_options_are_these():
    """A new option is a promise: it is added here, and to the README's or eval/README's words, on purpose."""
    stored = Path(__file__).with_name("cli_options.json")
    assert options_of(new_parser()) == json.loads(stored.read_text())
