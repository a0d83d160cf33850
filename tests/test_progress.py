import io
import time

from rich.console import Console

from minigemini.progress import progress_bar, with_progress


def test_a_bar_says_what_how_far_how_fast_and_what_else():
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    with progress_bar(console=console) as bar:
        task = bar.add_task("checking images", total=4, note="loss 2.5")
        bar.advance(task, 1)
        time.sleep(0.01)
        bar.advance(task, 1)
    shown = console.file.getvalue()
    assert all(text in shown for text in ("checking images", "2/4", "/s", "0:0", "loss 2.5"))


def test_items_come_through_and_a_hidden_bar_prints_nothing(capsys):
    assert list(with_progress("abc", "reading", 3, shown=False)) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")
