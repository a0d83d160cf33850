"""The application: its endpoints, and what stands around them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from fastapi import FastAPI

from minigemini.serving.http import attention, chat_completions, image_edits, images, models, page, responses
from minigemini.serving.http.door import Door
from minigemini.serving.http.errors import add_error_handlers
from minigemini.serving.http.metrics import Counting
from minigemini.serving.http.served import Served


def new_app(served: Served, keys: Sequence[str] = (), hosts: Sequence[str] | None = None) -> FastAPI:
    """
    Args:
        keys, hosts: as of :class:`Door`.
    """
    # FastAPI's pages of documentation would fetch their scripts from another site; the schema is at /openapi.json.
    app = FastAPI(title="minigemini", version=version("minigemini"), docs_url=None, redoc_url=None)
    app.state.served = served
    app.add_middleware(Door, keys=keys, hosts=hosts)
    app.add_middleware(Counting, metrics=served.feed.metrics)  # around the door: the last one added is the outermost
    add_error_handlers(app)
    for endpoints in (chat_completions, responses, images, image_edits, attention, models, page):
        app.include_router(endpoints.router)
    app.mount("/page", page.PageFiles())
    return app
