"""The engine on the shipped nano: batches, streams, chance, ends."""

from threading import Event

import pytest
import torch

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor, nano
from minigemini.conversation import PromptSpan, find_prompts, message, with_images
from minigemini.engine.constraint import NoPrompt, WellFormedPrompt
from minigemini.engine.local import Answer, LocalEngine
from minigemini.engine.request import Decoding, DrawPolicy, Request
from minigemini.tabletop.benchmark import examples

GREEDY = Decoding(40)


@pytest.fixture(scope="module")
def engine():
    path = nano.path("nano")
    return LocalEngine(
        MiniGeminiForConditionalGeneration.from_pretrained(path).eval(), MiniGeminiProcessor.from_pretrained(path)
    )


@pytest.fixture(scope="module")
def asked():
    """With no picture, one and several; and the right answers."""
    return list(examples(2, 3, ("draw_prompt", "tag", "edit_2")))


def streamed(engine, request):
    *pieces, answer = engine.stream(request, Event())
    assert isinstance(answer, Answer)
    assert "".join(piece if isinstance(piece, str) else piece.written for piece in pieces) == answer.text
    return pieces, answer


def test_a_mixed_batch_answers_as_each_alone_and_as_a_stream(engine, asked):
    requests = [Request(example["messages"], GREEDY) for example in asked]
    together = [answer.text for answer in engine.answer(requests)]
    assert together == [engine.answer([request])[0].text for request in requests]
    assert together == [streamed(engine, request)[1].text for request in requests]
    assert [text.strip() for text in together[2:4]] == [example["answer"] for example in asked[2:4]]


def test_a_stream_hands_on_prompts_when_they_are_whole(engine, asked):
    pieces, answer = streamed(engine, Request(asked[0]["messages"], Decoding(40, drawing=DrawPolicy(True))))
    assert [piece for piece in pieces if isinstance(piece, PromptSpan)] == find_prompts(answer.text)
    assert answer.text.strip() == asked[0]["answer"]
    assert answer.finish_reason == "stop"


def test_where_nothing_may_be_drawn_no_prompt_is_opened(engine, asked):
    request = Request(asked[0]["messages"], Decoding(40, drawing=DrawPolicy(False)))
    assert "<h>" not in engine.answer([request])[0].text
    assert "<h>" not in streamed(engine, request)[1].text


def test_where_nothing_can_be_drawn_the_grammar_does_not_run(engine, asked, monkeypatch):
    """A harness decodes freely; in a chat only the opening marker is kept away."""
    ran = []

    def count(constraint):
        call = constraint.__call__

        def counted(self, input_ids, scores):
            ran.append(constraint)
            return call(self, input_ids, scores)

        monkeypatch.setattr(constraint, "__call__", counted)

    for constraint in (WellFormedPrompt, NoPrompt):
        count(constraint)
    for drawing, expected in ((None, set()), (DrawPolicy(False), {NoPrompt}), (DrawPolicy("auto"), {WellFormedPrompt})):
        ran.clear()
        engine.answer([Request(asked[0]["messages"], Decoding(3, drawing=drawing))])
        assert set(ran) == expected


def test_an_answer_ends_where_it_should(engine, asked):
    whole = engine.answer([Request(asked[0]["messages"], GREEDY)])[0].text
    stop = whole[len(whole) // 2 : len(whole) // 2 + 4]
    request = Request(asked[0]["messages"], Decoding(40, stop=(stop, "never")))
    for answer in (engine.answer([request])[0], streamed(engine, request)[1]):
        assert (answer.text, answer.finish_reason) == (whole.partition(stop)[0], "stop")
        assert len(answer.token_ids) < len(whole)
    short = Request(asked[0]["messages"], Decoding(3))
    for answer in (engine.answer([short])[0], streamed(engine, short)[1]):
        assert (answer.finish_reason, len(answer.token_ids)) == ("length", 3)


def test_chance_comes_from_the_seed_and_leaves_the_process_alone(engine, asked):
    def answers(seed):
        request = Request(asked[0]["messages"], Decoding(12, temperature=4.0), seed)
        return [engine.answer([request])[0].text, streamed(engine, request)[1].text]

    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    first = answers(1)
    assert first[0] == first[1]
    assert torch.equal(state, torch.random.get_rng_state())
    assert answers(2) != first
    assert answers(1) == first
    likeliest = Request(asked[0]["messages"], Decoding(12, temperature=1.5, top_k=1), 1)
    assert engine.answer([likeliest])[0].text == engine.answer([Request(asked[0]["messages"], Decoding(12))])[0].text


def test_a_stream_is_cancelled_from_outside_and_when_nobody_listens(engine, asked):
    cancelled = Event()
    pieces = engine.stream(Request([message("user", "what can you do?")], GREEDY), cancelled)
    text = next(pieces)
    cancelled.set()
    *_, answer = pieces
    assert answer.finish_reason == "cancelled"
    assert answer.text.startswith(text)
    cancelled = Event()
    pieces = engine.stream(Request([message("user", "what can you do?")], GREEDY), cancelled)
    next(pieces)
    pieces.close()
    assert cancelled.is_set()


def test_half_a_prompt_is_no_prompt(engine, asked):
    """Eight tokens are too few for the whole of it."""
    request = Request(asked[0]["messages"], Decoding(8))
    assert streamed(engine, request)[1].text.lstrip().startswith("<h>a")
    cancelled = Event()
    pieces = engine.stream(request, cancelled)
    assert not next(pieces).strip()
    cancelled.set()
    *rest, answer = pieces
    assert (rest, answer.text.strip(), answer.finish_reason) == ([], "", "cancelled")


def test_pictures_are_opened_wherever_they_lie(engine, asked, tmp_path):
    messages = asked[2]["messages"]

    def stored(image):
        image.save(tmp_path / "a.png")
        return tmp_path / "a.png"

    in_files = with_images(messages, stored)
    ways = [messages, in_files, with_images(in_files, str), with_images(in_files, lambda path: path.read_bytes())]
    first, *others = (engine.read([way])["pixel_values"] for way in ways)
    assert all(torch.equal(first, other) for other in others)
    with pytest.raises(ValueError, match=r"gone\.png: no such file"):
        engine.read([with_images(messages, lambda _: "gone.png")])


def test_what_has_outgrown_the_model_is_refused_before_anything_is_written(engine):
    with pytest.raises(ValueError, match="start anew"):
        engine.stream(Request([message("user", "word " * 3000)], GREEDY), Event())
