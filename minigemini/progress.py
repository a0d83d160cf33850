"""Progress of long work, on standard error: what is being done, how far it is, how many a second, and the time left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

T = TypeVar("T")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.speed or 0
        return Text(f"{speed:,.0f}/s" if speed >= 100 else f"{speed:.3g}/s" if speed else "")


class _Note(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(task.fields.get("note", ""))


def progress_bar(
    shown: bool = True, *, in_bytes: bool = False, console: Console | None = None, transient: bool = False
) -> Progress:
    """A bar, to be used as a context manager or started and stopped; the task field ``note`` is printed behind it.

    Args:
        shown: False: nothing is printed.
        in_bytes: what is counted are bytes.
        console: where to print, instead of standard error.
        transient: the bar goes away when it stops.
    """
    counted: list[ProgressColumn] = (
        [DownloadColumn(), TransferSpeedColumn()] if in_bytes else [MofNCompleteColumn(), _Rate()]
    )
    columns = [TextColumn("{task.description:24}"), BarColumn(), *counted, TimeRemainingColumn(), _Note()]
    return Progress(*columns, console=console or Console(stderr=True), transient=transient, disable=not shown)


def with_progress(items: Iterable[T], description: str, total: int, shown: bool = True) -> Iterator[T]:
    """The same items, with a bar while they are read (none for no items)."""
    with progress_bar(shown and total > 0) as bar:
        task = bar.add_task(description, total=total)
        for item in items:
            yield item
            bar.advance(task)
