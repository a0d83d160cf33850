"""Numbers about pictures for the terminal and as JSON: every one with its interval and with the names of who drew and who judged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from minigemini.benchmarks.statistics.metric import RESAMPLES, SEED, Metric
from minigemini.benchmarks.statistics.paired import Difference


def show_and_write(
    out: Path,
    title: str,
    metrics: Sequence[Metric],
    about: Mapping[str, Any],
    differences: Sequence[Difference] = (),
    notes: Sequence[str] = (),
) -> None:
    """Prints a table and writes it to ``out / "results.json"``, with the versions of what the numbers depend on."""
    packages = ("minigemini", "torch", "transformers", "diffusers")
    results = {
        "title": title,
        "metrics": [
            {
                "name": m.name,
                "value": m.value,
                "unit": m.unit,
                "n": m.n,
                "clusters": len(m.images),
                "interval": m.interval,
            }
            for m in metrics
        ],
        "differences": [{**vars(d), "value": d.value, "resolved": d.resolved} for d in differences],
        "about": dict(about),
        "versions": {name: version(name) for name in packages},
        "bootstrap": {"resamples": RESAMPLES, "seed": SEED, "clusters": "prompts"},
        "notes": list(notes),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    console = Console(soft_wrap=True)
    console.print(title, style="bold", highlight=False, markup=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    for heading in ("value", "95 % interval", "n", "prompts", "p"):
        table.add_column(heading, justify="right")
    for m in metrics:
        table.add_row(Text(m.name), f"{m.value:.2f}", _interval(m.interval, ""), str(m.n), str(len(m.images)), "")
    for d in differences:
        table.add_row(
            Text(d.name), f"{d.value:+.2f}", _interval(d.interval, "+"), str(d.n), str(d.images), f"{d.p:.4f}"
        )
    console.print(table, highlight=False)
    for note in notes:
        console.print(note, style="dim", highlight=False, markup=False)
    console.print(f"written: {out / 'results.json'}", style="dim", highlight=False, markup=False)


def _interval(interval: tuple[float, float] | None, sign: str) -> str:
    return f"{interval[0]:{sign}.2f} .. {interval[1]:{sign}.2f}" if interval else "too few prompts"
