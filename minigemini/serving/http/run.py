"""``minigemini serve MODEL``"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from transformers.utils import logging

from minigemini import nano
from minigemini.checkpoints.load import load
from minigemini.engine.local import LocalEngine
from minigemini.engine.many import EngineForMany
from minigemini.safety.refusal import resolve_working
from minigemini.serving.http.app import new_app
from minigemini.serving.http.door import LOOPBACK, read_keys
from minigemini.serving.http.feed import Feed
from minigemini.serving.http.options import ServeOptions
from minigemini.serving.http.served import Served
from minigemini.serving.load_session import check_generator, load_generator
from minigemini.serving.options import ChatOptions

SECONDS_TO_FINISH = 30
"""How long the requests that are being answered may take when the server is told to end."""

MOST = 128
"""Requests that are being answered at one time, those that wait for a place in the batch included."""
TIME_LIMIT = 600.0
"""Seconds that the answer to one request may take."""


def serve(options: ServeOptions) -> int:
    """Load a model and answer requests until SIGINT or SIGTERM; what is being answered then is finished, within a limit.

    Raises:
        ValueError: the model, the generator, the safety filter or the keys cannot be loaded.
        OSError: nothing can listen at that address.
    """
    keys = [] if options.api_key_file is None else read_keys(options.api_key_file)
    named = ChatOptions(model=options.model, generator=options.generator).generator_name
    nano.resolve(options.model)
    if named is not None:
        check_generator(named)
    safety = None if options.safety is None else resolve_working(options.safety)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with socket.create_server((options.host, options.port), family=family, backlog=1024) as listener:
        logging.disable_progress_bar()
        engine = EngineForMany(LocalEngine(*load(options.model)), waiting=MOST)
        generator = None if named is None else load_generator(named)
        local = Path(options.model).is_dir()
        name = Path(options.model).resolve().name if local else options.model
        served = Served(
            name, engine, generator, Feed(MOST, TIME_LIMIT), safety=safety, picture_hosts=options.picture_hosts
        )
        on_loopback = options.host in LOOPBACK
        app = new_app(served, keys, LOOPBACK if on_loopback else None)
        port = listener.getsockname()[1]
        host = f"[{options.host}]" if ":" in options.host else options.host
        print(f"minigemini: {name} answers at http://{host}:{port}/v1", file=sys.stderr, flush=True)
        if not on_loopback and not keys:
            print("minigemini: everybody who reaches this address may use it; see --api-key-file", file=sys.stderr)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=SECONDS_TO_FINISH)
        with signals_that_end_nothing():
            uvicorn.Server(config).run(sockets=[listener])
        served.feed.close()
        engine.close(cancel=True)
    return 0


@contextmanager
def signals_that_end_nothing() -> Iterator[None]:
    """uvicorn ends at a signal as it should, and then raises it once more: the exit status would be that of a process that was killed."""
    before = {ending: signal.signal(ending, lambda *_: None) for ending in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)
