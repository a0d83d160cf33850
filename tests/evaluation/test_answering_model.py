"""The model as tools ask it: batches, pictures where they belong, decoding in the words of old scripts."""

import pytest
import torch
from PIL import Image

from minigemini.benchmarks.names.tabletop import make_examples
from minigemini.evaluation.harnesses.answering_model import (
    AnsweringModel,
    cut_at,
    generate_options,
    picture,
    with_placed_pictures,
)

GREEDY = generate_options({"max_new_tokens": 12}, 1024)


@pytest.fixture(scope="module")
def answering(loaded):
    return AnsweringModel(*loaded)


@pytest.fixture(scope="module")
def conversations():
    """With no picture, one and several."""
    return [example.messages for example in make_examples(["draw_prompt", "tag", "edit_2"], 2, seed=3)]


def test_a_mixed_batch_answers_as_each_alone(answering, conversations):
    together = answering.answer(conversations, GREEDY)
    assert together == [answering.answer([messages], GREEDY)[0] for messages in conversations]
    assert len(set(together)) > 1


def test_sampling_by_seed_leaves_the_random_state_alone(answering, conversations):
    options = generate_options({"max_new_tokens": 12, "temperature": 1.5}, 1024)
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    first = answering.answer(conversations[:2], options, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    assert answering.answer(conversations[:2], options, seed=1) == first
    assert answering.answer(conversations[:2], options, seed=2) != first


def test_the_nano_reads_a_tag():
    (example,) = make_examples(["tag"], 1, seed=3)
    assert AnsweringModel.load("nano", "cpu").answer([example.messages], GREEDY) == [example.reference["answer"]]


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ValueError, match=str(tmp_path)):
        AnsweringModel.load(str(tmp_path), "cpu")


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        ({}, {"max_new_tokens": 99, "do_sample": False}),
        ({"temperature": 0, "top_p": 0, "do_sample": True}, {"do_sample": False}),
        ({"temperature": 0.2, "do_sample": False}, {"do_sample": False}),  # lmms-eval's MM-Vet
        ({"temperature": 0.2}, {"do_sample": True, "temperature": 0.2, "top_p": 1.0, "top_k": 0}),
        (
            {"do_sample": True, "top_p": 0.9, "top_k": None},
            {"do_sample": True, "temperature": 1.0, "top_p": 0.9, "top_k": 0},
        ),
        ({"num_beams": 5, "max_new_tokens": 16}, {"num_beams": 5, "max_new_tokens": 16, "do_sample": False}),
    ],
)
def test_decoding(asked, options):
    found = generate_options(asked, 99)
    assert {"max_new_tokens": 99, "num_beams": 1, "repetition_penalty": 1.0, **options} == found


def test_an_unknown_way_of_decoding_is_refused():
    with pytest.raises(ValueError, match="patience"):
        generate_options({"patience": 3}, 99)


def test_a_reply_ends_before_the_first_end():
    assert cut_at(" a\n\nb Q: c ASSISTANT: d", ["ASSISTANT:", "Q:"]) == "a\n\nb"
    assert cut_at(" whole ", []) == cut_at(" whole ", ["", "none"]) == "whole"


def image(number):
    return {"type": "image", "image": number}


def text(words):
    return {"type": "text", "text": words}


@pytest.mark.parametrize(
    ("content", "placed"),
    [
        ([image(1), text("what?")], [image(1), text("what?")]),
        (
            [image(1), image(2), text("is <image> as <image>?")],
            [text("is "), image(1), text(" as "), image(2), text("?")],
        ),
        ([text("a"), text("b")], [text("a"), text("b")]),
    ],
)
def test_pictures_stand_where_their_markers_are(content, placed):
    assert with_placed_pictures([{"role": "user", "content": content}], "<image>") == [
        {"role": "user", "content": placed}
    ]


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ([image(1), text("<image> and <image>?")], [image(1), text("< image> and < image>?")]),  # which, none can tell
        ([text("what does <image> mean?")], [text("what does < image> mean?")]),
    ],
)
def test_other_markers_are_words_and_it_is_said(content, read):
    with pytest.warns(UserWarning, match="in its text . times; the model reads it there as '< image>'"):
        assert with_placed_pictures([{"role": "user", "content": content}], "<image>") == [
            {"role": "user", "content": read}
        ]


def test_pictures_of_tools(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4), "red").save(path)
    for source in (path, str(path), Image.open(path)):
        assert picture(source, "row 1").convert("RGB").getpixel((0, 0)) == (255, 0, 0)
    path.write_bytes(b"no picture")
    for wrong in (path, 3):
        with pytest.raises(ValueError, match="row 1"):
            picture(wrong, "row 1")
