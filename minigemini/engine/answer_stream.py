"""An answer that arrives in small pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from minigemini.conversation import PROMPT_START, PromptSpan, find_prompts


class AnswerStream:
    """Splits an answer into text and prompts as :func:`find_prompts` finds them in the whole.

    Text is handed on as soon as it cannot be part of a marker; a prompt is handed on when its ``</h>`` has arrived.
    """

    def __init__(self) -> None:
        self.answer = ""
        self._handed_on = 0

    def feed(self, text: str) -> Iterator[str | PromptSpan]:
        self.answer += text
        while True:
            rest = self.answer[self._handed_on :]
            spans = find_prompts(rest)
            if not spans:
                break
            before, span = rest[: spans[0].start], spans[0]
            if before:
                yield before
            offset = self._handed_on
            self._handed_on += span.end
            yield replace(span, start=offset + span.start, end=offset + span.end)
        held_back = self._held_back(rest)
        if len(rest) > held_back:
            self._handed_on = len(self.answer) - held_back
            yield rest[: len(rest) - held_back]

    def finish(self, cancelled: bool = False) -> str:
        """What was held back: half a marker, or a prompt that was opened and never closed. Of an answer that was cancelled half a prompt
        is no part."""
        rest = self.answer[self._handed_on :]
        if cancelled:
            rest = rest.partition(PROMPT_START)[0]
            self.answer = self.answer[: self._handed_on] + rest
        self._handed_on = len(self.answer)
        return rest

    @staticmethod
    def _held_back(rest: str) -> int:
        """How many characters at the end may still belong to a prompt."""
        start = rest.find(PROMPT_START)
        return len(rest) - start if start >= 0 else _begun(rest, PROMPT_START)


def until(pieces: Iterable[str], stop: Sequence[str]) -> Iterator[str]:
    """The text before the first of ``stop``; what may be the beginning of one is held back."""
    held = ""
    for piece in pieces:
        held += piece
        if cut_at(held, stop) != held:
            yield cut_at(held, stop)
            return
        settled = before_begun(held, stop)
        if settled:
            yield settled
            held = held[len(settled) :]
    if held:
        yield held


def cut_at(text: str, stop: Sequence[str]) -> str:
    """The text before the first of ``stop``."""
    for end in stop:
        text = text.partition(end)[0] if end else text
    return text


def before_begun(text: str, stop: Sequence[str]) -> str:
    """The text but for what may be the beginning of one of ``stop``."""
    return text[: len(text) - max((_begun(text, end) for end in stop), default=0)]


def _begun(text: str, marker: str) -> int:
    """How many characters at the end of ``text`` begin ``marker``."""
    return next((n for n in range(len(marker) - 1, 0, -1) if text.endswith(marker[:n])), 0)
