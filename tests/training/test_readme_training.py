"""README's "Train it on your data", command by command, on a few records of the tabletop: a stage, the next one, a chat, and two processes
in place of eight, which go on from where they were stopped."""

import shlex
import shutil
from pathlib import Path

import launched

from minigemini.cli import main

SECTION = (
    (Path(__file__).parents[2] / "README.md")
    .read_text(encoding="utf-8")
    .split("## Train it on your data")[1]
    .split("\n## ")[0]
)
FEW = ["trainer.per_device_train_batch_size=2", "trainer.use_cpu=true", "trainer.disable_tqdm=true"]


def commands(program: str) -> list[list[str]]:
    lines = [line for line in SECTION.splitlines() if line.startswith(f"{program} ") and "runs/mine/lora" not in line]
    return [shlex.split(line, comments=True) for line in lines]


def test_the_commands_of_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "tabletop", "my", "--conversations", "16"]) == 0
    Path("my/align.json").rename("my/captions.json")
    Path("my/finetune.json").rename("my/data.json")
    for command in commands("minigemini"):
        options = {"train": [*FEW, "trainer.max_steps=2"], "chat": ["--prompt", "What is this?"]}.get(command[1], [])
        assert main([*command[1:], *options]) == 0, command

    (full,) = commands("torchrun")
    assert full[:6] == ["torchrun", "--nproc_per_node", "8", "-m", "minigemini", "train"]
    command = [*full[5:], *FEW, "trainer.max_steps=3", "trainer.save_steps=1"]
    done = launched.launch(main, command, folder=tmp_path / "whole")
    assert done.code == 0, done.stderr[-3000:]
    run = Path("runs/mine/full")
    second = run / "checkpoint-2" / "whole.json"
    made = second.stat().st_mtime_ns
    learnt = (run / "model.safetensors").read_bytes()

    shutil.rmtree(run / "checkpoint-3")  # as if something had stopped it in its last step
    for file in [file for file in run.iterdir() if file.is_file() and file.name not in ("run.json", "recipe.yaml")]:
        file.unlink()
    done = launched.launch(main, command, folder=tmp_path / "again")
    assert done.code == 0, done.stderr[-3000:]
    assert second.stat().st_mtime_ns == made  # it went on from there
    assert (run / "model.safetensors").read_bytes() == learnt
