import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minigemini.cli import main
from minigemini.training.compare_runs import names_of, read_curves, smooth


def stage(folder: Path, losses: list[float], every: int = 1, held_out: bool = False) -> Path:
    folder.mkdir(parents=True)
    history: list[dict] = []
    for number, loss in enumerate(losses):
        step = every * (number + 1)
        history.append({"step": step, "loss": loss, "learning_rate": 1e-3, "tokens_per_second": 900.0})
        if held_out:
            history.append({"step": step, "eval_a_loss": loss + 0.1, "eval_b_loss": loss + 0.2})
    history.append({"step": every * len(losses), "train_runtime": 12.5, "train_loss": 1.0})
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    return folder


def test_reads_what_was_logged_by_panel(tmp_path: Path) -> None:
    curves = read_curves(stage(tmp_path / "align", [3.0, 2.0], every=10, held_out=True))
    assert curves["loss"] == {"loss": ([10, 20], [3.0, 2.0])}
    assert curves["eval_*_loss"]["eval_b_loss"] == ([10, 20], [3.2, 2.2])
    assert curves["tokens_per_second"]["tokens_per_second"][1] == [900.0, 900.0]
    assert "eval_*_loss" not in read_curves(stage(tmp_path / "other", [3.0]))


def test_smoothing_keeps_lines_and_takes_away_noise() -> None:
    assert smooth([2.0] * 7, 3) == pytest.approx([2.0] * 7)
    falling = smooth([float(-n) for n in range(100)], 3)
    assert falling[50] == pytest.approx(-50)  # no lag
    rng = random.Random(0)
    noisy = [rng.gauss(1, 0.5) for _ in range(600)]
    assert np.std(smooth(noisy, 10)) < 0.12
    assert smooth([1.5], 0.5) == pytest.approx([1.5])


def test_a_run_is_called_by_what_tells_it_from_the_others() -> None:
    assert names_of([Path("runs/a/align"), Path("runs/a/finetune")]) == ["align", "finetune"]
    assert names_of([Path("runs/a/align"), Path("runs/b/align")]) == ["a/align", "b/align"]
    with pytest.raises(ValueError, match="named twice"):
        names_of([Path("runs/a"), Path("runs/a")])


def test_curves_lie_one_over_the_other(tmp_path: Path, capsys) -> None:
    falling = [3 * math.exp(-n / 9) for n in range(40)]
    folders = [
        stage(tmp_path / "first", falling, held_out=True),
        stage(tmp_path / "second", [0.7 * loss for loss in falling], held_out=True),
        stage(tmp_path / "smoke", [1.0]),  # of one step
    ]
    out = tmp_path / "new" / "compared.png"
    assert main(["runs", "compare", *map(str, folders), "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    picture = np.asarray(Image.open(out).convert("RGB")).astype(int)
    half = picture.shape[1] // 2
    for colour in ((0x1F, 0x4E, 0x8C), (0xC8, 0x55, 0x1B)):
        of_run = np.abs(picture - colour).sum(axis=2) < 30
        assert of_run[:, :half].sum() > 500
        assert of_run[:, half:].sum() > 500


def test_missing_and_empty_logs_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing/trainer_state.json does not exist"):
        read_curves(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"align/trainer_state.json holds no loss"):
        read_curves(stage(tmp_path / "align", []))
