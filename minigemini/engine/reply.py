"""An answer as whoever asked sees it: events in order, the last of which says how it ended."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event as Flag

from minigemini.conversation import PromptSpan
from minigemini.engine.local import Answer


@dataclass(frozen=True)
class Failed:
    """This answer could not be finished; others go on."""

    reason: str
    error: Exception


Event = str | PromptSpan | Answer | Failed
"""Text, a drawing prompt when it is complete, and at last how the answer ended."""


class Reply:
    """The events of one answer, to be read once, by one thread. Who stops reading cancels.

    Args:
        seconds: how long the answer may take from now on, the time that it waits for its turn included; None: as long as it likes.
        cancelled: ends it when it is set, from any thread; one of its own if not given.
    """

    def __init__(self, seconds: float | None = None, cancelled: Flag | None = None) -> None:
        self.cancelled = cancelled or Flag()
        self._seconds = seconds
        self._ends = math.inf if seconds is None else time.monotonic() + seconds
        self._events: SimpleQueue[Event] = SimpleQueue()

    def __iter__(self) -> Iterator[Event]:
        try:
            while True:
                event = self._events.get()
                yield event
                if isinstance(event, Answer | Failed):
                    return
        finally:
            self.cancelled.set()

    def cancel(self) -> None:
        """Ends the answer at the next step with what is written so far; from any thread."""
        self.cancelled.set()

    @property
    def out_of_time(self) -> TimeoutError | None:
        """What to fail with, once the time is over."""
        if time.monotonic() < self._ends:
            return None
        return TimeoutError(f"no answer within {self._seconds:g} seconds")

    def put(self, event: Event) -> None:
        self._events.put(event)
