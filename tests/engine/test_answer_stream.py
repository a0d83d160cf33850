import pytest

from minigemini.conversation import PromptSpan, find_prompts
from minigemini.engine.answer_stream import AnswerStream, cut_at, until

ANSWERS = [
    "no prompt",
    "<h>a cat</h>",
    "Here: <h> a cat </h> and <h>a dog</h>.",
    "<h></h>",
    "<h>  </h><h>x</h>",
    "<h>never closed",
    "closed </h> before <h>a cat</h>",
    "<h>once <h>again</h>",
    "a < b <h>c</h> <",
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_streamed_answer_is_split_as_the_whole(answer: str, size: int) -> None:
    stream = AnswerStream()
    pieces: list[str | PromptSpan] = []
    for start in range(0, len(answer), size):
        pieces.extend(stream.feed(answer[start : start + size]))
    pieces.append(stream.finish())
    assert [piece for piece in pieces if isinstance(piece, PromptSpan)] == find_prompts(answer)
    assert "".join(piece if isinstance(piece, str) else piece.written for piece in pieces) == answer


def test_text_is_streamed_at_once_and_half_a_marker_is_not() -> None:
    stream = AnswerStream()
    assert list(stream.feed("A cat <")) == ["A cat "]
    assert list(stream.feed("h")) == []
    assert list(stream.feed("i>")) == ["<hi>"]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_stream_ends_before_the_first_stop(size: int) -> None:
    text = "a B: b\n\nQ: c"
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert "".join(until(pieces, ["Q:", "\n\n"])) == cut_at(text, ["Q:", "\n\n"]) == "a B: b"
    assert "".join(until(pieces, ["ASSISTANT:"])) == "".join(until(pieces, [])) == text
    assert list(until(["abcQ", "x"], ["Q:"])) == ["abc", "Qx"]  # only what may be a stop is held back
