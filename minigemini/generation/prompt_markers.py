"""The plain-text markers by which a conversation asks for pictures and a language model describes them.

A user's message that wants a picture ends with `` <GEN>``; an answer holds the prompt of each picture as ``<h>prompt</h>``.
``<image>`` stands where a picture is read. The first two are ordinary text to the tokenizer (the released weights were
trained so), hence everything here is about strings.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

IMAGE_MARKER = "<image>"
GENERATION_MARKER = " <GEN>"
PROMPT_START = "<h>"
PROMPT_END = "</h>"
CONTROL_MARKERS = (IMAGE_MARKER, GENERATION_MARKER.strip(), PROMPT_START, PROMPT_END)


@dataclass(frozen=True)
class PromptSpan:
    """One ``<h>prompt</h>`` of an answer: ``answer[start:end]`` is the whole span, markers included."""

    prompt: str
    start: int
    end: int


def ask_for_drawing(user_text: str) -> str:
    """The user's text with the marker that asks for a picture at its end, once."""
    text = user_text.rstrip()
    return text if text.endswith(GENERATION_MARKER) else text + GENERATION_MARKER


def find_prompts(answer: str) -> list[PromptSpan]:
    """Every non-empty ``<h>prompt</h>`` of an answer in reading order.

    A ``<h>`` that is opened again before it is closed starts anew; what is never closed is no prompt. Prompts are stripped.
    """
    spans = []
    end = answer.find(PROMPT_END)
    position = 0
    while end >= 0:
        start = answer.rfind(PROMPT_START, position, end)
        prompt = answer[start + len(PROMPT_START) : end].strip() if start >= 0 else ""
        position = end + len(PROMPT_END)
        if prompt:
            spans.append(PromptSpan(prompt, start, position))
        end = answer.find(PROMPT_END, position)
    return spans


def split_answer(answer: str) -> list[str | PromptSpan]:
    """An answer as its pieces in reading order: stretches of text (never empty) and prompts."""
    pieces: list[str | PromptSpan] = []
    position = 0
    for span in find_prompts(answer):
        if span.start > position:
            pieces.append(answer[position : span.start])
        pieces.append(span)
        position = span.end
    if position < len(answer):
        pieces.append(answer[position:])
    return pieces


class AnswerStream:
    """Splits an answer that arrives in small pieces as :func:`split_answer` would split the whole.

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
            yield PromptSpan(span.prompt, offset + span.start, offset + span.end)
        held_back = self._held_back(rest)
        if len(rest) > held_back:
            self._handed_on = len(self.answer) - held_back
            yield rest[: len(rest) - held_back]

    def finish(self) -> Iterator[str]:
        """What was held back: half a marker, or a prompt that was opened and never closed."""
        rest = self.answer[self._handed_on :]
        self._handed_on = len(self.answer)
        if rest:
            yield rest

    @staticmethod
    def _held_back(rest: str) -> int:
        """How many characters at the end may still belong to a prompt."""
        start = rest.find(PROMPT_START)
        if start >= 0:
            return len(rest) - start
        return next((n for n in range(len(PROMPT_START) - 1, 0, -1) if rest.endswith(PROMPT_START[:n])), 0)


def neutralise(text: str, markers: Iterable[str] = CONTROL_MARKERS) -> tuple[str, list[str]]:
    """Keep literal markers in somebody's own text from acting as markers, so that anyone can see it was done.

    A space after the first character breaks each of them: ``<image>`` becomes ``< image>``.

    Args:
        text: what was typed.
        markers: the strings that must not act; with the tokenizer's special tokens added, ``</s>`` cannot end a turn either.

    Returns:
        The text as the model will read it, and the markers that were found in it (empty: the text is unchanged).
    """
    found = []
    # Longest first: a marker inside a longer one must not be broken in a way that leaves the longer one standing.
    for marker in sorted({m.strip() for m in markers if len(m.strip()) > 1}, key=len, reverse=True):
        if marker in text:
            found.append(marker)
        while marker in text:  # again, should the end of one be the beginning of the next
            text = text.replace(marker, f"{marker[0]} {marker[1:]}")
    return text, found
