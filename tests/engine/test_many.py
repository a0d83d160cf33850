"""Many requests at once, on the shipped nano: each is answered as it is alone."""

import time
from dataclasses import replace
from threading import Event as Flag
from threading import Thread

import pytest
import torch

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor, nano
from minigemini.conversation import PromptSpan, images_of, message
from minigemini.engine.batch import Batch, Row
from minigemini.engine.local import Answer, LocalEngine
from minigemini.engine.many import Busy, Closed, EngineForMany
from minigemini.engine.reply import Failed
from minigemini.engine.request import Decoding, DrawPolicy, Request
from minigemini.tabletop.benchmark import examples

GREEDY = Decoding(40)


@pytest.fixture(scope="module")
def engine():
    """In float32: at half precision the nano's two likeliest tokens are now and then equal, and how a sum is cut into blocks decides."""
    path = nano.path("nano")
    model = MiniGeminiForConditionalGeneration.from_pretrained(path, dtype=torch.float32).eval()
    return LocalEngine(model, MiniGeminiProcessor.from_pretrained(path))


@pytest.fixture(scope="module")
def requests():
    """With no picture, one and two; each decoded in a way of its own."""
    asked = [example["messages"] for example in examples(5, 3, ("draw_prompt", "tag", "count", "edit_2"))]
    ways = [
        GREEDY,
        replace(GREEDY, drawing=DrawPolicy("auto")),
        replace(GREEDY, drawing=DrawPolicy(True)),
        replace(GREEDY, drawing=DrawPolicy(False)),
        replace(GREEDY, temperature=1.5, top_p=0.9),
        replace(GREEDY, stop=("a ", "the")),
        Decoding(5),
        replace(GREEDY, repetition_penalty=1.2),
    ]
    return [Request(messages, ways[n % len(ways)], seed=n) for n, messages in enumerate(asked)]


@pytest.fixture(scope="module")
def alone(engine, requests):
    return [engine.answer([request])[0] for request in requests]


def read(reply):
    """The pieces of text and prompts, and how it ended."""
    *pieces, end = reply
    if isinstance(end, Answer):
        assert "".join(piece if isinstance(piece, str) else piece.written for piece in pieces) == end.text
    return pieces, end


def same(ends, answers):
    assert [end.text for end in ends] == [answer.text for answer in answers]
    assert [end.token_ids.tolist() for end in ends] == [answer.token_ids.tolist() for answer in answers]
    assert [end.finish_reason for end in ends] == [answer.finish_reason for answer in answers]


def test_requests_that_join_at_different_steps_are_answered_as_alone(engine, requests, alone):
    pictures = {sum(1 for one in request.messages for _ in images_of([one])) for request in requests}
    assert pictures >= {0, 1, 2}
    rows = [Row(engine, request) for request in requests]
    batch, sizes = Batch(engine), set()
    for joining in (rows[:3], rows[3:4], [], rows[4:14], rows[14:]):
        batch.join(joining)
        batch.step()
        sizes.add(len(batch.rows))
    while batch.rows:
        batch.step()
    assert max(sizes) > 8
    assert len(batch.mask) == 0
    same([read(row.reply)[1] for row in rows], alone)


def test_many_threads_get_their_own_answers(engine, requests, alone):
    ends = {}

    def ask(many, number):
        ends[number] = read(many.submit(requests[number % len(requests)]))[1]

    with EngineForMany(engine, slots=8) as many:
        clients = [Thread(target=ask, args=(many, number)) for number in range(64)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    same([ends[number] for number in range(64)], [alone[number % len(requests)] for number in range(64)])
    assert ends[0].prompt_tokens == engine.read([requests[0].messages])["input_ids"].shape[1]
    assert len(ends[0].token_ids) == len(alone[0].token_ids)


def test_a_prompt_comes_whole(engine, requests):
    with EngineForMany(engine) as many:
        pieces, _ = read(many.submit(requests[2]))
    assert [type(piece) for piece in pieces].count(PromptSpan) == 1


def test_a_full_queue_refuses_and_a_cancelled_request_leaves_it(engine, requests, alone):
    many = EngineForMany(engine, slots=1, waiting=2)
    with engine.alone():  # the batch stands still
        first = many.submit(requests[0])
        while many._rows:
            time.sleep(0.01)
        second, third = many.submit(requests[1]), many.submit(requests[2])
        with pytest.raises(Busy, match="2 requests wait"):
            many.submit(requests[3])
        second.cancel()
    assert read(second)[1].finish_reason == "cancelled"
    same([read(first)[1], read(third)[1]], [alone[0], alone[2]])
    many.close()
    with pytest.raises(Closed):
        many.submit(requests[0])
    assert second._events.empty()  # it has ended once


def test_a_stop_string_and_a_character_in_several_tokens_are_handed_on_when_they_are_settled(engine, requests, alone):
    whole = alone[0].text
    stop = whole[len(whole) // 2 : len(whole) // 2 + 4]
    request = replace(requests[0], decoding=replace(GREEDY, stop=(stop, "never")))
    with EngineForMany(engine) as many:
        same([read(many.submit(request))[1]], engine.answer([request]))

    row, text = Row(engine, requests[0]), "a 猫 ü b"
    tokens = engine.processor.tokenizer.encode(text, add_special_tokens=False)
    assert len(tokens) > len(text)
    for token in tokens:
        row.write(torch.eye(len(engine.processor.tokenizer))[token])
    row.finish("cancelled")
    pieces, end = read(row.reply)
    assert "\ufffd" not in "".join(pieces)
    assert end.text.strip() == text


def test_who_stops_listening_is_not_written_for(engine, requests):
    row, other = (Row(engine, replace(requests[0], decoding=GREEDY)) for _ in range(2))
    batch = Batch(engine)
    batch.join([row, other])
    batch.step()
    other.reply.cancel()
    batch.step()
    assert batch.rows == [row]
    _, end = read(other.reply)
    assert (end.finish_reason, len(end.token_ids)) == ("cancelled", 2)
    assert "<h>" not in end.text


def test_time_is_limited_also_while_waiting(engine, requests, alone):
    with EngineForMany(engine, slots=1) as many:
        with engine.alone():  # the batch stands still
            replies = [many.submit(requests[0], 0.05), many.submit(requests[1], 0.05), many.submit(requests[2], 600)]
            while len(many._rows) > 2:
                time.sleep(0.01)
            time.sleep(0.05)
        ends = [read(reply)[1] for reply in replies]
    assert [end.reason for end in ends[:2]] == ["no answer within 0.05 seconds"] * 2
    assert isinstance(ends[0].error, TimeoutError)
    same(ends[2:], alone[2:3])


def test_closing_at_once_ends_what_is_being_written(engine, requests):
    many = EngineForMany(engine, slots=1)
    with engine.alone():
        replies = [many.submit(request) for request in requests[:3]]
        closing = Thread(target=many.close, args=(True,))
        closing.start()
        while not many._closing:
            time.sleep(0.01)
    closing.join()
    assert [read(reply)[1].finish_reason for reply in replies] == ["cancelled"] * 3


def test_a_fault_of_one_request_stays_with_it(engine, requests, alone):
    def count(prompt):
        raise RuntimeError("the generator is gone")

    broken = replace(requests[2], decoding=replace(GREEDY, drawing=DrawPolicy(True, 20, count)))
    with EngineForMany(engine) as many:
        with pytest.raises(ValueError, match="not a picture"):
            many.submit(Request([message("user", "what is this?", [b"no picture"])], GREEDY))
        with pytest.raises(ValueError, match="num_beams=2"):
            many.submit(replace(requests[0], decoding=replace(GREEDY, num_beams=2)))
        replies = [many.submit(request) for request in (requests[0], broken, requests[1])]
        ends = [read(reply)[1] for reply in replies]
    assert isinstance(ends[1], Failed)
    assert ends[1].reason == "the generator is gone"
    same([ends[0], ends[2]], [alone[0], alone[1]])


def test_pictures_that_cannot_be_encoded_fail_alone(engine, requests, alone):
    rows = [Row(engine, requests[n]) for n in (5, 6, 7)]
    rows[1].inputs["pixel_values"] = rows[1].inputs["pixel_values"][..., :-1]
    batch = Batch(engine)
    batch.join(rows)
    while batch.rows:
        batch.step()
    assert all(row.done for row in rows)
    ends = [read(row.reply)[1] for row in rows]
    assert isinstance(ends[1], Failed)
    same([ends[0], ends[2]], [alone[5], alone[7]])


def test_a_step_that_fails_ends_its_rows_and_the_engine_goes_on(engine, requests, alone):
    failing = iter([True])

    def fail(module, inputs, options):
        if options["input_ids"].shape[1] == 1 and next(failing, False):
            raise RuntimeError("out of memory")

    handle = engine.model.register_forward_pre_hook(fail, with_kwargs=True)
    try:
        with EngineForMany(engine) as many:
            assert read(many.submit(requests[0]))[1].reason == "out of memory"
            same([read(many.submit(requests[0]))[1]], [alone[0]])
    finally:
        handle.remove()


def test_chance_is_the_requests_own(engine, requests):
    request = replace(requests[0], decoding=Decoding(12, temperature=4.0))
    state = torch.random.get_rng_state()
    with EngineForMany(engine) as many:
        replies = [many.submit(replace(request, seed=seed)) for seed in (1, 2, 1)]
        first, second, third = (read(reply)[1].text for reply in replies)
    assert first == third != second
    with EngineForMany(engine) as many:
        *pieces, whole = many.stream(replace(request, seed=1), Flag())
        with pytest.raises(TimeoutError):
            list(many.stream(request, Flag(), seconds=0))
    assert first == "".join(pieces) == whole.text
    assert first == engine.answer([replace(request, seed=1)])[0].text
    assert torch.equal(state, torch.random.get_rng_state())
