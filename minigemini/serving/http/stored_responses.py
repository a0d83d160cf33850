"""Answers of ``/v1/responses`` that a later request goes on from, in memory."""

from __future__ import annotations

import hmac
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minigemini.conversation import Image, Part, Text
from minigemini.serving.assets import Asset
from minigemini.serving.conversation import Drawing, Turn
from minigemini.serving.http.errors import ApiError

MOST = 1000
MOST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Stored:
    """
    Attributes:
        owner: the key that asked for it.
        response: as it was sent.
        turns: the conversation up to it, without instructions.
        size: in bytes, of what is sent and of texts and pictures.
    """

    owner: str
    response: dict[str, Any]
    turns: Sequence[Turn]
    size: int

    def is_of(self, owner: str) -> bool:
        return hmac.compare_digest(self.owner.encode(), owner.encode())


class StoredResponses:
    """The newest and those that were last asked for; the others are forgotten, as all are when the server ends.

    Args:
        most: responses.
        most_bytes: of the JSON of all of them, and of the texts and pictures of their conversations. A picture is counted for each
            response in whose conversation it is.
    """

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self.most = most
        self.most_bytes = most_bytes
        self.size = 0
        self._stored: OrderedDict[str, Stored] = OrderedDict()

    def keep(self, owner: str, response: dict[str, Any], turns: Sequence[Turn]) -> bool:
        """Whether it is kept: it may be larger than all may be together."""
        size = len(json.dumps(response)) + sum(_size(part) for turn in turns for part in turn.message.parts)
        if size > self.most_bytes:
            return False
        self._stored[response["id"]] = Stored(owner, response, turns, size)
        self.size += size
        while len(self._stored) > self.most or self.size > self.most_bytes:
            self._forget(next(iter(self._stored)))
        return True

    def get(self, owner: str, name: str, param: str) -> Stored:
        """
        Raises:
            ApiError: there is none of this owner; whether there is one of another's is not told.
        """
        found = self._stored.get(name)
        if found is None or not found.is_of(owner):
            raise ApiError(404, f"{param}: there is no response {name!r}", param=param, code="response_not_found")
        self._stored.move_to_end(name)
        return found

    def picture(self, owner: str, name: str, param: str) -> str:
        """The base64 of a picture in one of this owner's answers.

        Args:
            name: of the item.

        Raises:
            ApiError: there is none, as of :meth:`get`.
        """
        for stored in list(self._stored.values()):
            for item in stored.response["output"]:
                if item["id"] == name and item.get("result") and stored.is_of(owner):
                    self._stored.move_to_end(stored.response["id"])
                    return str(item["result"])
        raise ApiError(404, f"{param}: there is no picture {name!r}", param=param, code="picture_not_found")

    def delete(self, owner: str, name: str, param: str) -> None:
        """Errors as of :meth:`get`."""
        self.get(owner, name, param)
        self._forget(name)

    def _forget(self, name: str) -> None:
        self.size -= self._stored.pop(name).size


def _size(part: Part) -> int:
    if isinstance(part, Text):
        return len(part.text.encode())
    assert isinstance(part, Image)
    if isinstance(part.source, Drawing):
        written, source = len(part.source.written.encode()), part.source.image
    else:
        written, source = 0, part.source
    if source is None:
        return written
    if isinstance(source, Asset):
        return written + len(source.png)
    assert isinstance(source, bytes), "as a request brings it"
    return len(source)
