"""Two processes on the CPU, started as users start them: what they learn is what one process learns from the same batches.

In the data, there are steps at which both processes have images, at which only one has, and at which none has.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import launched
import pytest
import torch
import yaml
from small_run import align_recipe, finetune_recipe, losses, write_data

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.cli import main
from minigemini.training.run import train

ROOT = Path(__file__).parents[2]
DEEPSPEED = ROOT / "train" / "deepspeed"
SCRIPT = Path(__file__).with_name("deepspeed_without_compiler.py")


@pytest.fixture(scope="module")
def align(tiny_parts, tmp_path_factory) -> Path:
    """A recipe: 4 steps of 4 records in the order of the file."""
    folder = tmp_path_factory.mktemp("distributed")
    file = write_data(folder / "data", 20)
    records = json.loads(file.read_text())
    text = [record for record in records if "image" not in record]
    images = [record for record in records if "image" in record]
    file.write_text(json.dumps([*images[1:5], *text[:2], *images[5:7], *text[1:5], *images[7:11]]))
    return written(folder / "align.yaml", align_recipe(tiny_parts, file, folder / "align"))


def written(file: Path, recipe: dict[str, Any]) -> Path:
    recipe["trainer"] |= {
        "train_sampling_strategy": "sequential",
        "ddp_find_unused_parameters": False,  # every trained parameter has a gradient in every batch
    }
    file.write_text(yaml.safe_dump(recipe))
    return file


@pytest.fixture(scope="module")
def aligned(align) -> Path:
    """The checkpoint that one process makes by it."""
    return train(align)


def launch(recipe: Path, output: Path, script: list[str], overrides: list[str]) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *script]
    command += [
        "train",
        str(recipe),
        "trainer.per_device_train_batch_size=2",
        f"trainer.output_dir={output}",
        *overrides,
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)


def two_processes(recipe: Path, name: str, script: list[str], overrides: list[str]) -> Path:
    output = recipe.parent / name
    done = launch(recipe, output, script, overrides)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert "trained; the checkpoint is in" in done.stdout
    return output


def assert_learnt_the_same(one: Path, two: Path) -> None:
    assert losses(two) == pytest.approx(losses(one), abs=2e-6)
    alone, together = (MiniGeminiForConditionalGeneration.from_pretrained(folder).state_dict() for folder in (one, two))
    for key, tensor in alone.items():
        difference = (together[key] - tensor).abs().max().item()
        assert difference < 2e-4, key  # a hundredth of one step; Adam makes a step of the smallest gradient


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "script", "overrides"),
    [
        ("ddp", ["-m", "minigemini"], []),
        ("fsdp2", ["-m", "minigemini"], ["trainer.fsdp=full_shard"]),
        ("zero2", [str(SCRIPT)], [f"trainer.deepspeed={DEEPSPEED}/zero2.json"]),
        ("zero3", [str(SCRIPT)], [f"trainer.deepspeed={DEEPSPEED}/zero3.json"]),
    ],
)
def test_two_processes_learn_what_one_learns(align, aligned, name, script, overrides):
    assert_learnt_the_same(aligned, two_processes(align, name, script, overrides))


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU the processes find each other")
def test_processes_that_would_train_alone_are_refused(align):
    """Without a GPU and without `use_cpu` nobody tells the processes of each other: both would write the same checkpoint."""
    output = align.parent / "alone"
    options = ["trainer.per_device_train_batch_size=2", f"trainer.output_dir={output}", "trainer.use_cpu=false"]
    done = launched.launch(main, ["train", str(align), *options], folder=align.parent / "said")
    assert done.code == 1, done.stderr
    assert done.stderr.count("of 2: 2 processes were launched, but each would train alone") == 1, (
        "what all share is said once"
    )
    assert not output.exists()


@pytest.mark.slow
def test_a_checkpoint_is_loaded_in_slices_by_zero3(align, aligned):
    data = align.parent / "data" / "data.json"
    recipe = written(align.parent / "finetune.yaml", finetune_recipe(aligned, data, align.parent / "finetune"))
    together = two_processes(recipe, "finetune_zero3", [str(SCRIPT)], [f"trainer.deepspeed={DEEPSPEED}/zero3.json"])
    assert_learnt_the_same(train(recipe), together)


@pytest.mark.slow
def test_zero3_gathers_frozen_towers_also_where_nothing_that_sees_is_trained(align, aligned):
    """Slices of all modules are exchanged in all processes at once, though one of them may have words only."""
    recipe = finetune_recipe(aligned, align.parent / "data" / "data.json", align.parent / "words")
    recipe["modules"] = {"language_model": {"train": "full"}, "lm_head": {"train": "full"}}
    file = written(align.parent / "words.yaml", recipe)
    together = two_processes(file, "words_zero3", [str(SCRIPT)], [f"trainer.deepspeed={DEEPSPEED}/zero3.json"])
    assert_learnt_the_same(train(file), together)
