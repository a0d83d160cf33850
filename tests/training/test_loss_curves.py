import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minigemini.training.loss_curves import draw_loss_curves, read_losses, smooth


def stage(folder: Path, losses: list[float], every: int = 1) -> Path:
    folder.mkdir()
    history: list[dict] = [
        {"step": every * (n + 1), "loss": loss, "learning_rate": 1e-3} for n, loss in enumerate(losses)
    ]
    history.append({"step": every * len(losses), "train_runtime": 12.5, "train_loss": 1.0})
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    return folder


def test_reads_only_training_losses(tmp_path: Path) -> None:
    assert read_losses(stage(tmp_path / "align", [3.0, 2.0], every=10)) == ([10, 20], [3.0, 2.0])


def test_smoothing_keeps_lines_and_takes_away_noise() -> None:
    assert smooth([2.0] * 7, 3) == pytest.approx([2.0] * 7)
    falling = smooth([float(-n) for n in range(100)], 3)
    assert falling[50] == pytest.approx(-50)  # no lag
    rng = random.Random(0)
    noisy = [rng.gauss(1, 0.5) for _ in range(600)]
    assert np.std(smooth(noisy, 10)) < 0.12
    assert smooth([1.5], 0.5) == pytest.approx([1.5])


def test_draws_a_panel_a_stage(tmp_path: Path) -> None:
    folders = [
        stage(tmp_path / "align", [3 * math.exp(-n / 9) for n in range(40)]),
        stage(tmp_path / "finetune", [1.0]),  # a smoke run of one step
    ]
    draw_loss_curves(folders, tmp_path / "new" / "loss.png")
    picture = np.asarray(Image.open(tmp_path / "new" / "loss.png").convert("RGB")).astype(int)
    assert picture.shape[1] > 1.4 * picture.shape[0] > 0
    dark_blue = np.abs(picture - (0x1F, 0x4E, 0x8C)).sum(axis=2) < 30
    assert dark_blue[:, : picture.shape[1] // 2].sum() > 500


def test_missing_and_empty_logs_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing/trainer_state.json does not exist"):
        read_losses(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"align/trainer_state.json holds no loss"):
        read_losses(stage(tmp_path / "align", []))
