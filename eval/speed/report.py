"""Tables as Markdown, and the place in the README that they fill."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

START, END = "<!-- measured: start -->", "<!-- measured: end -->"


@dataclass
class Table:
    caption: str
    rows: list[dict[str, Any]]  # every row has the same keys: the columns

    def markdown(self) -> str:
        columns = list(self.rows[0])
        lines = [columns, ["---:" if is_number(column, self.rows) else "---" for column in columns]]
        lines += [[cell(row[column]) for column in columns] for row in self.rows]
        return f"{self.caption}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def is_number(column: str, rows: list[dict[str, Any]]) -> bool:
    return any(isinstance(row[column], (int, float)) for row in rows)


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def at_least(target: float, found: float | None) -> str:
    return f">= {target:.3g}{verdict(found is not None and found >= target, found)}"


def at_most(target: float, found: float | None) -> str:
    return f"<= {target:.3g}{verdict(found is not None and found <= target, found)}"


def verdict(met: bool, found: float | None) -> str:
    return "" if found is None else " ok" if met else " MISSED"


def document(result: dict[str, Any]) -> str:
    """All that was measured on one machine."""
    parts = [f"### {result['name']}\n"]
    for name, entry in result["benchmarks"].items():
        machine, roofs = entry["machine"], entry["roofs"]
        gpu = f", {machine['gpu']} with {machine['gpu_memory_gb']} GB" if machine["gpu"] else ""
        versions = ", ".join(f"{key} {machine[key]}" for key in ("python", "torch", "transformers", "timm", "pillow"))
        changes = " with uncommitted changes" if entry["uncommitted_changes"] else ""
        commit = (entry["commit"] or "no commit")[:12]
        parts.append(
            f"#### {name}\n\n"
            f"{entry['measured']}, commit {commit}{changes}, {entry['seconds']:.0f} s. {machine['cpu']}, {machine['cores']} cores,"
            f" {machine['threads']} threads, {machine['memory_gb']} GB{gpu}; load before: {machine['load_before']}; {versions}."
            f" The machine can do {roofs['flops_per_second'] / 1e9:,.0f} GFLOP/s (matrix product) and move"
            f" {roofs['bytes_per_second'] / 1e9:,.0f} GB/s (copy).\n"
        )
        parts += [Table(table["caption"], table["rows"]).markdown() for table in entry["tables"]]
    return "\n".join(parts)


def fill(readme: Path, documents: list[str]) -> None:
    """Put the documents between the two marks of ``readme``.

    Raises:
        ValueError: it does not have both marks once.
    """
    text = readme.read_text(encoding="utf-8")
    if text.count(START) != 1 or text.count(END) != 1:
        raise ValueError(f"{readme} must have {START} and {END} once each")
    before, rest = text.split(START)
    after = rest.split(END)[1]
    readme.write_text(f"{before}{START}\n\n" + "\n".join(documents) + f"\n{END}{after}", encoding="utf-8")
