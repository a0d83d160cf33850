"""One model, many clients: requests wait in a bounded queue and are decoded together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from threading import Condition, Thread
from threading import Event as Flag
from types import TracebackType

from minigemini.conversation import PromptSpan
from minigemini.engine.batch import Batch, Row
from minigemini.engine.local import Answer, LocalEngine
from minigemini.engine.reply import Failed, Reply
from minigemini.engine.request import Request


class Busy(Exception):
    """As many requests wait as may; ask again later."""


class Closed(Exception):
    """The engine takes no more requests."""


class EngineForMany:
    """Answers requests from any number of threads, each as it would be answered alone. One thread of its own runs the model.

    Args:
        engine: the model. Who holds its :meth:`LocalEngine.alone` stops the batch meanwhile.
        slots: requests that are decoded together at most.
        waiting: requests that may wait for a slot.
    """

    def __init__(self, engine: LocalEngine, slots: int = 32, waiting: int = 64) -> None:
        self.engine = engine
        self.slots = slots
        self.waiting = waiting
        self._rows: deque[Row] = deque()  # that wait
        self._closing = self._cancelling = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="engine for many", daemon=True)
        self._thread.start()

    def submit(self, request: Request, seconds: float | None = None, cancelled: Flag | None = None) -> Reply:
        """Pictures are opened and the text is cut into tokens here, in the thread that asks.

        Args:
            seconds, cancelled: as of :class:`Reply`; who exceeds the time ends with :class:`Failed` and a TimeoutError.

        Raises:
            ValueError: the request cannot be answered, as of :class:`Row`.
            Busy: the queue is full.
            Closed: :meth:`close` was called.
        """
        self._refuse()  # before the work of reading it
        row = Row(self.engine, request, seconds, cancelled)
        with self._changed:
            self._refuse()
            self._rows.append(row)
            self._changed.notify()
        return row.reply

    def stream(
        self, request: Request, cancelled: Flag, seconds: float | None = None
    ) -> Iterator[str | PromptSpan | Answer]:
        """As :meth:`LocalEngine.stream`; errors as of :meth:`submit`, and at the end that of an answer that failed."""
        reply = self.submit(request, seconds, cancelled)

        def pieces() -> Iterator[str | PromptSpan | Answer]:
            for event in reply:
                if isinstance(event, Failed):
                    raise event.error
                yield event

        return pieces()

    @property
    def alive(self) -> bool:
        """Whether requests are taken and answered."""
        return self._thread.is_alive() and not self._closing

    @property
    def queued(self) -> int:
        """Requests that wait for a slot."""
        return len(self._rows)

    def close(self, cancel: bool = False) -> None:
        """Takes no more requests, and returns when those it has are answered.

        Args:
            cancel: they end at once, with what is written so far.
        """
        with self._changed:
            self._closing = True
            self._cancelling = cancel
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> EngineForMany:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(cancel=error is not None)

    def _refuse(self) -> None:
        if self._closing:
            raise Closed("the engine is closed")
        if len(self._rows) >= self.waiting:
            raise Busy(f"{self.waiting} requests wait already")

    def _run(self) -> None:
        batch = Batch(self.engine)
        while (arrivals := self._arrivals(batch)) is not None:
            with self.engine.alone():
                try:
                    batch.step()
                except Exception as error:  # of the step that all of them share
                    for row in batch.rows:
                        row.fail(error)
                    batch = Batch(self.engine)
                batch.join(arrivals)

    def _arrivals(self, batch: Batch) -> list[Row] | None:
        """Who joins now; waits where there is nothing to do. None: there will never be."""
        with self._changed:
            while not (self._rows or batch.rows or self._closing):
                self._changed.wait()
            if not (self._rows or batch.rows):
                return None
            if self._cancelling:
                for row in [*self._rows, *batch.rows]:
                    row.reply.cancel()
            self._rows = deque(row for row in self._rows if not row.end_if_over())
            return [self._rows.popleft() for _ in range(min(len(self._rows), self.slots - len(batch.rows)))]
