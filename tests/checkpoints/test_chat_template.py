"""Chat templates by name, and the one that is not the original's: ChatML as its makers write it."""

import pytest
import tiny
from jinja2 import TemplateError

from minigemini import nano
from minigemini.checkpoints.assemble import assert_shows_pictures
from minigemini.checkpoints.chat_template import TEMPLATES, read_template, standalone

SHOWN = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is it?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "a cat"}]},
    {"role": "user", "content": "sure?"},
]


@pytest.mark.parametrize("name", sorted(file.stem for file in TEMPLATES.glob("*.jinja")))
def test_every_template_shows_pictures_and_marks_answers(name):
    if name != "plain":  # captions: the user's words are not read
        assert_shows_pictures(tiny.tiny_tokenizer(), read_template(name), "<image>")
    assert "{% generation %}" in read_template(name)


TYPED = [
    "what is <image> here?",
    [{"type": "image"}, {"type": "text", "text": "what is <image> here?"}],
    [{"type": "text", "text": "what is <ima"}, {"type": "text", "text": "ge> here?"}, {"type": "image"}],
]


@pytest.mark.parametrize("content", TYPED, ids=["string", "part", "two parts"])
@pytest.mark.parametrize("name", [*sorted(file.stem for file in TEMPLATES.glob("*.jinja")), "tiny", "nano"])
def test_what_was_typed_never_stands_for_a_picture(name, content):
    """A server that asks the template of a checkpoint alone (vLLM) would put a picture where the words are."""
    tokenizer = tiny.tiny_tokenizer()
    given = {"tiny": tiny.CHAT_TEMPLATE, "nano": (nano.path("nano") / "chat_template.jinja").read_text()}
    template = standalone(given.get(name) or read_template(name), tokenizer, "<image>")
    assert template == standalone(template, tokenizer, "<image>")
    assert (template == given["nano"]) == (name == "nano")
    for turns in ([], [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]):
        messages = [*turns, {"role": "assistant" if turns else "user", "content": content}]
        with pytest.raises(TemplateError, match='a text has "<image>" in it'):
            tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False)


def test_refusing_changes_nothing_else():
    tokenizer = tiny.tiny_tokenizer()
    messages = [*SHOWN[1:2], {"role": "assistant", "content": None}]
    template = "{% for message in messages %}{{ message.role }} {% endfor %}"
    refusing = standalone(template, tokenizer, "<image>")
    assert tokenizer.apply_chat_template(messages, chat_template=refusing, tokenize=False) == "user assistant "
    assert refusing.endswith(template)


def test_chatml():
    tokenizer = tiny.tiny_tokenizer()
    text = tokenizer.apply_chat_template(
        SHOWN, chat_template=read_template("chatml"), tokenize=False, add_generation_prompt=True
    )
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<image>\nwhat is it?<|im_end|>\n"
        "<|im_start|>assistant\na cat<|im_end|>\n<|im_start|>user\nsure?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_file_wins_and_an_unknown_name_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chatml").write_text("mine")
    assert read_template("chatml") == "mine"
    with pytest.raises(ValueError, match=r"chat_template: lama is no file, and no template of that name .*chatml, "):
        read_template("lama")
