"""Who comes in: before a request's body is read, its key, its host and its size are looked at."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from minigemini.serving.http.errors import ApiError, response

MAX_BODY = 32 * 2**20
"""Bytes of one request; a photograph of 20 MB is 27 MB as base64."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Door:
    """Middleware in front of the application.

    Args:
        keys: those that open ``/v1`` and ``/metrics``; none: it is open to all.
        hosts: names that the server answers to, without port. Where it listens on loopback alone, a page of another site could else
            give its own name this machine's address (DNS rebinding) and read along. None: any.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str] = (), hosts: Sequence[str] | None = None) -> None:
        self.app = app
        self.keys = [key.encode() for key in keys]
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if refused := self._refused(scope["path"], headers):
            await _read_away(receive)
            await response(refused)(scope, receive, send)
            return
        scope["key"] = _key_in(headers.get("authorization", "")) if self.keys else ""

        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY:
                if message.get("more_body"):
                    await _read_away(receive)
                raise _too_large()
            return message

        await self.app(scope, counted, send)

    def _refused(self, path: str, headers: Headers) -> ApiError | None:
        host = _without_port(headers.get("host", ""))
        if self.hosts is not None and host not in self.hosts:
            return ApiError(421, f"this server does not answer to the name {host!r}", code="unknown_host")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != headers.get("host"):
            return ApiError(403, f"a page of {origin} may not ask this server", code="foreign_origin")
        if self.keys and path.startswith(("/v1/", "/metrics")) and not self._opens(headers.get("authorization", "")):
            return ApiError(
                401, "a valid API key is needed: Authorization: Bearer KEY", headers={"WWW-Authenticate": "Bearer"}
            )
        length = headers.get("content-length", "0")
        return _too_large() if not length.isdecimal() or int(length) > MAX_BODY else None

    def _opens(self, authorization: str) -> bool:
        given = _key_in(authorization).encode("utf-8", "surrogateescape")
        # All are compared, each in a time that does not tell how much of it was right.
        right = [hmac.compare_digest(given, key) for key in self.keys]
        return authorization.partition(" ")[0].lower() == "bearer" and any(right)


def read_keys(file: str | Path) -> list[str]:
    """API keys, one a line; empty lines and those that begin with ``#`` are passed over.

    Raises:
        ValueError: the file cannot be read, holds no key, or a key that no header can hold.
    """
    try:
        lines = Path(file).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: API keys cannot be read ({error})") from error
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise ValueError(f"{file}: no API key in it; write one a line")
    if spaced := [number for number, key in enumerate(keys, 1) if " " in key or "\t" in key]:
        raise ValueError(f"{file}: key {spaced[0]} has a blank in it")
    return keys


async def _read_away(receive: Receive) -> None:
    """The rest of a body that is refused, if it is not huge: clients look for an answer when they have sent all."""
    read, more = 0, True
    while more and read <= MAX_BODY:
        message = await receive()
        read += len(message.get("body", b""))
        more = message.get("more_body", False)


def _key_in(authorization: str) -> str:
    return authorization.partition(" ")[2].strip()


def _without_port(host: str) -> str:
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _too_large() -> ApiError:
    return ApiError(413, f"the body is larger than {MAX_BODY // 2**20} MB", code="request_too_large")
