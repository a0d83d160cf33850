"""A dry run says what a run would be, tries one step, and leaves nothing behind."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minigemini.cli import main
from minigemini.tabletop.training_data import write


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_it_prints_all_and_writes_nothing(align, tmp_path, capsys):
    before = files(tmp_path)
    assert main(["train", str(align), "--dry-run", "--gpus", "4", "--gpu-memory", "24"]) == 0
    said = capsys.readouterr().out
    assert files(tmp_path) == before
    assert re.search(r"patch_info_mining +[\d,]+ +full", said)
    assert "memory of each of 4 GPUs, GiB (unmeasured" in said
    assert "on 4 x 24 GiB: DDP" in said
    assert re.search(r"the largest micro-batch: 4 samples of \d+ tokens, \d+ images", said)
    assert re.search(r"USER:(.|\n)*ASSISTANT:⟦[^⟧]+</s>⟧", said)
    assert re.search(r"measured: \d\.\d\d GiB at its peak, loss \d", said)
    assert "saved and loaded again, equal" in said


def test_without_data_the_plan_is_said_before_the_error(align, tmp_path, capsys):
    (tmp_path / "data" / "data.json").unlink()
    assert main(["train", str(align), "--dry-run"]) == 1
    captured = capsys.readouterr()
    assert "no data: as if every micro-batch were: 4 samples of 200 tokens, 4 images" in captured.out
    assert "one step" not in captured.out
    assert "data.json: no such data file" in captured.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            [
                "modules.vision_tower={train: frozen, dtype: bfloat16}",
                "trainer.bf16=true",
                "trainer.deepspeed=train/deepspeed/zero2.json",
            ],
            "modules.vision_tower: dtype does nothing under DeepSpeed",
        ),
        (["trainer.report_to=tensorbord"], "trainer.report_to=tensorbord: "),
        (["trainer.output_dir={there}/file"], "file is a file, and a folder is needed"),
        (["trainer.output_dir={there}"], "holds a model that no run here has made"),
        (["data.sources=[{path: '{there}/text.json'}]"], "no record has a picture, so nothing would train"),
    ],
)
def test_what_the_run_would_refuse_is_refused(align, options, message, tmp_path, capsys):
    there = tmp_path / "there"
    there.mkdir()
    (there / "file").touch()
    (there / "model.safetensors").touch()
    records = json.loads((tmp_path / "data" / "data.json").read_text())
    (there / "text.json").write_text(json.dumps([record for record in records if "image" not in record]))
    assert main(["train", str(align), "--dry-run", *(option.replace("{there}", str(there)) for option in options)]) == 1
    assert message in capsys.readouterr().err


def test_bad_records_are_named_after_the_plan(align, tmp_path, capsys):
    file = tmp_path / "data" / "data.json"
    records = json.loads(file.read_text())
    records[5]["conversations"].reverse()
    file.write_text(json.dumps(records))
    before = files(tmp_path)
    assert main(["train", str(align), "--dry-run"]) == 1
    captured = capsys.readouterr()
    assert "memory of each of 8 GPUs" in captured.out
    assert "1 bad records" in captured.err
    assert "record 5" in captured.err
    assert files(tmp_path) == before


def test_a_recipe_for_gpus_is_planned_without_one(align, capsys):
    options = [
        "trainer.bf16=true",
        "trainer.deepspeed=train/deepspeed/zero3.json",
        "trainer.gradient_checkpointing=true",
    ]
    assert main(["train", str(align), "--dry-run", *options, "trainer.tf32=true"]) == 0
    assert "bf16 + master" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpus", "2"], "--gpus and --gpu-memory are for --dry-run"),
        (["--dry-run", "--resume"], "a dry run begins"),
    ],
)
def test_options_that_would_do_nothing_are_refused(align, options, message, capsys):
    assert main(["train", str(align), *options]) == 1
    assert message in capsys.readouterr().err


def test_the_plan_of_the_nano_is_what_a_step_takes(tmp_path):
    """In a process of its own, whose peak is that of the step."""
    write(tmp_path, 120)
    command = [sys.executable, "-m", "minigemini", "train", "nano/finetune", "--dry-run", "init_from=nano"]
    options = [f"data.sources=[{{path: {tmp_path / 'finetune.json'}}}]", f"trainer.output_dir={tmp_path / 'out'}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    planned = float(re.search(r"planned: ([\d.]+) GiB", done.stdout)[1])
    measured = float(re.search(r"measured: ([\d.]+) GiB", done.stdout)[1])
    assert planned == pytest.approx(measured, rel=0.15)
