"""kill -9 at any moment: the same command, given again, ends with the bytes of the run that nobody killed."""

import random
from pathlib import Path

import pytest
from killed import run_trials
from launched import start

from minigemini.training.run import train

OPTIONS = [
    "trainer.save_strategy=steps",
    "trainer.save_steps=3",
    "trainer.save_total_limit=2",
    "trainer.disable_tqdm=true",
]


def killed(trials: dict[str, list[dict]], recipe: Path, overrides: list[str], folder: Path) -> list[str]:
    """A line for each attempt; see killed.py."""
    done = start(run_trials, trials, [str(recipe), *overrides], folder=folder)
    assert done.code == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("killed.py:")]


def model_of(folder: Path | str) -> bytes:
    return (Path(folder) / "model.safetensors").read_bytes()


def test_a_killed_run_ends_as_the_uninterrupted_one(align, tmp_path):
    """Before anything is there to go on from, before a whole checkpoint gets its name, as an old one goes, and among the last files."""
    options = [*OPTIONS, "trainer.num_train_epochs=3", "trainer.train_sampling_strategy=group_by_length"]
    whole = train(align, [*options, f"trainer.output_dir={tmp_path / 'whole'}"])
    moments = [
        {"before": "open", "file": "_unfinished/checkpoint-3/whole.json"},
        {"before": "os.rename", "file": "_unfinished/checkpoint-6"},
        {"before": "os.rename", "file": "cut/checkpoint-3"},
        {"before": "os.rename", "file": "_unfinished/finished/model.safetensors"},
    ]
    said = killed({str(tmp_path / "cut"): moments}, align, options, tmp_path / "said")
    assert ["exit code" in line for line in said] == [False] * 4 + [True]
    assert model_of(whole) == model_of(tmp_path / "cut")
    assert sorted(path.name for path in (tmp_path / "cut").glob("*checkpoint-*")) == ["checkpoint-12", "checkpoint-9"]
    assert not (tmp_path / "cut" / "_unfinished").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        [],
        ["trainer.dataloader_num_workers=2"],
        ["trainer.train_sampling_strategy=group_by_length"],
        ["data.packing=200", "trainer.per_device_train_batch_size=1", "trainer.gradient_accumulation_steps=2"],
    ],
    ids=["one process", "two workers", "grouped", "packed"],
)
def test_twenty_runs_killed_at_random_moments(align, tmp_path, setting):
    """Each is killed three times: at two steps of the work with files, reading and saving, and after some time."""
    options = [*OPTIONS, "trainer.num_train_epochs=8", *setting]
    whole = train(align, [*options, f"trainer.output_dir={tmp_path / 'whole'}"])
    choice = random.Random(0)
    trials = {
        str(tmp_path / f"cut-{number}"): [
            {"files": choice.randint(1, 250)},
            {"seconds": choice.uniform(0, 1)},
            {"files": choice.randint(1, 150)},
        ]
        for number in range(20)
    }
    said = killed(trials, align, options, tmp_path / "said")
    hits = sum("exit code" not in line for line in said)
    equal = sum(model_of(folder) == model_of(whole) for folder in trials)
    print("\n".join(said), f"\n{hits} kills hit, {equal} of 20 runs end byte-equal")
    assert hits >= 30
    assert equal == 20
