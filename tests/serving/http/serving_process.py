"""``minigemini serve`` as a process of its own."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]


class Server:
    """
    Attributes:
        address: without a slash at the end.
        said: the lines on stderr so far.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        for line in process.stderr:
            self.said.append(line)
            if answers := re.search(r"answers at (http://\S+)/v1", line):
                self.address = answers[1]
                break
        else:
            raise AssertionError("it ended: " + "".join(self.said))
        # Its pipe must not fill up.
        threading.Thread(target=lambda: self.said.extend(process.stderr), daemon=True).start()


@contextmanager
def serving(*command: str) -> Iterator[Server]:
    """``command`` of this Python, such as ``-m minigemini serve``, from when it answers on; it is killed at the end if it still runs."""
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield Server(process)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
