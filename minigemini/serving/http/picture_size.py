"""How large a picture may be asked for, and how long it may take."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from minigemini.serving.http.errors import ApiError

MAX_SIDE = 2048
MAX_STEPS = 200

Size = Annotated[str, Field(pattern=r"^([1-9]\d{0,3}x[1-9]\d{0,3}|auto)$")]
"""``WIDTHxHEIGHT`` in pixels, or ``auto``: the size that the generator was trained for."""


def as_size(size: str | None) -> tuple[int, int] | None:
    """
    Raises:
        ApiError: a side is longer than this server draws.
    """
    if size is None or size == "auto":
        return None
    width, height = map(int, size.split("x"))
    if max(width, height) > MAX_SIDE:
        raise ApiError(400, f"size: {size}; a side may have {MAX_SIDE} pixels", param="size")
    return width, height
