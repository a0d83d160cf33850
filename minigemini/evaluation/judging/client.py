"""A language model as judge, behind any OpenAI-compatible URL. Every reply is kept in a file, so nothing is asked twice.

Further tries, Retry-After and time limits are those of the ``openai`` package, which is an extra and imported only where a judge is asked.
The key, if the server wants one, is read from the environment (OPENAI_API_KEY) and goes into one header, nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openai

Messages = list[dict[str, str]]

TRIES = 5
TIMEOUT = 120.0  # seconds in which nothing comes
SHOWN = 300  # characters of a server's error message


@dataclass(frozen=True)
class Reply:
    """``model`` is what the server says it is, which can be more exact than what was asked for ("gpt-4o-2024-08-06")."""

    text: str
    model: str


class RefusedRequest(Exception):
    """The server does not take this request (400, 413, 422: too long, or against its policy); others it may take."""


class Judge:
    """Asks ``model`` at ``url``; may be called from several threads. A context, which closes cache and connections.

    Args:
        url: what ``/chat/completions`` is appended to, such as ``http://localhost:8000/v1``.
        model: the name that the server knows it by.
        cache: JSONL of all replies so far. A last line that was torn off is dropped.

    Raises:
        ValueError: openai is not installed, ``url`` is no http(s) URL, or the cache holds something else.
    """

    def __init__(self, url: str, model: str, cache: Path) -> None:
        try:
            import openai
        except ModuleNotFoundError:
            raise ValueError("a judge is asked by the openai package: pip install 'minigemini[judge]'") from None
        if not re.match(r"https?://([\w.-]+|\[[\da-fA-F:.]+\])(:\d{1,5})?(/|$)", url):
            raise ValueError(f"{url!r} is no URL of a judge; one looks like http://localhost:8000/v1")
        self.endpoint = url.rstrip("/") + "/chat/completions"
        self.model = model
        self.cache = cache
        self.asked = 0
        self._key = os.environ.get("OPENAI_API_KEY", "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise ValueError("OPENAI_API_KEY holds characters that no key has")
        self._stopped = threading.Event()
        # a redirect would turn the question into a GET; openai insists on a key, which a server that needs none does not get
        http = openai.DefaultHttpxClient(follow_redirects=False, event_hooks={"request": [self._refuse_when_stopped]})
        self._client = openai.OpenAI(
            base_url=url, api_key=self._key or "none", timeout=TIMEOUT, max_retries=TRIES - 1, http_client=http
        )
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
        self._client.close()

    def ask(self, messages: Messages, temperature: float, max_tokens: int) -> Reply:
        """The reply, from the cache if the same was asked before.

        Raises:
            RefusedRequest: the server does not take this request.
            ValueError: there is no server, it wants another key or knows no such model, it failed :data:`TRIES` times or wants
                to be left alone for longer than openai waits.
        """
        request = {"model": self.model, "messages": messages, "temperature": temperature, "max_tokens": max_tokens}
        key = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        if key not in self._replies:
            reply = self._ask_server(request)
            with self._lock:
                self.asked += 1
                if key not in self._replies:  # two threads may have asked the same at the same time
                    line = {"key": key, "model": reply.model, "reply": reply.text}
                    self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
                    self._file.flush()
                    self._replies[key] = reply
        return self._replies[key]

    def stop(self) -> None:
        """Nothing is sent any more: what would be asked, or asked again, fails. Replies on their way are still kept, and a wait
        between two tries comes to its end first."""
        self._stopped.set()

    def _refuse_when_stopped(self, request: Any) -> None:
        """A hook of the HTTP client, so it also runs before every further try."""
        if self._stopped.is_set():
            raise ValueError(f"{self.endpoint}: not asked any more")

    def _ask_server(self, request: dict[str, Any]) -> Reply:
        import openai

        headers = {} if self._key else {"Authorization": openai.omit}
        kept = f"What was replied is in {self.cache}; the same command goes on from there"
        try:
            response = self._client.chat.completions.with_raw_response.create(**request, extra_headers=headers)
        except openai.APITimeoutError:
            raise ValueError(f"{self.endpoint}: no reply within {TIMEOUT:g} s. {kept}") from None
        except openai.APIConnectionError as error:
            raise ValueError(f"{self.endpoint}: cannot be reached ({error.__cause__}). Is the server up?") from None
        except openai.APIStatusError as error:
            status, what = error.status_code, self._said(error)
            if status in (400, 413, 422):
                raise RefusedRequest(what) from None
            if status in (408, 409, 429) or status >= 500:
                raise ValueError(f"{self.endpoint}: no reply, the last time: {what}. {kept}") from None
            hint = " (the key is read from OPENAI_API_KEY)" if status in (401, 403) else ""
            raise ValueError(f"{self.endpoint}: {what}{hint}") from None
        try:
            completion = response.parse()
            text, model = completion.choices[0].message.content, completion.model
        except (ValueError, IndexError, TypeError, AttributeError):
            shown = response.text[:SHOWN]
            raise ValueError(f"{self.endpoint}: no reply of an OpenAI-compatible server but {shown!r}") from None
        # None: nothing but a refusal, or all tokens were spent on thinking
        return Reply("" if text is None else str(text), model or self.model)

    def _said(self, error: openai.APIStatusError) -> str:
        said = " ".join(error.response.text.split())
        if self._key:  # some servers repeat what they were sent
            said = said.replace(self._key, "[the key]")
        after = error.response.headers.get("Retry-After")
        wish = f" (Retry-After: {after})" if after else ""
        return f"HTTP {error.status_code}: {said[:SHOWN] or error.response.reason_phrase}{wish}"


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
