"""The curves of runs, one over the other, as a picture: ``minigemini runs compare A B --out compared.png``.

Reads the ``trainer_state.json`` that training leaves in each output folder and in each of its checkpoints.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

SMOOTHING = 1 / 60  # width of the smoothing, as a share of the curve
PANELS = {  # key of a log line, or its end with *, -> axis
    "loss": "training loss (nats per token)",
    "eval_*_loss": "validation loss (nats per token)",
    "learning_rate": "learning rate",
    "tokens_per_second": "tokens per second",
}
COLOURS = ("#1f4e8c", "#c8551b", "#2f7d4f", "#7b3f98", "#a3862a", "#4a4a4a", "#b3355f", "#2a8b97")
STYLES = ("-", "--", ":", "-.")
Curve = tuple[list[int], list[float]]  # steps, values


def read_curves(folder: Path) -> dict[str, dict[str, Curve]]:
    """For each panel the curves of a run by their key: one, or one for each validation source.

    Raises:
        ValueError: the folder has no ``trainer_state.json``, or nothing was logged in it.
    """
    path = folder / "trainer_state.json"
    if not path.is_file():
        raise ValueError(f"{path} does not exist; is {folder} the output folder of a training stage, or a checkpoint?")
    history: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["log_history"]
    if not any("loss" in entry for entry in history):
        raise ValueError(f"{path} holds no loss; was `logging_steps` larger than the number of steps?")
    found: dict[str, dict[str, Curve]] = {}
    for panel in PANELS:
        start, star, end = panel.partition("*")
        for entry in history:
            for key in entry:
                if key == panel or (star and key.startswith(start) and key.endswith(end)):
                    steps, values = found.setdefault(panel, {}).setdefault(key, ([], []))
                    steps.append(entry["step"])
                    values.append(entry[key])
    return found


def smooth(values: Sequence[float], width: float) -> list[float]:
    """Mean over neighbours on both sides, Gaussian weights: no lag behind a falling curve, unlike a running mean.

    Args:
        width: standard deviation of the weights, in logged points.
    """
    reach = int(4 * width) + 1
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    total = np.convolve(values, weights)[reach:-reach]
    return (total / np.convolve(np.ones(len(values)), weights)[reach:-reach]).tolist()


def names_of(folders: Sequence[Path]) -> list[str]:
    """As much of the end of each path as tells it from the others."""
    for depth in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    raise ValueError(f"a run is named twice: {', '.join(map(str, folders))}")


def compare_runs(folders: Sequence[Path], out: Path) -> None:
    """One panel for what any of the runs logged, one colour a run. The training loss is drawn as logged, faint, and smoothed.

    Raises:
        ValueError: see :func:`read_curves`; or a run is named twice.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    runs = list(zip(names_of(folders), map(read_curves, folders), strict=True))
    panels = [panel for panel in PANELS if any(panel in curves for _, curves in runs)]
    figure = Figure(figsize=(5.6 * min(2, len(panels)), 3.6 * -(-len(panels) // 2)), layout="constrained")
    FigureCanvasAgg(figure)  # no window, no global state
    axes = figure.subplots(-(-len(panels) // 2), min(2, len(panels)), squeeze=False).flatten()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, panel in zip(axes, panels, strict=False):
        last_step = 1
        for number, (name, curves) in enumerate(runs):
            colour = COLOURS[number % len(COLOURS)]
            for style, (key, (steps, values)) in enumerate(curves.get(panel, {}).items()):
                drawn = values
                if panel == "loss":
                    axis.plot(steps, values, color=colour, linewidth=0.8, alpha=0.3)
                    drawn = smooth(values, max(0.5, SMOOTHING * len(values)))
                source = key.removeprefix("eval_").removesuffix("_loss") if "*" in panel else ""
                label = f"{name} {source}".strip() + (f", at the end {drawn[-1]:.3f}" if "loss" in panel else "")
                marker = "o" if len(steps) < (30 if "*" in panel else 2) else ""  # a run of one step is a point
                line = STYLES[style % len(STYLES)]
                axis.plot(steps, drawn, line, color=colour, linewidth=2, label=label, marker=marker, markersize=4)
                last_step = max(last_step, steps[-1])
        axis.set_title(PANELS[panel], loc="left", fontweight="bold")
        axis.set_xlabel("optimizer step")
        axis.set_xlim(0, last_step)
        axis.set_ylim(0, None)
        axis.grid(color="#e6e6e6", linewidth=0.8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=150)
