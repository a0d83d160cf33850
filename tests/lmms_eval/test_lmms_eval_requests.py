"""The model class of lmms-eval, asked request by request: order, decoding, sampling, refusals."""

import pytest
import torch
from lmms_eval.api.instance import Instance
from lmms_eval.models import get_model
from PIL import Image

from minigemini.benchmarks.names.tabletop import make_examples
from minigemini.conversation import for_template
from minigemini.evaluation.harnesses.lmms_eval_model import ChatModel, SimpleModel

EXAMPLES = make_examples(["tag", "colour", "count", "edit_1"], 2, seed=21)
GREEDY = {"until": ["\n\n"], "max_new_tokens": 80, "temperature": 0.0, "top_p": 1.0, "num_beams": 1, "do_sample": False}


@pytest.fixture(scope="module")
def model():
    found = get_model("minigemini").create_from_arg_string("pretrained=nano,batch_size=3", {"batch_size": 1})
    assert type(found) is ChatModel
    assert found.batch_size == 3
    found.task_dict = {"tabletop": {"test": [for_template(example.messages, example.images) for example in EXAMPLES]}}
    return found


@pytest.fixture(scope="module")
def one_by_one(model):
    found = ChatModel("nano")
    found.task_dict = model.task_dict
    return found


def request(doc_id, gen_kwargs, doc_to_messages=None):
    arguments = ("x" * doc_id, doc_to_messages or as_lmms_eval, gen_kwargs, doc_id, "tabletop", "test")
    metadata = {"task": "tabletop", "doc_id": doc_id, "repeats": 1}
    return Instance("generate_until", arguments, 0, metadata)


def as_lmms_eval(messages):
    return [
        {
            **message,
            "content": [
                {"type": "image", "url": part["image"]} if part["type"] == "image" else part
                for part in message["content"]
            ],
        }
        for message in messages
    ]


def test_replies_come_in_the_order_of_the_requests(model):
    ids = [5, 0, 7, 2, 1, 6, 3, 4]
    ways = [{**GREEDY, "max_new_tokens": 80 - i % 2} for i in range(8)]  # two groups, mixed
    replies = model.generate_until([request(i, way) for i, way in zip(ids, ways, strict=True)])
    assert [replies[ids.index(i)] for i in (0, 1)] == [example.reference["answer"] for example in EXAMPLES[:2]]
    assert replies == [model.generate_until([request(i, GREEDY)])[0] for i in ids]


def test_sampling_depends_on_the_row_only(model, one_by_one):
    sampled = {"max_new_tokens": 20, "do_sample": True, "temperature": 2.0}
    torch.manual_seed(1234)
    requests = [request(i, sampled) for i in range(8)]
    replies = model.generate_until(requests)
    assert one_by_one.generate_until(requests[::-1])[::-1] == replies
    assert model.generate_until(requests[3:4]) == replies[3:4]
    repeated = model.generate_until([requests[3]] * 4)  # as --repeats does
    assert repeated[0] == replies[3]
    assert len(set(repeated)) > 1
    torch.manual_seed(4321)
    assert model.generate_until(requests) != replies


def test_a_reply_is_cut_where_the_task_says(model):
    whole = model.generate_until([request(6, GREEDY)])[0]
    middle = whole[len(whole) // 2 :]
    assert model.generate_until([request(6, {**GREEDY, "until": [middle]})]) == [whole[: len(whole) // 2].strip()]
    assert model.generate_until([request(6, {**GREEDY, "until": middle})]) == [whole[: len(whole) // 2].strip()]


def test_asked_by_text_and_pictures():
    simple = SimpleModel("nano", batch_size=2)
    text = EXAMPLES[0].messages[0].text
    simple.task_dict = {"tabletop": {"test": [EXAMPLES[0].images, []]}}

    def asked(doc_id, words):
        arguments = (words, GREEDY, lambda visuals: visuals, doc_id, "tabletop", "test")
        return Instance("generate_until", arguments, 0, {"task": "tabletop", "doc_id": doc_id, "repeats": 1})

    answer = EXAMPLES[0].reference["answer"]
    replies = simple.generate_until([asked(0, text), asked(0, "<image>" + text), asked(1, "draw a cross")])
    assert replies[:2] == [answer, answer]
    assert replies[2]


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_other_media_are_refused_by_name(model, kind):
    def doc_to_messages(doc):
        return [{"role": "user", "content": [{"type": kind, "url": "a.mp4"}]}]

    with pytest.raises(ValueError, match=f"tabletop, doc_id 4: .*{kind}"):
        model.generate_until([request(4, GREEDY, doc_to_messages)])


def test_a_picture_that_cannot_be_read_is_named(model, tmp_path):
    def doc_to_messages(doc):
        return [{"role": "user", "content": [{"type": "image", "url": str(tmp_path / "none.png")}]}]

    with pytest.raises(ValueError, match="tabletop, doc_id 4: .*none.png"):
        model.generate_until([request(4, GREEDY, doc_to_messages)])


def test_a_system_message_reaches_the_template(model):
    def doc_to_messages(doc):
        return [{"role": "system", "content": [{"type": "text", "text": "Be brief."}]}, *as_lmms_eval(doc)]

    with pytest.raises(Exception, match="nano knows the roles user and assistant, not system"):
        model.generate_until([request(0, GREEDY, doc_to_messages)])


def test_what_is_refused_says_why(model):
    with pytest.raises(NotImplementedError, match="argmin|loss"):
        model.loglikelihood([])
    with pytest.raises(NotImplementedError, match="video"):
        model.generate_until_multi_round([])
    with pytest.raises(ValueError, match="auto"):
        ChatModel("nano", batch_size="auto")
    with pytest.raises(ValueError, match="--max_batch_size: minigemini searches for no batch size"):
        ChatModel.create_from_arg_string("pretrained=nano", {"batch_size": 1, "max_batch_size": 8, "device": None})
    with pytest.raises(ValueError, match="nowhere"):
        ChatModel("./nowhere")


def test_a_picture_in_another_mode():
    model = SimpleModel("nano")
    model.task_dict = {"tabletop": {"test": [[Image.new("P", (20, 20))], [Image.new("RGBA", (20, 20))]]}}
    arguments = [("what?", GREEDY, lambda visuals: visuals, i, "tabletop", "test") for i in (0, 1)]
    metadata = {"task": "tabletop", "doc_id": 0, "repeats": 1}
    assert len(model.generate_until([Instance("generate_until", of, 0, metadata) for of in arguments])) == 2
