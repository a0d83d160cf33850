"""What the endpoints share."""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastapi import Request

from minigemini.engine.many import EngineForMany
from minigemini.safety.refusal import Safety
from minigemini.serving.http.errors import ApiError
from minigemini.serving.http.feed import Feed
from minigemini.serving.http.pictures import Pictures
from minigemini.serving.http.stored_responses import StoredResponses

if TYPE_CHECKING:
    from minigemini.generation.image_generator import ImageGenerator


@dataclass
class Served:
    """
    Attributes:
        name: of the model, as clients ask for it.
        generator: None: this server draws nothing.
        drawing: the one thread in which pictures are drawn.
        feed: the requests that are being answered.
        safety: refuses what is said, shown and drawn; None: nothing is refused.
        picture_hosts: from which pictures may be fetched that are given by URL.
        responses: answers of ``/v1/responses``, to go on from.
        created: when it began, in seconds since 1970.
    """

    name: str
    engine: EngineForMany
    generator: ImageGenerator | None
    feed: Feed
    safety: Safety | None = None
    picture_hosts: Collection[str] = ()
    drawing: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="drawing"))
    responses: StoredResponses = field(default_factory=StoredResponses)
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def seconds(self) -> float:
        """Time limit of one request."""
        return self.feed.seconds

    @property
    def max_new_tokens(self) -> int:
        """Of an answer that is not told otherwise."""
        return self.engine.engine.model.generation_config.max_new_tokens or 256

    def pictures(self) -> Pictures:
        """For those of one request."""
        return Pictures(self.picture_hosts)

    def check_model(self, name: str) -> None:
        """
        Raises:
            ApiError: it is another model's.
        """
        if name != self.name:
            raise ApiError(
                404,
                f"the model {name!r} is not here; this server has {self.name!r}",
                param="model",
                code="model_not_found",
            )


def served_by(request: Request) -> Served:
    served: Served = request.app.state.served
    return served
