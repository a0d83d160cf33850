"""The record of each form: what is read, where images stand, and what is refused with which words."""

import json
import re
from pathlib import Path

import pytest

from minigemini.conversation import for_template
from minigemini.data.records import BadRecord, Record, parse_record, read_records


def turns(*texts: str) -> list[dict]:
    return [{"from": "human" if i % 2 == 0 else "gpt", "value": text} for i, text in enumerate(texts)]


def said(*contents) -> list[dict]:
    return [{"role": "user" if i % 2 == 0 else "assistant", "content": content} for i, content in enumerate(contents)]


def parsed(conversations, image=None) -> Record:
    raw = {"id": "x", "conversations": conversations} | ({} if image is None else {"image": image})
    return parse_record(raw, "file: record 0", Path("photos"))


def content(record: Record, turn: int = 0) -> list:
    return [part.get("text", "IMAGE") for part in for_template(record.messages)[turn]["content"]]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<image>\nWhat is it?", ["IMAGE", "What is it?"]),
        ("What is it?\n<image>", ["What is it?", "IMAGE"]),
        ("Is <image> brighter than\n<image>?", ["Is ", "IMAGE", " brighter than", "IMAGE", "?"]),
        ("<image><image>\n\nWhich?", ["IMAGE", "IMAGE", "\nWhich?"]),
        ("\nPaint a cat. <GEN>", ["\nPaint a cat. <GEN>"]),
        ("<image>", ["IMAGE"]),
    ],
)
def test_an_image_part_stands_where_its_marker_was(text, parts):
    record = parsed(turns(text, "yes"), [f"{i}.png" for i in range(text.count("<image>"))])
    assert content(record) == parts


def test_images_are_handed_out_in_reading_order():
    record = parsed(turns("<image> a", "b", "c <image><image>", "d"), ["1.png", "2.png", "3.png"])
    assert record.images == ("photos/1.png", "photos/2.png", "photos/3.png")
    placed = [
        part["image"]
        for m in for_template(record.messages, [1, 2, 3])
        for part in m["content"]
        if part["type"] == "image"
    ]
    assert placed == [1, 2, 3]
    assert [message["role"] for message in for_template(record.messages)] == ["user", "assistant", "user", "assistant"]


def test_drawing_marks_are_plain_text():
    record = parsed(turns("a red circle <GEN>", "<h>a large red circle at the top</h>"))
    assert content(record, 0) == ["a red circle <GEN>"]
    assert content(record, 1) == ["<h>a large red circle at the top</h>"]


def test_a_system_turn_may_come_first():
    record = parsed([{"from": "system", "value": "Be brief."}, *turns("hi", "ho")])
    assert [message["role"] for message in for_template(record.messages)] == ["system", "user", "assistant"]


SHOWN = ["IMAGE", "What is it?"]


@pytest.mark.parametrize(
    "raw",
    [
        {"conversations": turns("<image>\nWhat is it?", "red"), "image": "a.png"},
        {"conversations": turns("<image>\nWhat is it?", "red"), "images": ["a.png"], "video": None, "tools": ""},
        {"conversations": said("<image>\nWhat is it?", "red"), "image": "a.png"},
        {"messages": said("<image>\nWhat is it?", "red"), "images": ["a.png"]},
        {"messages": said([{"type": "image"}, {"type": "text", "text": "What is it?"}], "red"), "images": ["a.png"]},
        {"messages": said([{"type": "image", "image": "a.png"}, {"type": "text", "text": "What is it?"}], "red")},
        {
            "messages": said(
                [{"type": "image_url", "image_url": {"url": "a.png"}}, {"type": "input_text", "text": "What is it?"}],
                [{"type": "text", "text": "red"}],
            )
        },
    ],
)
def test_every_form_becomes_the_same_record(raw):
    record = parse_record(raw, "name", Path("photos"))
    assert record.images == ("photos/a.png",)
    assert (content(record), content(record, 1)) == (SHOWN, ["red"])
    assert [one.role for one in record.messages] == ["user", "assistant"]


def test_pictures_inside_and_a_system_beside_the_turns():
    url = "data:image/png;base64,AAEC\nAwQ="
    record = parse_record(
        {"conversations": turns("<image><image>", "b"), "image": [url, b"abc"], "system": "Be brief."}, "name", Path()
    )
    assert record.images == (b"\x00\x01\x02\x03\x04", b"abc")
    assert content(record) == ["Be brief."]
    assert [one.role for one in record.messages] == ["system", "user", "assistant"]


def test_a_caption_is_the_answer_to_its_picture_alone():
    record = parse_record({"image": "a.png", "caption": "a red cat"}, "name", Path())
    assert (content(record), content(record, 1)) == (["IMAGE"], ["a red cat"])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("text", "expected an object with 'conversations', got \"text\""),
        ({"id": 1}, "expected one of 'conversations', 'messages' and 'caption'; its keys are: id"),
        ({"conversations": None}, "'conversations' must be a list of turns, got null"),
        ({"conversations": []}, "'conversations' must be a list of turns"),
        ({"conversations": [{"from": "human"}]}, "turn 0 must have 'from' and 'value'"),
        ({"conversations": [{"from": "tool", "value": "a"}]}, "turn 0 is from 'tool'; expected 'human' or 'gpt'"),
        ({"conversations": turns("a")}, "end with gpt; they are: human"),
        ({"conversations": turns("a", "b")[::-1]}, "must alternate human, gpt, .*; they are: gpt, human"),
        ({"conversations": turns("a", "b") + turns("c", "d")[1:]}, "they are: human, gpt, gpt"),
        ({"conversations": turns("a", " \n")}, r"turn 1 \(from 'gpt'\) is empty"),
        ({"conversations": turns("<image> a", "b")}, "1 <image> in the conversation, but 0 image files"),
        ({"conversations": turns("a", "b"), "image": "x.png"}, "0 <image> in the conversation, but 1 image files"),
        ({"conversations": turns("<image>", "b"), "image": ["x", "y"]}, "1 <image> in the conversation, but 2 image"),
        ({"conversations": turns("a", "<image>"), "image": "x.png"}, r"turn 1 \(from 'gpt'\) has <image>"),
        ({"conversations": turns("<image>", "b"), "image": {"a": 1}}, "'image' must be a path or a list of paths"),
        ({"conversations": turns("<image>", "b"), "image": [""]}, "'image' must be a path or a list of paths"),
        ({"conversations": turns("<image>", "b"), "image": "http://x.org/a.png"}, "'image' is a URL"),
        ({"conversations": turns("<image>", "b"), "image": "data:image/png;base64,a"}, "a data URL that is no base64"),
        ({"conversations": turns("<image>", "b"), "image": "x", "images": ["x"]}, "both 'image' and 'images'"),
        ({"conversations": turns("a", "b"), "video": "a.mp4"}, "'video' is not read, and would be left out"),
        ({"conversations": turns("a", "b"), "tools": "[{}]"}, "'tools' is not read"),
        ({"conversations": turns("a", "b"), "system_prompt": "x"}, "'system_prompt' is not read, .* name it 'system'"),
        ({"conversations": turns("a", "b"), "system": 3}, "'system' must be a text, got 3"),
        ({"conversations": [{"from": "system", "value": "s"}, *turns("a", "b")], "system": "t"}, "which of them"),
        ({"conversations": turns("a", "b"), "messages": said("a", "b")}, "expected one of"),
        ({"conversations": turns("a \ud83d", "b")}, r"turn 0 \(from 'human'\): half of a surrogate pair, '\\ud83d'"),
        ({"conversations": turns("<image>", "b"), "image": "\ud83d.png"}, "'image': half of a surrogate pair"),
        ({"messages": [*said("a"), {"role": "assistant", "content": "b", "tool_calls": [1]}]}, "'tool_calls' is not"),
        ({"messages": said([{"type": "input_audio"}], "b")}, r"turn 0 \(from 'user'\), part 0: neither text nor"),
        ({"messages": said([{"type": "text", "text": "<image>"}], "b")}, "part 0 has <image> as text"),
        ({"messages": said([{"type": "image"}], "b")}, "1 <image> in the conversation, but 0 image files"),
        ({"messages": said("a", [{"type": "image", "image": "x"}])}, "images stand in human turns only"),
        ({"image": "a.png", "caption": " "}, "'caption' must be a text with words"),
        ({"image": "a.png", "blip_caption": "x"}, "its keys are: image, blip_caption"),
        (ValueError("key 'image' twice"), "key 'image' twice"),
    ],
)
def test_what_is_refused(raw, reason):
    with pytest.raises(ValueError, match=reason):
        parse_record(raw, "name", Path())


def test_a_file_gives_good_and_bad_records_in_order(tmp_path):
    file = tmp_path / "data.json"
    good = {"id": "one", "conversations": turns("<image> a", "b"), "image": "x.png"}
    file.write_text(json.dumps([good, {"id": "two", "conversations": []}, {"conversations": turns("a", "b")}]))
    first, second, third = read_records(file)
    assert isinstance(first, Record)
    assert first.images == (str(tmp_path / "x.png"),)
    assert isinstance(second, BadRecord)
    assert str(second).startswith(f"{file}: record 1 (id 'two'): 'conversations' must")
    assert third.name == f"{file}: record 2"
    assert read_records(file, "elsewhere")[0].images == ("elsewhere/x.png",)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON"),
        ("{}", "expected a JSON list of records, JSON Lines or COCO captions, got one JSON object"),
        ('{"1": {}, "2": {}}', "expected a JSON list of records, JSON Lines or COCO captions, got one JSON object"),
        ("", "not valid JSON: empty"),
        ("[1]", "expected a JSON list of objects; record 0 begins with b'1"),
        ("[{}", "not valid JSON: it ends in or before record 1; was its download cut short"),
        ("[{} {}]", "not valid JSON: b' ' before record 1"),
        ("[{}, ]", "not valid JSON: b', ]' after record 0"),
        ("[{}] 1", "not valid JSON: b'] 1' after record 0"),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path, text, words):
    (tmp_path / "data.json").write_text(text)
    with pytest.raises(ValueError, match=f"data.json: {re.escape(words)}"):
        read_records(tmp_path / "data.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        read_records(tmp_path / "nowhere.json")
