import pytest

from minigemini.generation.prompt_markers import (
    AnswerStream,
    PromptSpan,
    ask_for_drawing,
    find_prompts,
    neutralise,
    split_answer,
)

ANSWERS = {
    "no prompt": [],
    "<h>a cat</h>": ["a cat"],
    "Here: <h> a cat </h> and <h>a dog</h>.": ["a cat", "a dog"],
    "<h></h>": [],
    "<h>  </h><h>x</h>": ["x"],
    "<h>never closed": [],
    "closed </h> before <h>a cat</h>": ["a cat"],
    "<h>once <h>again</h>": ["again"],
    "a < b <h>c</h> <": ["c"],
}


@pytest.mark.parametrize(("answer", "prompts"), ANSWERS.items())
def test_prompts_are_found_in_place(answer: str, prompts: list[str]) -> None:
    spans = find_prompts(answer)
    assert [span.prompt for span in spans] == prompts
    assert all(answer[s.start : s.end].startswith("<h>") and answer[s.start : s.end].endswith("</h>") for s in spans)
    pieces = split_answer(answer)
    assert "".join(p if isinstance(p, str) else answer[p.start : p.end] for p in pieces) == answer


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_streamed_answer_is_split_as_the_whole(answer: str, size: int) -> None:
    stream = AnswerStream()
    pieces: list[str | PromptSpan] = []
    for start in range(0, len(answer), size):
        pieces.extend(stream.feed(answer[start : start + size]))
    pieces.extend(stream.finish())
    joined: list[str | PromptSpan] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    assert joined == split_answer(answer)


def test_text_is_streamed_at_once_and_half_a_marker_is_not() -> None:
    stream = AnswerStream()
    assert list(stream.feed("A cat <")) == ["A cat "]
    assert list(stream.feed("h")) == []
    assert list(stream.feed("i>")) == ["<hi>"]


def test_a_drawing_is_asked_for_once() -> None:
    assert ask_for_drawing("draw a cat") == "draw a cat <GEN>"
    assert ask_for_drawing(ask_for_drawing("draw a cat ")) == "draw a cat <GEN>"


def test_markers_typed_by_a_user_do_not_act_and_are_named() -> None:
    text, found = neutralise("is <image> or <h>x</h> <GEN> or </s> here?", ["<image>", "<GEN>", "<h>", "</h>", "</s>"])
    assert text == "is < image> or < h>x< /h> < GEN> or < /s> here?"
    assert sorted(found) == sorted(["<image>", "<GEN>", "<h>", "</h>", "</s>"])
    assert neutralise("a < b > c") == ("a < b > c", [])


@pytest.mark.parametrize("text", ["<<image>image>", "<h<h>>", "<<h>/h>", "< <GEN>GEN>", "<h></h><h></h>", "<im<h>age>"])
def test_breaking_one_marker_does_not_make_another(text: str) -> None:
    broken, found = neutralise(text)
    assert found
    assert not any(marker in broken for marker in ("<image>", "<h>", "</h>", "<GEN>"))
    assert find_prompts(broken) == []


def test_a_marker_that_overlaps_itself_is_broken_everywhere() -> None:
    assert "||" not in neutralise("a ||| b", ["||"])[0]
