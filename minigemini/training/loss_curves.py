"""The losses of the training stages as one picture.

    python -m minigemini.training.loss_curves runs/nano/align runs/nano/finetune --out runs/nano/loss.png

Reads the ``trainer_state.json`` that the HF Trainer leaves in each output folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SMOOTHING = 1 / 60  # width of the smoothing, as a share of the curve


def read_losses(folder: Path) -> tuple[list[int], list[float]]:
    """Steps and training losses that a stage logged.

    Raises:
        ValueError: the folder has no ``trainer_state.json``, or nothing was logged in it.
    """
    path = folder / "trainer_state.json"
    if not path.is_file():
        raise ValueError(f"{path} does not exist; is {folder} the output folder of a finished training stage?")
    logged = [entry for entry in json.loads(path.read_text())["log_history"] if "loss" in entry]
    if not logged:
        raise ValueError(f"{path} holds no loss; was `logging_steps` larger than the number of steps?")
    return [entry["step"] for entry in logged], [entry["loss"] for entry in logged]


def smooth(losses: Sequence[float], width: float) -> list[float]:
    """Mean over neighbours on both sides, Gaussian weights: no lag behind a falling curve, unlike a running mean.

    Args:
        width: standard deviation of the weights, in logged points.
    """
    reach = int(4 * width) + 1
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    total = np.convolve(losses, weights)[reach:-reach]
    return (total / np.convolve(np.ones(len(losses)), weights)[reach:-reach]).tolist()


def draw_loss_curves(folders: Sequence[Path], out: Path) -> None:
    """One panel a stage, named after its folder: every logged loss, faint, and their course, smoothed.

    Raises:
        ValueError: see :func:`read_losses`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = [(folder.name, *read_losses(folder)) for folder in folders]
    figure = Figure(figsize=(5.2 * len(curves), 3.6), layout="constrained")
    FigureCanvasAgg(figure)  # no window, no global state
    for panel, (name, steps, losses) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves, strict=True):
        smoothed = smooth(losses, max(0.5, SMOOTHING * len(losses)))
        panel.plot(steps, losses, color="#9db8d9", linewidth=0.8, label="as logged")
        panel.plot(steps, smoothed, color="#1f4e8c", linewidth=2, label=f"smoothed, at the end {smoothed[-1]:.3f}")
        panel.set_title(name, loc="left", fontweight="bold")
        panel.set_xlabel("optimizer step")
        panel.set_ylabel("loss (nats per token)")
        panel.set_xlim(0, steps[-1])
        panel.set_ylim(0, None)
        panel.grid(color="#e6e6e6", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the losses of training stages.")
    parser.add_argument("folders", nargs="+", type=Path, help="output folders of the stages, in order")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    arguments = parser.parse_args()
    draw_loss_curves(arguments.folders, arguments.out)


if __name__ == "__main__":
    main()
