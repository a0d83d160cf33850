"""The progress bar of the check pass and of training: how far, how many a second, how long still."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

T = TypeVar("T")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(
            f"{task.speed:.{0 if task.speed >= 20 else 1}f}/s" if task.speed else "", style="progress.data.speed"
        )


def progress_bar(shown: bool = True) -> Progress:
    """A bar on stderr, a context manager; the task field ``note`` is printed behind it."""
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True), disable=not shown)


def with_progress(items: Iterable[T], description: str, total: int, shown: bool = True) -> Iterator[T]:
    """The same items, with a bar while they are read (none for no items)."""
    with progress_bar(shown and total > 0) as bar:
        task = bar.add_task(description, total=total, note="")
        for item in items:
            yield item
            bar.advance(task)
