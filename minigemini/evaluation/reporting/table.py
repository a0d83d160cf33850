"""The one writer of tables, for the terminal and as Markdown: every number with n, interval, floor and controls; every difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table as TerminalTable
from rich.text import Text

from minigemini.benchmarks.score import NEEDS_JUDGE, NO_GOLD
from minigemini.evaluation.reporting.expected import list_published
from minigemini.evaluation.reporting.result import Number, Result, parts_as_json, value_text, write_json

NO_COMPLAINT = "Every floor is reached, and every control that must fail does."


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column names the row. What ends with "!" is not as it should be."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> list[str]:
        lines = [self.headings, ["---", *["---:"] * (len(self.headings) - 1)], *self.rows]
        return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]

    def print(self, console: Console) -> None:
        table = TerminalTable(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for number, heading in enumerate(self.headings):
            justify = "right" if number else "left"
            table.add_column(Text("\n".join(heading.rsplit(" ", 1))), justify=justify, overflow="fold")  # type: ignore[arg-type]
        for row in self.rows:
            table.add_row(*(Text(cell, "bold red" if cell.endswith("!") else "") for cell in row))
        console.print(table, highlight=False)


def columns_of(numbers: Sequence[Number]) -> list[str]:
    """The controls that have a column: those of a quarter of the numbers or more. The others stand in a sentence."""
    names = dict.fromkeys(name for one in numbers for name in one.controls)
    return [name for name in names if 4 * sum(name in one.controls for one in numbers) >= len(numbers)]


def table_of_numbers(numbers: Sequence[Number]) -> Table:
    columns = columns_of(numbers)
    floors = any(one.floor is not None for one in numbers)
    images = any(one.images != one.n for one in numbers)
    rows = []
    for one in numbers:
        cells = [one.name, value_text(one.value, one.unit)]
        cells += [f"{one.interval[0]:.2f} .. {one.interval[1]:.2f}" if one.interval else "too few images", str(one.n)]
        cells += [str(one.images)] if images else []
        if floors:
            cells += ["" if one.floor is None else f"{one.floor:g}{' !' if one.below_floor else ''}"]
        rows.append([*cells, *(control_text(one, name) for name in columns)])
    headings = ["", "value", "95 % interval", "n", *["images"] * images, *["floor"] * floors]
    return Table([*headings, *columns], rows)


def control_text(number: Number, control: str) -> str:
    if control not in number.controls:
        return ""
    found = number.controls[control]
    return f"{found.value:.2f}" + ("!" if found.too_good else "")


def table_of_differences(result: Result) -> Table:
    several = len({(pair.a_is, pair.b_is) for pair in result.differences}) > 1
    rows = []
    for pair in result.differences:
        one = pair.difference
        interval = f"{one.interval[0]:+.2f} .. {one.interval[1]:+.2f}" if one.interval else "one image"
        name = f"{one.name}: {pair.b_is} - {pair.a_is}" if several else one.name
        numbers = (f"{one.a:.2f}", f"{one.b:.2f}", f"{one.value:+.2f}", interval, f"{one.p:.4f}", str(one.n))
        rows.append([name, *numbers, "yes" if one.resolved else "no"])
    return Table(["", "A", "B", "B-A", "95 % interval", "p", "n", "resolved"], rows)


def tables_of(result: Result) -> list[Table]:
    tables = [table_of_numbers(result.numbers)] if result.numbers else []
    return [*tables, table_of_differences(result)] if result.differences else tables


def title_of(result: Result) -> str:
    return f"{result.benchmark}@{result.protocol}" + (f": {result.model}" if result.model else "")


def notes_of(result: Result) -> list[str]:
    """What does not fit into the tables."""
    notes = []
    if result.verdicts and result.status != NO_GOLD:
        rate = result.unparsable / len(result.verdicts)
        notes.append(f"unparsable, counted as wrong: {result.unparsable} of {len(result.verdicts)} ({rate:.1%})")
    columns = columns_of(result.numbers)
    others = [
        f"{one.name}: {name} {control_text(one, name)}"
        for one in result.numbers
        for name in one.controls
        if name not in columns
    ]
    if others:
        notes.append(f"other controls: {'; '.join(others)}")
    apart = [f"{one.name} {one.value - one.expected:+.2f}" for one in result.numbers if one.expected is not None]
    if apart:
        notes.append(f"against {result.expected_of}: {', '.join(apart)}")
    return [*notes, *result.notes, *list_published(result)]


def status_of(result: Result) -> str | None:
    """Why there is nothing in the table."""
    if result.numbers or result.differences:
        return None
    how = "; see `minigemini eval judge`" if result.status == NEEDS_JUDGE else ""
    return f"{result.status}: no number{how}"


def as_markdown(result: Result) -> str:
    lines = [f"# {title_of(result)}", "", result.says]
    if status := status_of(result):
        lines += ["", f"**{status}**"]
    for table in tables_of(result):
        lines += ["", *table.markdown()]
    lines += ["", "  \n".join(notes_of(result))]
    if result.makes_promises:
        lines += ["", *([f"- **{complaint}**" for complaint in result.complaints()] or [NO_COMPLAINT])]
    return "\n".join(lines) + "\n"


def print_result(result: Result, console: Console) -> None:
    """The tables, fit for 80 columns, then what there is to complain about."""

    def say(text: str, style: str) -> None:
        console.print(text, style=style, highlight=False, markup=False)

    say(title_of(result), "bold")
    say(result.says, "dim")
    if status := status_of(result):
        say(status, "bold red")
    for table in tables_of(result):
        table.print(console)
    for note in notes_of(result):
        say(note, "dim")
    for complaint in result.complaints():
        say(complaint, "bold red")
    if result.makes_promises and not result.complaints():
        say(NO_COMPLAINT, "green")


def write_result(folder: Path, result: Result) -> None:
    """``results.json`` and ``results.md``."""
    write_json(folder / "results.json", result.as_json())
    (folder / "results.md").write_text(as_markdown(result), encoding="utf-8")


def show_result(folder: Path, result: Result, console: Console) -> None:
    """Writes it, then prints it: whoever reads what is printed may go away in the middle."""
    write_result(folder, result)
    print_result(result, console)


def write_parts(folder: Path, name: str, parts: Mapping[str, Result], after: str = "") -> None:
    """``NAME.json`` and ``NAME.md`` of all parts: the numbers, without the rows."""
    write_json(folder / f"{name}.json", parts_as_json(parts))
    text = "\n".join([*map(as_markdown, parts.values()), *([after] if after else [])])
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
