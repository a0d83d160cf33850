"""What must not be asked for or shown is refused by a callable of whoever runs the model."""

from __future__ import annotations

import logging
from collections.abc import Callable

from PIL import Image

Safety = Callable[[str | Image.Image], str | None]
"""Is given what the user says and shows, each drawing prompt and each drawn picture; says why it is refused, or None."""

log = logging.getLogger(__name__)


def refusal(safety: Safety | None, content: str | Image.Image) -> str | None:
    """Why ``content`` is refused, or None. A filter that fails refuses."""
    if safety is None:
        return None
    try:
        reason = safety(content)
    except Exception:
        log.exception("the safety filter failed")
        return "the safety filter failed, so nothing passes"
    return None if reason is None else f"refused by the safety filter: {reason}"
