"""The answer to a request to ``/v1/responses``: its items as they are made, and the events of a stream that tell of them.

A text is a ``message``, a picture an ``image_generation_call``, in reading order: text after a picture is a message of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from minigemini.serving.events import (
    Event,
    ImageDrawn,
    ImageFailed,
    ImagePreview,
    ImageProgress,
    ImageStarted,
    Notice,
    TextDelta,
)
from minigemini.serving.http.pictures import as_base64, png

OUTPUT_FORMAT = "png"


@dataclass
class Output:
    """
    Attributes:
        items: those that are done, and the one that is being made.
        notices: what the user is told beside them.
    """

    items: list[dict[str, Any]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    _writing: bool = False
    _blank: str = ""
    """that was written where no message is yet: it may be all that comes between two pictures"""
    _previews: int = 0
    """of the picture that is being drawn"""

    def add(self, event: Event) -> Iterator[dict[str, Any]]:
        """What a stream tells of it: nothing of notices, and of :class:`Done` nothing yet."""
        if isinstance(event, TextDelta):
            yield from self._write(event.text)
        elif isinstance(event, ImageStarted):
            yield from self._end_message()
            self._previews = 0
            yield self._begin(
                {
                    "id": f"ig_{uuid.uuid4().hex}",
                    "type": "image_generation_call",
                    "status": "in_progress",
                    "result": None,
                }
                | {"revised_prompt": event.prompt}
            )
            yield self._drawing("in_progress")
        elif isinstance(event, ImageProgress):
            if self._last["status"] == "in_progress":
                self._last["status"] = "generating"
                yield self._drawing("generating")
        elif isinstance(event, ImagePreview):
            told = {"partial_image_index": self._previews, "partial_image_b64": as_base64(png(event.image, None))}
            yield self._drawing("partial_image") | told | {"output_format": OUTPUT_FORMAT}
            self._previews += 1
        elif isinstance(event, ImageDrawn):
            self._last.update(
                status="completed",
                result=as_base64(png(event.image, event.record)),
                revised_prompt=event.record.prompt,
                size=f"{event.image.width}x{event.image.height}",
                output_format=OUTPUT_FORMAT,
            )
            yield self._drawing("completed")
            yield self._item("response.output_item.done")
        elif isinstance(event, ImageFailed):
            self.notices.append(f"not drawn: {event.reason}")
            self._last.update(status="failed", error={"type": "image_generation_error", "message": event.reason})
            yield self._item("response.output_item.done")
        elif isinstance(event, Notice):
            self.notices.append(event.text)

    def finish(self, status: str) -> Iterator[dict[str, Any]]:
        """Nothing comes any more; there is a message in any case.

        Args:
            status: of the message that is being written: ``completed`` or, cut, ``incomplete``.
        """
        if not self.items:
            yield from self._begin_message()
        yield from self._end_message(status)

    def _write(self, text: str) -> Iterator[dict[str, Any]]:
        if not self._writing:
            text = self._blank + text
            if not text.strip():
                self._blank = text
                return
            if not self.items:
                text = text.lstrip()  # models write a blank before their first word
            yield from self._begin_message()
        self._last["content"][0]["text"] += text
        yield self._part("response.output_text.delta", delta=text, logprobs=[])

    def _begin_message(self) -> Iterator[dict[str, Any]]:
        self._writing, self._blank = True, ""
        empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        message = {"id": f"msg_{uuid.uuid4().hex}", "type": "message", "status": "in_progress", "role": "assistant"}
        yield self._begin(message | {"content": []})
        self._last["content"].append(dict(empty))
        yield self._part("response.content_part.added", part=empty)

    def _end_message(self, status: str = "completed") -> Iterator[dict[str, Any]]:
        if self._writing:
            self._writing = False
            self._last["status"] = status
            (part,) = self._last["content"]
            yield self._part("response.output_text.done", text=part["text"], logprobs=[])
            yield self._part("response.content_part.done", part=dict(part))
            yield self._item("response.output_item.done")

    def _begin(self, item: dict[str, Any]) -> dict[str, Any]:
        self.items.append(item)
        return self._item("response.output_item.added")

    @property
    def _last(self) -> dict[str, Any]:
        return self.items[-1]

    def _item(self, kind: str) -> dict[str, Any]:
        item = self._last | ({"content": [*self._last["content"]]} if "content" in self._last else {})
        return {"type": kind, "output_index": len(self.items) - 1, "item": item}

    def _part(self, kind: str, **told: Any) -> dict[str, Any]:
        place = {"output_index": len(self.items) - 1, "item_id": self._last["id"], "content_index": 0}
        return {"type": kind, **place, **told}

    def _drawing(self, what: str) -> dict[str, Any]:
        kind = f"response.image_generation_call.{what}"
        return {"type": kind, "output_index": len(self.items) - 1, "item_id": self._last["id"]}
