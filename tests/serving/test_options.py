"""What a chat draws with, and what it takes."""

import io

import pytest
from PIL import Image
from rich.console import Console

from minigemini.engine.local import LocalEngine
from minigemini.serving.chat_session import ChatSession
from minigemini.serving.load_session import load_session
from minigemini.serving.options import ChatOptions
from minigemini.serving.terminal import TerminalChat, run


def test_only_the_nano_brings_a_generator(tmp_path, monkeypatch):
    assert ChatOptions().generator_name == "nano"
    assert ChatOptions(draw=False).generator_name is None
    assert ChatOptions("checkpoints/mgm-7b").generator_name is None
    assert ChatOptions("checkpoints/mgm-7b", generator="sdxl").generator_name == "sdxl"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nano").mkdir()  # somebody's own model of that name
    assert ChatOptions().generator_name is None


def test_a_chat_without_a_generator_says_so_and_how_to_get_one(tiny_checkpoint, monkeypatch, capsys):
    with pytest.raises(ValueError, match="no image generator of its own .* --generator"):
        load_session(ChatOptions("no-such-model", draw=True))  # before anything is loaded
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"/draw a cat\n")))
    assert run(ChatOptions(str(tiny_checkpoint))) == 0
    said = capsys.readouterr().out
    assert "It cannot draw: no image generator was named (--generator)." in said
    assert "! this chat has no image generator to draw with; name one with --generator" in said


def test_a_picture_that_the_model_would_refuse_is_refused_when_it_is_shown(model, processor, tmp_path):
    Image.new("RGB", (3000, 10)).save(tmp_path / "thin.png")
    printed = io.StringIO()
    session = ChatSession(LocalEngine(model, processor), max_new_tokens=4)
    chat = TerminalChat(session, Console(file=printed, width=300), False, tmp_path)
    chat.take(f"/image {tmp_path / 'thin.png'}")
    assert "thin.png: 3000x10 pixels; a side may be 200 times" in printed.getvalue()
    chat.take("hi")  # and the conversation goes on
    assert len(session.conversation.turns) == 2
