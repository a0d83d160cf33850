"""README's "Train it on your data", command by command, on a few records of the tabletop: a stage, the next one, a chat, and two processes
in place of eight."""

import shlex
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
    for attempt in ("first", "again"):  # the second time it is finished, and is left alone
        done = launched.launch(main, command, folder=tmp_path / attempt)
        assert done.code == 0, done.stderr[-3000:]
    assert Path("runs/mine/full/checkpoint-3/whole.json").exists()
    assert Path("runs/mine/full/model.safetensors").exists()
