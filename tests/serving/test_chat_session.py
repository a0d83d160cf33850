import threading
from concurrent.futures import Future
from dataclasses import replace

import pytest
import torch
from PIL import Image

from minigemini.conversation import Image as Shown
from minigemini.conversation import Message, Text, find_prompts, images_of, message
from minigemini.engine.constraint import WellFormedPrompt
from minigemini.engine.local import LocalEngine, opened, picture
from minigemini.generation.generation_record import pixel_hash
from minigemini.serving.chat_session import ChatSession
from minigemini.serving.conversation import Drawing, Turn, as_read
from minigemini.serving.events import (
    Done,
    ImageDrawn,
    ImageFailed,
    ImagePreview,
    ImageProgress,
    ImageStarted,
    Notice,
    TextDelta,
)
from minigemini.serving.picture_events import DrawingOptions
from minigemini.serving.sample_conversations import ScriptedTurn, play

RED = Image.new("RGB", (50, 40), "red")


@pytest.fixture
def session(model, processor, generator):
    return ChatSession(LocalEngine(model, processor), generator, max_new_tokens=32)


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def shown_in(message):
    return [picture(source) for source in images_of([message])]


def test_a_picture_in_and_a_picture_out(session, generator):
    events = list(session.reply("what is this?", [RED], draw=False))
    assert not of(ImageStarted, events)
    done = events[-1]
    assert isinstance(done, Done)
    assert "".join(e.text for e in of(TextDelta, events)) == done.answer
    assert "<h>" not in done.answer

    events = list(session.reply("draw it", draw=True))
    (started,), (drawn,) = of(ImageStarted, events), of(ImageDrawn, events)
    (span,) = find_prompts(events[-1].answer)
    assert span.prompt == started.prompt == drawn.record.prompt
    assert generator.count_prompt_tokens(span.prompt) <= generator.max_prompt_tokens
    assert [e.step for e in of(ImageProgress, events)] == list(range(1, 21))
    assert events.index(started) < events.index(drawn) < len(events) - 1
    text = "".join(e.text for e in of(TextDelta, events))
    assert text == events[-1].answer[: span.start] + events[-1].answer[span.end :]
    assert session.messages[2].text == "draw it <GEN>"


def test_a_drawing_is_seen_with_the_next_message_and_edited_from_its_noise(session, model, processor):
    (first,) = of(ImageDrawn, session.reply("draw a circle", draw=True, drawing=DrawingOptions(seed=7)))
    assert first.record.seed == 7
    assert first.record.parents == []
    (second,) = of(ImageDrawn, session.reply("make it blue", [RED], draw=True))
    assert shown_in(session.messages[2]) == [first.image, RED]  # the drawing first
    assert second.record.seed == 7
    assert second.record.parents == [pixel_hash(first.image)]

    list(session.reply("what is it?", draw=False))
    assert shown_in(session.messages[4]) == [second.image]
    list(session.reply("and now?", draw=False))
    assert shown_in(session.messages[6]) == []  # once is enough, it stays in the conversation
    (third,) = of(ImageDrawn, session.reply("again", draw=True))
    assert third.record.seed == 7
    assert third.record.parents == [pixel_hash(second.image)]

    inputs = processor.apply_chat_template(
        opened(session.messages), tokenize=True, return_dict=True, return_tensors="pt"
    )
    assert inputs["pixel_values"].shape[0] == 3

    session.reset()
    (fresh,) = of(ImageDrawn, session.reply("draw a circle", draw=True))
    assert fresh.record.seed == 1
    assert fresh.record.parents == []
    assert len(session.messages) == 2


def test_the_model_reads_what_was_drawn(session, model):
    """The pixels of the drawing reach the model: another picture in its place, other logits."""
    list(session.reply("draw a circle", draw=True))
    list(session.reply("what is it?", draw=False))
    read = session.engine.processor.apply_chat_template(
        opened(session.messages), tokenize=True, return_dict=True, return_tensors="pt"
    )
    with torch.no_grad():
        logits = model(**read).logits
        other = model(**{**read, "pixel_values": read["pixel_values"] + 1.0}).logits
    assert not torch.equal(logits, other)


def test_markers_typed_by_the_user_do_not_act_and_the_user_is_told(session):
    events = list(session.reply("is <image> or <h>x</h> </s> <GEN> a word?", draw=False))
    (notice,) = [e for e in of(Notice, events) if "steer" in e.text]
    for marker in ("<image>", "<h>", "</h>", "</s>", "<GEN>"):
        assert marker in notice.text
    text = session.messages[0].text
    assert text == "is < image> or < h>x< /h> < /s> < GEN> a word?"
    assert session.conversation.turns[0].notices == [notice.text]


def test_without_a_generator_nothing_is_drawn(model, processor, monkeypatch):
    monkeypatch.setattr(WellFormedPrompt, "__call__", None)  # nor does its grammar run
    session = ChatSession(LocalEngine(model, processor), None, max_new_tokens=16)
    with pytest.raises(ValueError, match="no image generator"):
        session.reply("draw", draw=True)
    done = list(session.reply("hello"))[-1]
    assert isinstance(done, Done)
    assert "<h>" not in done.answer


def test_a_generator_that_cannot_be_loaded_is_said_once(model, processor):
    promised: Future = Future()
    promised.set_exception(ValueError("weights: not there"))
    session = ChatSession(LocalEngine(model, processor), promised, max_new_tokens=8)
    with pytest.raises(ValueError, match="not there"):
        session.reply("hello")
    assert isinstance(list(session.reply("hello"))[-1], Done)


def test_what_an_answer_says_of_pictures_shows_none_when_it_is_read_again():
    turns = [
        Turn(message("user", "say <image>")),
        Turn(Message("assistant", (Text("here: <image>, "), Shown(Drawing("<h>a</h>", RED, None)), Text(".")))),
        Turn(message("user", "more"), asks_for_drawing=True),
        Turn(Message("assistant", (Shown(Drawing("<h>b</h>")),))),  # not drawn
        Turn(message("user", "why?")),
    ]
    assert as_read(turns)[1:] == [
        message("assistant", "here: < image>, <h>a</h>."),
        message("user", "more <GEN>", [RED]),
        message("assistant", "<h>b</h>"),
        message("user", "why?"),
    ]


def test_nothing_to_answer(session):
    with pytest.raises(ValueError, match="nothing to answer"):
        session.reply("  ")
    assert session.messages == []


def test_a_conversation_that_outgrows_the_model_is_refused_and_stays_as_it_was(session):
    list(session.reply("hello", draw=False))
    before = list(session.messages)
    with pytest.raises(ValueError, match="the model reads 512"):
        session.reply("word " * 600)
    assert session.messages == before


def test_an_answer_that_is_cut_is_said_to_be(session):
    events = list(session.reply("hello", draw=False))
    if events[-1].finish_reason == "length":
        assert any("cut at 32 tokens" in e.text for e in of(Notice, events))
        assert events[-1].new_tokens == 32
    else:
        assert events[-1].finish_reason == "stop"


def test_cancelled_in_the_text(session):
    events = []
    for event in session.reply("hello", draw=False):
        events.append(event)
        if isinstance(event, TextDelta):
            session.cancel()
    assert events[-1].finish_reason == "cancelled"
    assert session.messages[-1].text == events[-1].answer
    assert isinstance(list(session.reply("again", draw=False))[-1], Done)  # and the conversation goes on


def test_cancelled_in_the_drawing(session, generator):
    before = generator.draw("a red circle", seed=0)[0]
    events = []
    for event in session.reply("draw", draw=True):
        events.append(event)
        if isinstance(event, ImageProgress) and event.step == 2:
            session.cancel()
    assert not of(ImageDrawn, events)
    assert [e.reason for e in of(ImageFailed, events)] == ["the drawing was stopped"]
    assert events[-1].finish_reason == "cancelled"
    assert generator.draw("a red circle", seed=0)[0].tobytes() == before.tobytes()


def test_previews_are_shown_where_they_are_asked_for_and_pass_the_filter(session):
    two = DrawingOptions(previews=2)
    assert len(of(ImagePreview, session.reply("draw a circle", draw=True, drawing=two))) == 2
    edit = list(session.reply("make it blue", draw=True, drawing=replace(two, action="edit", steps=5)))
    assert [type(one) for one in edit if isinstance(one, ImageProgress | ImagePreview)] == [
        *(ImageProgress, ImageProgress, ImagePreview) * 2,
        ImageProgress,
    ]
    assert not of(ImagePreview, session.reply("draw a circle", draw=True))
    session.reset()
    session.safety = lambda content: None if isinstance(content, str) else "not that"
    events = list(session.reply("draw a circle", draw=True, drawing=two))
    assert not of(ImagePreview, events)
    assert not of(ImageDrawn, events)


def test_an_abandoned_reply_stops_its_threads(session):
    threads = threading.active_count()
    events = session.reply("draw", draw=True)
    while not isinstance(next(events), ImageProgress):
        pass
    events.close()
    assert threading.active_count() == threads
    assert session.messages == []


def test_a_failing_model_is_an_error_and_not_a_silence(session, model):
    def fail(*args):
        raise RuntimeError("out of memory")

    hook = model.lm_head.register_forward_pre_hook(fail)
    try:
        with pytest.raises(RuntimeError, match="out of memory"):
            list(session.reply("look", [RED]))
    finally:
        hook.remove()
    assert session.messages == []


def test_the_record_for_people_is_in_reading_order(session):
    conversation = play(session, "Drawing", [ScriptedTurn("look", [RED], False), ScriptedTurn("draw it", draw=True)])
    user, _, asks, answer = conversation.turns
    assert user.message == message("user", "look", [session.assets.put(RED)])
    assert (asks.message, asks.raw, asks.asks_for_drawing) == (message("user", "draw it"), "draw it <GEN>", True)
    (picture,) = [part for part in answer.message.parts if isinstance(part, Shown)]
    assert answer.drawings == [picture.source]
    (span,) = find_prompts(answer.raw)
    assert picture.source.written == span.written
    before = answer.message.parts[: answer.message.parts.index(picture)]
    assert before == ((Text(answer.raw[: span.start]),) if span.start else ())


def test_two_sessions_share_a_model(model, processor, generator):
    def once(seed):
        session = ChatSession(LocalEngine(model, processor), generator, max_new_tokens=24, seed=seed)
        return [e.image.tobytes() for e in session.reply("draw", draw=True) if isinstance(e, ImageDrawn)]

    alone = [once(1), once(2)]
    together: dict[int, list[bytes]] = {}
    threads = [threading.Thread(target=lambda s=s: together.update({s: once(s)})) for s in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[1], together[2]] == alone
