"""The form of a conversation, and the markers in its text."""

from typing import Any

import pytest

from minigemini.conversation import (
    Image,
    Message,
    Text,
    ask_for_drawing,
    find_prompts,
    for_template,
    from_json,
    images_of,
    message,
    neutralise,
    to_json,
    with_images,
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
    assert all(answer[s.start : s.end] == s.written for s in spans)


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


TALK = [
    Message("system", (Text("be brief"),)),
    message("user", "which is larger?", ["a.png", "b.png"]),
    message("assistant", "the first"),
    Message("user", (Text("and than "), Image("c.png"), Text("?"))),
]


def test_chat_templates_get_parts_in_their_order():
    assert for_template(TALK)[1]["content"] == [{"type": "image"}] * 2 + [{"type": "text", "text": "which is larger?"}]
    shown = for_template(TALK, [1, 2, 3])
    assert [one["role"] for one in shown] == ["system", "user", "assistant", "user"]
    assert shown[3]["content"] == [
        {"type": "text", "text": "and than "},
        {"type": "image", "image": 3},
        {"type": "text", "text": "?"},
    ]


def test_json_comes_back_as_it_was():
    assert from_json(to_json(TALK)) == TALK
    assert to_json(TALK, lambda path: path.upper())[1]["content"][0] == {"type": "image", "image": "A.PNG"}


def test_pictures_are_changed_or_left_out():
    assert images_of(TALK) == ["a.png", "b.png", "c.png"]
    assert images_of(with_images(TALK, str.upper)) == ["A.PNG", "B.PNG", "C.PNG"]
    assert [one.text for one in TALK] == [one.text for one in with_images(TALK, lambda _: None)]
    assert with_images(TALK, lambda path: None if path == "a.png" else path)[1].parts == TALK[1].parts[1:]


def test_messages_of_others_are_read():
    """As OpenAI's: a string, or parts; the text parts of its newer interface have another name."""
    assert from_json([{"role": "user", "content": "hi"}]) == [message("user", "hi")]
    assert from_json([{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]) == [message("user", "hi")]


def in_a_turn(*parts: Any) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, *parts]},
    ]


@pytest.mark.parametrize(
    ("messages", "named"),
    [
        ([], "at least one message"),
        ("hi", "at least one message"),
        ({"role": "user"}, "at least one message"),
        (["hi"], "message 0: expected 'role'"),
        ([{"content": "hi"}], "message 0: expected 'role'"),
        ([{"role": "tool", "content": "hi"}], "message 0: expected 'role'"),
        ([{"role": "user", "content": None}], "message 0: 'content' must be"),
        (in_a_turn("hi"), "message 1, part 1: expected"),
        (in_a_turn({"text": "hi"}), "message 1, part 1: expected"),
        (in_a_turn({"type": "text"}), "message 1, part 1: expected"),
        (in_a_turn({"type": "text", "text": None}), "message 1, part 1: expected"),
        (in_a_turn({"type": "image"}), "message 1, part 1: expected"),
        (in_a_turn({"type": "video", "video": "a.mp4"}), "message 1, part 1: expected .* got .*video"),
    ],
)
def test_what_is_no_message_is_named(messages: Any, named: str):
    with pytest.raises(ValueError, match=named):
        from_json(messages)
