"""A running server of OpenAI's API, ours or another's, that is asked for the likeliest words.

The key, if the server wants one, is read from the environment (OPENAI_API_KEY) and goes into one header, nowhere else.
"""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from minigemini.conversation import Image, Message, Part
from minigemini.engine.local import picture

if TYPE_CHECKING:
    import openai

T = TypeVar("T")

TIMEOUT = 120.0  # seconds in which nothing comes
SHOWN = 300  # characters of a server's error message


@dataclass(frozen=True)
class Reply:
    """
    Attributes:
        text: as the server sent it.
        prompt_tokens: that it read, those of pictures included; None: it does not say.
    """

    text: str
    prompt_tokens: int | None


@dataclass(frozen=True)
class Refused:
    """``reason`` is what the server says against this one conversation (HTTP 400, 413, 422)."""

    reason: str


class AskedServer:
    """Asks the model ``name`` at ``url``; may be called from several threads. A context, which closes the connections.

    Args:
        url: of the server, with or without ``/v1``.
        name: of the model, as the server knows it.

    Raises:
        ValueError: openai is not installed, or ``url`` is no http(s) URL.
    """

    def __init__(self, url: str, name: str) -> None:
        try:
            import openai
        except ModuleNotFoundError:
            raise ValueError("a server is asked by the openai package: pip install 'minigemini[verify]'") from None
        if not re.match(r"https?://([\w.-]+|\[[\da-fA-F:.]+\])(:\d{1,5})?(/|$)", url):
            raise ValueError(f"{url!r} is no URL of a server; one looks like http://localhost:8000/v1")
        self.url = url.rstrip("/") if "/" in url.partition("://")[2].rstrip("/") else f"{url.rstrip('/')}/v1"
        self.name = name
        self._key = os.environ.get("OPENAI_API_KEY", "").strip()
        self._headers: dict[str, Any] = {} if self._key else {"Authorization": openai.omit}
        self._client = openai.OpenAI(base_url=self.url, api_key=self._key or "none", timeout=TIMEOUT)

    def __enter__(self) -> AskedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def models(self) -> list[str]:
        """The names of the server's models.

        Raises:
            ValueError: there is no server, it wants another key, or it does not tell.
        """
        return self._told(lambda: [model.id for model in self._client.models.list(extra_headers=self._headers)])

    def ask(self, messages: Sequence[Message], max_new_tokens: int) -> Reply | Refused:
        """The answer with the likeliest token each time.

        Raises:
            ValueError: there is no server any more, it knows no such model, or it fails.
        """
        import openai

        def asked() -> Reply:
            completion: Any = self._client.chat.completions.create(
                model=self.name,
                messages=in_openai_form(messages),  # type: ignore[arg-type]
                temperature=0.0,
                max_tokens=max_new_tokens,
                extra_headers=self._headers,
            )
            read = None if completion.usage is None else completion.usage.prompt_tokens
            return Reply(completion.choices[0].message.content or "", read)

        try:
            return self._told(asked)
        except ValueError as error:
            cause = error.__cause__
            if isinstance(cause, openai.APIStatusError) and cause.status_code in (400, 413, 422):
                return Refused(self._said(cause))
            raise

    def _told(self, ask: Callable[[], T]) -> T:
        """What the server replies; every way in which it does not as a ValueError, with where it came from."""
        import openai

        try:
            return ask()
        except openai.APITimeoutError as error:
            raise ValueError(f"{self.url}: no reply within {TIMEOUT:g} s") from error
        except openai.APIConnectionError as error:
            raise ValueError(f"{self.url}: cannot be reached ({error.__cause__}). Is the server up?") from error
        except openai.APIStatusError as error:
            hint = " (the key is read from OPENAI_API_KEY)" if error.status_code in (401, 403) else ""
            raise ValueError(f"{self.url}: {self._said(error)}{hint}") from error
        except (ValueError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(f"{self.url}: no reply of an OpenAI-compatible server ({error})") from error

    def _said(self, error: openai.APIStatusError) -> str:
        said = " ".join(error.response.text.split())
        if self._key:  # some servers repeat what they were sent
            said = said.replace(self._key, "[the key]")
        return f"HTTP {error.status_code}: {said[:SHOWN] or error.response.reason_phrase}"


def in_openai_form(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """As ``/v1/chat/completions`` takes them; an assistant's words as one string, which every server reads."""
    return [
        {"role": one.role, "content": one.text if one.role == "assistant" else [part_of(part) for part in one.parts]}
        for one in messages
    ]


def part_of(part: Part) -> dict[str, Any]:
    """A picture travels as PNG, so that the server sees the pixels that we do."""
    if not isinstance(part, Image):
        return {"type": "text", "text": part.text}
    file = io.BytesIO()
    picture(part.source).save(file, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def same_name(served: str, model: str) -> bool:
    """Whether a server's name for a model, such as the folder it was given, is that of ``model``."""
    return served == model or Path(served).name == Path(model).name
