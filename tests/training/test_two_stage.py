"""train/two_stage.sh at toy size: interrupted in the middle, the same command goes on and comes to its end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ["trainer.per_device_train_batch_size=2", "trainer.logging_steps=1", "trainer.save_steps=2"]


def start(folder: Path) -> subprocess.Popen:
    """Align takes 2 steps and finetune 40, each with a checkpoint at every second."""
    command = ["train/two_stage.sh", str(folder / "run"), "trainer.max_steps=2", *SMALL]
    return subprocess.Popen(
        [*command, "--", "trainer.max_steps=40", *SMALL],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DATA": str(folder / "data"),
            "CONVERSATIONS": "48",
            "LIMIT": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_interrupted_and_run_again(tmp_path):
    interrupted = start(tmp_path)
    assert interrupted.stdout is not None
    seen = []
    for line in interrupted.stdout:
        seen.append(line)
        if line.startswith("finetune 5/"):
            break
    os.killpg(interrupted.pid, signal.SIGINT)  # Ctrl-C; torchrun ends its processes, which are in sessions of their own
    interrupted.communicate()
    assert seen[-1].startswith("finetune 5/"), "".join(seen)
    assert not (tmp_path / "run" / "finetune" / "trainer_state.json").exists()

    said, _ = (again := start(tmp_path)).communicate()
    assert again.returncode == 0, said
    assert "run/align is trained already" in said
    assert "\nfinetune 3/" not in said
    assert "\nfinetune 40/40" in said
    history = json.loads((tmp_path / "run" / "finetune" / "trainer_state.json").read_text())["log_history"]
    assert [entry["step"] for entry in history if "loss" in entry] == list(range(1, 41))
    for name in ("eval/results.md", "loss.png", "samples.html"):
        assert (tmp_path / "run" / name).stat().st_size > 0

    # nothing of what libraries say while they load
    for noise in ("Loading weights", "Writing model shards", "accelerator", "Warning", "WARNING", "deprecated"):
        assert noise not in "".join(seen) + said
