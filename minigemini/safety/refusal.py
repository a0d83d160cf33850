"""What must not be asked for or shown is refused by a callable of whoever runs the model."""

from __future__ import annotations

import importlib
import logging
import os
import pkgutil
import sys
from collections.abc import Callable

from PIL import Image

Safety = Callable[[str | Image.Image], str | None]
"""Is given what the user says and shows, each drawing prompt and each drawn picture; says why it is refused, or None."""

log = logging.getLogger(__name__)


def refusal(safety: Safety | None, content: str | Image.Image) -> str | None:
    """Why ``content`` is refused, or None. A filter that fails refuses, and so does one that says neither a reason nor None."""
    if safety is None:
        return None
    try:
        reason = ask(safety, content)
    except Exception:
        log.exception("the safety filter failed")
        return "the safety filter failed, so nothing passes"
    return None if reason is None else f"refused by the safety filter: {reason}"


def ask(safety: Safety, content: str | Image.Image) -> str | None:
    """
    Raises:
        TypeError: what it returned is neither a reason nor None. Or what it raised.
    """
    reason = safety(content)
    if not (reason is None or isinstance(reason, str)):
        raise TypeError(f"it returned {reason!r}, and not a reason or None")
    return reason


def resolve(function: str) -> Safety:
    """The callable of a name ``module:name``; a module in the current folder will do.

    Raises:
        ValueError: there is none of the name.
    """
    if ":" not in function:
        raise ValueError(f"{function!r} is not of the form module:name")
    if os.getcwd() not in sys.path:  # where a command that was installed does not look by itself
        sys.path.append(os.getcwd())
    importlib.invalidate_caches()
    try:
        found = pkgutil.resolve_name(function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{function}: {error}") from error
    if not callable(found):
        raise ValueError(f"{function} cannot be called")
    safety: Safety = found
    return safety


def resolve_working(function: str) -> Safety:
    """:func:`resolve`, and tried on a word and on a picture: what cannot work says so before anybody is served.

    Raises:
        ValueError: as of :func:`resolve`, or it fails.
    """
    safety = resolve(function)
    contents: list[str | Image.Image] = ["hello", Image.new("RGB", (32, 32), "white")]
    for content in contents:
        try:
            ask(safety, content)
        except Exception as error:
            raise ValueError(f"{function} failed: {error}") from error
    return safety
