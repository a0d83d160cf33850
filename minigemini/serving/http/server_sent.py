"""Server-sent events, the form of every stream of this API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi.responses import StreamingResponse

from minigemini.serving.http.errors import as_api_error, body
from minigemini.serving.http.metrics import tell_failed


async def server_sent(events: AsyncIterator[tuple[str | None, Any]]) -> StreamingResponse:
    """A response that sends ``(name, JSON)`` as they come.

    What is raised before the first of them has a status of its own; what comes later is an event ``error``.

    Raises:
        Exception: of the first event.
    """
    first = await anext(events)

    async def frames() -> AsyncIterator[str]:
        try:
            yield _frame(*first)
            async for event in events:
                yield _frame(*event)
        except Exception as error:
            tell_failed()
            yield _frame("error", body(as_api_error(error)))

    return StreamingResponse(frames(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _frame(name: str | None, content: Any) -> str:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return (f"event: {name}\n" if name else "") + f"data: {text}\n\n"
