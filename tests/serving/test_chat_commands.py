"""Commands that change what was said: the shipped nano, line by line."""

import copy
import io

import pytest
from PIL import Image
from rich.console import Console

from minigemini.engine.local import LocalEngine
from minigemini.serving.chat_session import ChatSession
from minigemini.serving.load_session import load_session
from minigemini.serving.options import ChatOptions
from minigemini.serving.terminal import TerminalChat

TAKES_A_SYSTEM = (
    "{% for message in messages %}{{ message.role }}:{% for part in message.content %}"
    "{{ '<image>' if part.type == 'image' else part.text }}{% endfor %} {% endfor %}"
)


@pytest.fixture
def chat(tmp_path):
    session = load_session(ChatOptions(max_new_tokens=24))
    return TerminalChat(session, Console(file=io.StringIO(), width=300, markup=False), "auto", tmp_path)


def said(chat):
    return [(turn.message.role, turn.raw) for turn in chat.session.conversation.turns]


def test_undo_branch_and_going_back(chat):
    chat.take("/undo")
    chat.take("/retry")
    assert chat.console.file.getvalue().count("! nothing was said yet") == 2
    chat.shown = [Image.new("RGB", (96, 96), "beige")]
    chat.take("how many objects are there?")
    first = said(chat)
    assert len(first) == 2
    chat.take("/branch")
    chat.take("/undo")
    assert said(chat) == []
    chat.take("/branch 0")
    assert said(chat) == first
    chat.take("/branch 7")
    chat.take("/branch x")
    assert said(chat) == first
    assert "! there is no branch 7" in chat.console.file.getvalue()
    chat.take("/retry")
    assert said(chat) == first  # the likeliest words


def test_what_fails_leaves_a_chat_that_goes_on(chat, tmp_path):
    """The next message does not fail for what was wrong with this one."""
    chat.take("hello")
    before = said(chat)
    chat.shown = [Image.new("RGB", (96, 96), "beige")] * 150  # 9 tokens each; the nano reads 1024
    chat.take("how many objects are there?")
    printed = chat.console.file.getvalue()
    assert "start anew. Its pictures are put away; show them again" in printed
    (tmp_path / "file").write_text("")
    chat.take(f"/save {tmp_path / 'file' / 'folder'}")
    assert "! [Errno" in chat.console.file.getvalue()
    assert said(chat) == before
    chat.take("hello again")
    assert len(said(chat)) == 4


def test_retry_draws_with_the_next_seed_and_a_stopped_one_leaves_the_old_answer(chat):
    chat.take("/draw a red circle")
    chat.take("/retry")
    (drawing,) = chat.session.conversation.turns[-1].drawings
    assert drawing.record.seed == 1
    before = list(chat.session.conversation.turns)
    events = chat.session.retry()
    next(events)
    events.close()
    assert chat.session.conversation.turns == before


def test_a_model_without_system_turns_refuses_one(chat):
    chat.take("hello")
    before = said(chat)
    chat.take("/system Be brief.")
    assert "! this model takes no system message: nano knows the roles" in chat.console.file.getvalue()
    assert said(chat) == before


def test_the_system_turn_is_replaced_and_outlives_a_reset(model, processor, tmp_path):
    processor = copy.copy(processor)
    processor.chat_template = TAKES_A_SYSTEM
    session = ChatSession(LocalEngine(model, processor), max_new_tokens=4, system="Be polite.")
    chat = TerminalChat(session, Console(file=io.StringIO(), width=300, markup=False), False, tmp_path)
    chat.take("hello")
    chat.take("/system Be <image> brief.")
    assert said(chat)[0] == ("system", "Be < image> brief.")
    assert len(said(chat)) == 3
    assert session.messages[0].text == "Be < image> brief."
    chat.take("/reset")
    assert said(chat) == [("system", "Be < image> brief.")]
    chat.take("/save")
    assert "! nothing was said yet" in chat.console.file.getvalue()
    chat.take("/system")
    assert said(chat) == []


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"temperature": float("nan")}, {"max_new_tokens": 0}])
def test_numbers_that_cannot_be_are_refused_before_anything_is_loaded(wrong):
    with pytest.raises(ValueError, match="expected"):
        load_session(ChatOptions("no-such-model", **wrong))
