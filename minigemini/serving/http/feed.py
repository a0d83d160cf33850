"""From the threads that answer to the loop that serves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Flag
from typing import Any, TypeVar

from fastapi import Request

from minigemini.engine.many import Busy, Closed
from minigemini.serving.http.metrics import Metrics, tell_failed

Item = TypeVar("Item")


class Feed:
    """Runs what answers requests, each in a thread of its own.

    Args:
        most: requests that are being answered at one time, those that wait for the model included; more are refused.
        seconds: time limit of one of them, waiting and drawing included.

    Attributes:
        metrics: count what passes.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self.most = most
        self.seconds = seconds
        self.running = 0
        self.metrics = Metrics()
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="request")
        self._closed = False

    async def items(self, make: Callable[[], Iterator[Item]], cancelled: Flag) -> AsyncIterator[Item]:
        """What ``make()`` gives, as it comes.

        Args:
            cancelled: is set when nobody reads any more; ``make()`` is to end soon then.

        Raises:
            Busy: too many requests are being answered.
            Closed: :meth:`close` was called.
            TimeoutError: it took longer than it may.
            Exception: of ``make``.
        """
        if self._closed:
            raise Closed("the server is shutting down")
        if self.running >= self.most:
            raise Busy(f"{self.most} requests are being answered already")
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        arrived: asyncio.Queue[tuple[Item] | Exception | None] = asyncio.Queue()

        def run() -> None:
            last: Exception | None = None
            try:
                for item in self.metrics.counted(make, began):
                    loop.call_soon_threadsafe(arrived.put_nowait, (item,))
            except Exception as error:
                last = error
            loop.call_soon_threadsafe(end, last)

        def end(last: Exception | None) -> None:
            self.running -= 1  # not before the thread is free
            arrived.put_nowait(last)

        self.running += 1
        self._threads.submit(run)
        try:
            while True:
                try:
                    next_one = await asyncio.wait_for(arrived.get(), began + self.seconds - time.monotonic())
                except TimeoutError:
                    tell_failed()
                    raise TimeoutError(f"no answer within {self.seconds:g} seconds") from None
                if next_one is None:
                    self.metrics.answer.observe(time.monotonic() - began)
                    return
                if isinstance(next_one, Exception):
                    tell_failed()
                    raise next_one
                yield next_one[0]
        finally:
            cancelled.set()

    def close(self) -> None:
        """Takes no more; what runs goes on."""
        self._closed = True
        self._threads.shutdown(wait=False)


async def unless_gone(request: Request, work: Coroutine[Any, Any, Item]) -> Item:
    """The result of ``work``, which is cancelled when the client leaves."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    leaving = asyncio.create_task(gone())
    working = asyncio.create_task(work)
    try:
        await asyncio.wait({leaving, working}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
        return await working
    finally:
        leaving.cancel()
