"""``minigemini chat --show-attention``: once with a prompt, and after each answer about a picture."""

import io
import json

import pytest
from PIL import Image
from rich.console import Console

from minigemini.attention.picture import GAP, LINE, PANEL, SCALE, TITLES
from minigemini.cli import main
from minigemini.engine.local import LocalEngine
from minigemini.serving.chat_session import ChatSession
from minigemini.serving.terminal import TerminalChat

ONE_PICTURE = (GAP + 4 * (PANEL + GAP), 2 * GAP + 2 * LINE + TITLES + PANEL * 40 // 60 + SCALE)


@pytest.fixture
def red(tmp_path):
    Image.new("RGB", (60, 40), "red").save(tmp_path / "red.png")
    return tmp_path / "red.png"


@pytest.fixture
def say(model, processor, tmp_path):
    """Say a line to a chat that shows its attention; what is printed."""
    printed = io.StringIO()
    session = ChatSession(LocalEngine(model, processor), max_new_tokens=8)
    console = Console(file=printed, width=200)
    chat = TerminalChat(session, console, False, tmp_path, tmp_path / "looked.png")

    def take(line):
        start = printed.tell()
        chat.take(line)
        return printed.getvalue()[start:]

    take.session = session
    return take


def test_one_answer(tiny_checkpoint, red, tmp_path, capsys):
    out = tmp_path / "new" / "looked.png"
    command = ["chat", str(tiny_checkpoint), "--image", str(red), "--prompt", "what is it?", "--draw", "never"]
    assert main([*command, "--show-attention", str(out)]) == 0
    captured = capsys.readouterr()
    assert f"where the answer looked: {out}" in captured.err
    assert str(out) not in captured.out
    picture = Image.open(out)
    assert (picture.format, picture.size) == ("PNG", ONE_PICTURE)

    out.unlink()
    assert main([*command, "--json", "--show-attention", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["attention"] == str(out)
    assert out.exists()
    assert main([*command, "--json"]) == 0
    assert "attention" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--show-attention", "looked.png"], "attention is shown on a picture"),
        (["--show-attention", "looked.jpg"], "looked.jpg: the picture of the attention is a PNG"),
    ],
)
def test_what_cannot_be_shown_is_said_before_anything_is_loaded(arguments, complaint, capsys):
    assert main(["chat", "no-such-model", "--prompt", "hello", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert complaint in captured.err
    if "looked.jpg" in arguments:
        assert main(["chat", "no-such-model", *arguments]) == 1
        assert complaint in capsys.readouterr().err


def test_a_file_that_cannot_be_written(tiny_checkpoint, red, tmp_path, capsys):
    command = ["chat", str(tiny_checkpoint), "--image", str(red), "--prompt", "what is it?", "--draw", "never"]
    (tmp_path / "file").write_text("")
    assert main([*command, "--show-attention", str(tmp_path / "file" / "looked.png")]) == 1
    assert "looked.png: the picture cannot be written" in capsys.readouterr().err


def test_after_each_answer_about_a_picture(say, red, tmp_path):
    out = tmp_path / "looked.png"
    assert "no picture was shown yet" in say("hello")
    assert not out.exists()

    say(f"/image {red}")
    assert f"where it looked: {out}" in say("what is it?")
    first = out.read_bytes()
    assert Image.open(out).size == ONE_PICTURE

    assert f"where it looked: {out}" in say("and what colour?")  # the picture is still in the conversation
    assert out.read_bytes() != first
    say(f"/image {red}")
    say("is this the same?")
    assert Image.open(out).size[1] > 1.5 * ONE_PICTURE[1]

    say("/reset")
    assert "no picture was shown yet" in say("hello")


def test_an_answer_that_left_no_trace_is_not_shown(say, red, tmp_path, model, processor, monkeypatch):
    say(f"/image {red}")
    say("what is it?")
    (tmp_path / "looked.png").unlink()

    space = processor.tokenizer.convert_tokens_to_ids("Ġ")  # from now on the model writes nothing else
    others = [token for token in range(len(processor.tokenizer)) if token != space]
    monkeypatch.setattr(model.generation_config, "suppress_tokens", others)
    reply = say.session.reply

    def cancelled(*arguments):
        for event in reply(*arguments):
            say.session.cancel()
            yield event

    monkeypatch.setattr(say.session, "reply", cancelled)
    printed = say("and now <image>?")
    assert "not part of the conversation" in printed
    assert "where it looked" not in printed
    assert not (tmp_path / "looked.png").exists()


def test_a_session_says_when_there_is_nothing_to_show(model, processor):
    session = ChatSession(LocalEngine(model, processor), max_new_tokens=4)
    with pytest.raises(ValueError, match="nothing was answered yet"):
        session.attention_picture()
    list(session.reply("hello", draw=False))
    with pytest.raises(ValueError, match="no picture was shown"):
        session.attention_picture()
