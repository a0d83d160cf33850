"""What a server counts, for ``/metrics``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from minigemini.serving.events import Done, ImageDrawn, TextDelta

Item = TypeVar("Item")

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """The numbers of one server, in a registry of its own: another server in this process has others.

    Attributes:
        running, running_limit, waiting, waiting_limit: are set by who reads them.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "minigemini_requests",
            "Requests that have ended. status: of HTTP (429: the server was full); cancelled: the client left, before or in the "
            "answer; failed: a stream that broke off after its 200",
            ("endpoint", "status"),
            registry=registry,
        )
        self.running = Gauge(
            "minigemini_requests_running",
            "Requests that are being answered, those that wait included",
            registry=registry,
        )
        self.running_limit = Gauge(
            "minigemini_requests_running_limit", "So many at one time; more are rejected with 429", registry=registry
        )
        self.waiting = Gauge(
            "minigemini_queue_length", "Requests that wait for a place in the batch of the model", registry=registry
        )
        self.waiting_limit = Gauge(
            "minigemini_queue_capacity", "So many may wait; more are rejected with 429", registry=registry
        )
        self.first_token = Histogram(
            "minigemini_time_to_first_token_seconds",
            "From a request's arrival to the first text of its answer",
            buckets=SECONDS,
            registry=registry,
        )
        self.answer = Histogram(
            "minigemini_answer_seconds",
            "From a request's arrival to the end of its answer, pictures included; of those that were finished",
            buckets=SECONDS,
            registry=registry,
        )
        self.tokens_read = Counter(
            "minigemini_prompt_tokens", "Tokens that were read, those of pictures included", registry=registry
        )
        self.tokens_written = Counter("minigemini_completion_tokens", "Tokens that were written", registry=registry)
        self.pictures = Counter("minigemini_pictures_drawn", "Pictures that were drawn", registry=registry)

    def counted(self, make: Callable[[], Iterator[Item]], began: float) -> Iterator[Item]:
        """The events of ``make()``, each counted as it passes.

        Args:
            began: when the request arrived, by ``time.monotonic``.
        """
        silent = True
        for event in make():
            if isinstance(event, TextDelta) and silent:
                silent = False
                self.first_token.observe(time.monotonic() - began)
            elif isinstance(event, ImageDrawn):
                self.pictures.inc()
            elif isinstance(event, Done):
                self.tokens_read.inc(event.prompt_tokens)
                self.tokens_written.inc(event.new_tokens)
            yield event


@dataclass
class Exchange:
    """A request and its answer, as far as they have come.

    Attributes:
        status: of HTTP, once the answer has begun.
        whole: the answer is sent to its end.
        left: the client went before that.
        failed: what was to be sent could not be made.
    """

    status: int | None = None
    whole: bool = False
    left: bool = False
    failed: bool = False

    @property
    def outcome(self) -> str:
        if self.left:
            return "cancelled"
        if self.status is None:  # what was raised is answered outside of the application
            return "500"
        if self.status < 400 and (self.failed or not self.whole):
            return "failed"
        return str(self.status)


_exchange: ContextVar[Exchange] = ContextVar("exchange")


def tell_failed() -> None:
    """The answer to the request that is being answered here has failed, whatever status it has begun with."""
    _exchange.get(Exchange()).failed = True


class Counting:
    """Middleware around the application: counts each request when it has ended, those that are turned away at the door included."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange()
        _exchange.set(exchange)

        async def received() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not exchange.whole:
                exchange.left = True
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
            elif not message.get("more_body"):
                exchange.whole = True
            await send(message)

        try:
            await self.app(scope, received, sent)
        finally:
            # A path that is nobody's could be anything, each a series of its own.
            endpoint = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(endpoint, exchange.outcome).inc()
