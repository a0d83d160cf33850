import base64
import io
from html.parser import HTMLParser

import pytest
from PIL import Image

from minigemini.conversation import Image as Shown
from minigemini.conversation import Message, Text, message
from minigemini.engine.local import LocalEngine
from minigemini.generation.generation_record import GenerationRecord
from minigemini.serving.chat_session import ChatSession
from minigemini.serving.conversation import Conversation, Drawing, Turn
from minigemini.serving.conversation_page import write_page
from minigemini.serving.save_conversation import save_conversation


def record(prompt: str) -> GenerationRecord:
    return GenerationRecord(
        prompt=prompt,
        negative_prompt=None,
        seed=3,
        steps=20,
        guidance=4.0,
        width=48,
        height=48,
        generator="tiny",
        pipeline="P",
        scheduler="S",
        dtype="float32",
        device="cpu",
        versions={},
    )


TINY = Image.new("RGB", (48, 48), "blue")
PHOTO = Image.new("RGB", (640, 300), "green")
EVIL = "<script>alert('x')</script> & <img src=//evil.example/x.png onerror=alert(1)>"
CONVERSATION = Conversation(
    "Title " + EVIL,
    [
        Turn(message("user", "what is " + EVIL, [PHOTO]), notices=["your text " + EVIL]),
        Turn(message("assistant", "a green table")),
        Turn(message("user", "draw it"), asks_for_drawing=True),
        Turn(
            Message(
                "assistant",
                (
                    Text("Here: "),
                    Shown(Drawing("<h>a cat</h>", TINY, record('a "' + EVIL))),
                    Text(" "),
                    Shown(Drawing("<h>stopped</h>")),
                ),
            )
        ),
    ],
)


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_a_page_needs_nothing_from_elsewhere_and_runs_nothing(tmp_path):
    page = write_page([CONVERSATION], tmp_path / "page.html", EVIL, "First " + EVIL + "\n\nSecond").read_text("utf-8")
    elements = Elements(page)
    assert elements.open == []  # every element is closed
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in elements.found}
    for tag, attributes in elements.found:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href"):
                assert value.startswith("data:image/png;base64,"), tag
    assert "@import" not in page
    assert "url(" not in page
    assert elements.text.count(EVIL) == 2 + 1 + 3 + 1  # title twice, introduction, the conversation, the caption


def test_the_pictures_are_inside_and_tiny_ones_are_enlarged_by_whole_pixels(tmp_path):
    page = write_page([CONVERSATION], tmp_path / "page.html", "t").read_text("utf-8")
    images = [attributes for tag, attributes in Elements(page).found if tag == "img"]
    opened = [Image.open(io.BytesIO(base64.b64decode(i["src"].partition(",")[2]))) for i in images]
    assert [i.size for i in opened] == [(640, 300), (48, 48)]
    assert opened[1].getpixel((0, 0)) == (0, 0, 255)
    assert [(i["width"], i["height"], i.get("class")) for i in images] == [("640", "300", None), ("192", "192", "tiny")]
    assert images[1]["alt"] == 'a "' + EVIL


def test_a_folder_in_use_is_not_written_over(tmp_path, model, processor):
    session = ChatSession(LocalEngine(model, processor))
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ValueError, match="exists already"):
        save_conversation(session, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
