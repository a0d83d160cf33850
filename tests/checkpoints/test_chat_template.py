"""Chat templates by name, and the one that is not the original's: ChatML as its makers write it."""

import pytest
import tiny

from minigemini.checkpoints.assemble import assert_shows_pictures
from minigemini.checkpoints.chat_template import TEMPLATES, read_template

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
