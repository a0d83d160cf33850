"""What ``minigemini serve`` is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServeOptions:
    """
    Attributes:
        model: checkpoint folder, hub id, or a shipped name.
        generator: of pictures, likewise; None: the nano's for the nano, and none for other models.
        host: address to listen at; another than a loopback one lets other machines in.
        port: 0: a free one.
        api_key_file: keys that open it, one a line; None: it is open to all who reach it.
        picture_hosts: from which pictures are fetched that a request gives by URL.
        safety: ``module:name`` of a callable that refuses what is said, shown and drawn; None: nothing is refused.
    """

    model: str = "nano"
    generator: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    api_key_file: str | Path | None = None
    picture_hosts: Sequence[str] = ()
    safety: str | None = None
