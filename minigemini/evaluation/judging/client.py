"""A language model as judge, behind any OpenAI-compatible URL. Every reply is kept in a file, so nothing is asked twice.

The key, if the server wants one, is read from the environment (OPENAI_API_KEY) and goes into one header, nowhere else.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

Messages = list[dict[str, str]]

TRIES = 5
BACKOFF = 1.0  # seconds before the second try; twice as long before each further one
LONGEST_WAIT = 60.0  # seconds, however long a server asks us to stay away
TIMEOUT = 120.0  # seconds for one reply
SHOWN = 300  # characters of a server's error message


@dataclass(frozen=True)
class Reply:
    """``model`` is what the server says it is, which can be more exact than what was asked for ("gpt-4o-2024-08-06")."""

    text: str
    model: str


class RefusedRequest(Exception):
    """The server does not take this request (400, 413, 422: too long, or against its policy); others it may take."""


class _TryAgain(Exception):
    """What went wrong for now; ``after`` is how many seconds the server wants to be left alone."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host, and turn the question into a GET."""

    def redirect_request(self, *arguments: Any, **named: Any) -> None:
        return None


class Judge:
    """Asks ``model`` at ``url``; may be called from several threads. A context, which closes the cache.

    Args:
        url: what ``/chat/completions`` is appended to, such as ``http://localhost:8000/v1``.
        model: the name that the server knows it by.
        cache: JSONL of all replies so far. A last line that was torn off is dropped.
        backoff: seconds before the second try.

    Raises:
        ValueError: ``url`` is no http(s) URL, or the cache holds something else.
    """

    def __init__(self, url: str, model: str, cache: Path, backoff: float = BACKOFF) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"{url!r} is no URL of a judge; one looks like http://localhost:8000/v1")
        self.endpoint = url.rstrip("/") + "/chat/completions"
        self.model = model
        self.cache = cache
        self.backoff = backoff
        self.asked = 0
        self._key = os.environ.get("OPENAI_API_KEY", "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise ValueError("OPENAI_API_KEY holds characters that no key has")
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._replies = _read_cache(cache)
        cache.parent.mkdir(parents=True, exist_ok=True)
        self._file = cache.open("a", encoding="utf-8")

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def ask(self, messages: Messages, temperature: float, max_tokens: int) -> Reply:
        """The reply, from the cache if the same was asked before.

        Raises:
            RefusedRequest: the server does not take this request.
            ValueError: there is no server, it wants another key or knows no such model, or :data:`TRIES` tries failed.
        """
        request = {"model": self.model, "messages": messages, "temperature": temperature, "max_tokens": max_tokens}
        body = json.dumps(request, sort_keys=True).encode()
        key = hashlib.sha256(body).hexdigest()
        if key not in self._replies:
            reply = self._ask_server(body)
            with self._lock:
                self.asked += 1
                if key not in self._replies:  # two threads may have asked the same at the same time
                    line = {"key": key, "model": reply.model, "reply": reply.text}
                    self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
                    self._file.flush()
                    self._replies[key] = reply
        return self._replies[key]

    def stop(self) -> None:
        """Ends the waiting of all threads; what they would ask again fails."""
        self._stopped.set()

    def _ask_server(self, body: bytes) -> Reply:
        wait = self.backoff
        for _ in range(TRIES):
            if self._stopped.is_set():
                raise ValueError(f"{self.endpoint}: not asked any more")
            try:
                return self._reply_of(self._post(body))
            except _TryAgain as failure:
                last = failure
            self._stopped.wait(min(max(wait, last.after), LONGEST_WAIT))
            wait *= 2
        raise ValueError(
            f"{self.endpoint}: no reply in {TRIES} tries, the last time: {last}. "
            f"What was replied is in {self.cache}; the same command goes on from there"
        )

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self.endpoint, body, headers)
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            raise self._failure(error) from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError | ConnectionResetError | BrokenPipeError):
                raise _TryAgain(f"the connection broke ({error.reason})") from None
            raise ValueError(f"{self.endpoint}: cannot be reached ({error.reason}). Is the server up?") from None
        except TimeoutError:
            raise _TryAgain(f"no reply within {TIMEOUT:.0f} s") from None
        except (ConnectionError, http.client.HTTPException) as error:
            raise _TryAgain(f"the connection broke ({error})") from None

    def _failure(self, error: urllib.error.HTTPError) -> Exception:
        said = " ".join(error.read().decode("utf-8", "replace").split())[:SHOWN]
        if self._key:  # some servers repeat what they were sent
            said = said.replace(self._key, "[the key]")
        what = f"HTTP {error.code}: {said or error.reason}"
        if error.code in (408, 429) or error.code >= 500:
            after = error.headers.get("Retry-After", "")
            return _TryAgain(what, float(after) if after.isdigit() else 0.0)
        if error.code in (400, 413, 422):
            return RefusedRequest(what)
        hint = " (the key is read from OPENAI_API_KEY)" if error.code in (401, 403) else ""
        return ValueError(f"{self.endpoint}: {what}{hint}")

    def _reply_of(self, stored: bytes) -> Reply:
        try:
            found = json.loads(stored)
            text, model = found["choices"][0]["message"]["content"], found.get("model", self.model)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            shown = stored[:SHOWN].decode("utf-8", "replace")
            raise ValueError(f"{self.endpoint}: no reply of an OpenAI-compatible server but {shown!r}") from None
        # null: nothing but a refusal, or all tokens were spent on thinking
        return Reply("" if text is None else str(text), str(model))


def _read_cache(path: Path) -> dict[str, Reply]:
    if not path.exists():
        return {}
    whole, _, torn = path.read_bytes().rpartition(b"\n")
    replies: dict[str, Reply] = {}
    for number, line in enumerate(whole.split(b"\n") if whole else [], start=1):
        try:
            found = json.loads(line)
            replies[found["key"]] = Reply(found["reply"], found["model"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}, line {number}: no reply of a judge; is this the right --cache?") from None
    if torn:  # killed while writing; this is asked again
        path.write_bytes(whole + b"\n" if whole else b"")
    return replies
