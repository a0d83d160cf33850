import copy
import shutil

import pytest
import tiny
import torch
from PIL import Image
from transformers import AutoProcessor, AutoTokenizer

from minigemini import MiniGeminiConfig, MiniGeminiProcessor

N = tiny.IMAGE_TOKENS
PICTURE = Image.new("RGB", (50, 30), "red")
OTHER = Image.new("RGB", (30, 60), "blue")


@pytest.fixture(scope="module")
def processor(tiny_parts) -> MiniGeminiProcessor:
    return tiny.new_processor(tiny_parts)


def user(*parts: str | Image.Image) -> dict:
    return {
        "role": "user",
        "content": [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part}
            for part in parts
        ],
    }


def assistant(text: str) -> dict:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def encode(processor: MiniGeminiProcessor, messages: list, **options) -> dict:
    return processor.apply_chat_template(messages, tokenize=True, return_dict=True, return_tensors="pt", **options)


def test_one_picture(processor):
    out = encode(processor, [user(PICTURE, "What is it?")], add_generation_prompt=True)
    assert set(out) == {"input_ids", "attention_mask", "pixel_values", "high_res_pixel_values"}
    text = processor.decode(out["input_ids"][0])
    assert text == "<s>USER:" + "<image>" * N + " What is it? ASSISTANT:"
    assert (out["input_ids"] == processor.image_token_id).sum() == N
    assert out["pixel_values"].shape == (1, 3, 28, 28)
    assert out["high_res_pixel_values"].shape == (1, 3, tiny.HIGH_RES_SIZE, tiny.HIGH_RES_SIZE)


def test_text_alone_brings_no_pixels(processor):
    assert set(encode(processor, [user("Hello")])) == {"input_ids", "attention_mask"}


def test_pictures_of_a_batch_come_in_reading_order(processor):
    out = encode(
        processor,
        [[user("Hello")], [user(PICTURE, "this"), assistant("yes"), user("and", OTHER)], [user(OTHER, "that")]],
        processor_kwargs={"padding": True},
    )
    assert out["pixel_values"].shape[0] == 3
    expected = processor.image_processor([PICTURE, OTHER, OTHER], return_tensors="pt")
    assert torch.equal(out["pixel_values"], expected["pixel_values"])
    assert (out["input_ids"] == processor.image_token_id).sum(1).tolist() == [0, 2 * N, N]
    assert out["attention_mask"][0, 0] == 0, "padding is on the left, for generation"


@pytest.mark.parametrize("side", ["left", "right"])
def test_assistant_mask_is_the_answer_and_its_end(processor, side):
    conversations = [
        [user(PICTURE, "one", OTHER), assistant("first answer"), user("and", PICTURE), assistant("second")],
        [user("no picture"), assistant("third")],
    ]
    out = encode(
        processor,
        conversations,
        return_assistant_tokens_mask=True,
        processor_kwargs={"padding": True, "padding_side": side},
    )
    answers = [" first answer</s> second</s>", " third</s>"]
    for ids, mask, answer in zip(out["input_ids"], out["assistant_masks"], answers, strict=True):
        assert processor.decode(ids[mask.bool()]) == answer
    assert out["assistant_masks"].shape == out["input_ids"].shape


def test_words_of_a_user_never_stand_for_a_picture(processor):
    with pytest.raises(ValueError, match=r"message 2 \(user\): its text has '<image>' in it"):
        encode(processor, [user(PICTURE, "a"), assistant("b"), user("what does <image> mean?")])
    with pytest.raises(ValueError, match=r"conversation 1, message 0 \(user\)"):
        encode(processor, [[user("fine")], [user("<im", "age>")]])
    with pytest.raises(ValueError, match="message 0"):
        processor.apply_chat_template([{"role": "user", "content": "a plain string with <image>"}])
    # The other kind of token in the other role: the answers a model is trained on
    with pytest.raises(ValueError, match=r"message 1 \(assistant\)"):
        encode(processor, [user("a"), assistant("<image>")])


def test_counts_must_match(processor):
    with pytest.raises(ValueError, match="2 <image> tokens and 1 images"):
        processor(text="<image> and <image>", images=[PICTURE])
    with pytest.raises(ValueError, match="1 <image> tokens"):
        processor(text=["words", "<image>"])
    with pytest.raises(ValueError, match="Mismatch"):  # on a copy: a fast tokenizer keeps how it truncated
        copy.deepcopy(processor)(text="<image> words", images=[PICTURE], truncation=True, max_length=3)


def test_pictures_of_a_list_in_a_list_belong_to_their_sample(processor):
    picture = Image.new("RGB", (16, 16))
    with pytest.raises(ValueError, match="sample 0 has 1 <image> tokens and 2 images"):
        processor(text=["<image> one", "<image><image> two"], images=[[picture, picture], [picture]], padding=True)
    processor(text=["<image> one", "<image><image> two"], images=[[picture], [picture, picture]], padding=True)


def test_number_of_image_tokens_without_pictures(processor):
    found = processor._get_num_multimodal_tokens(image_sizes=[(1, 1), (10_000, 10_000)])
    assert found.num_image_tokens == [N, N]
    assert found.num_image_patches == [1, 1]


@pytest.mark.parametrize(("grid", "whole", "views"), [(2, False, 4), (2, True, 5)])
def test_grids(tiny_parts, grid, whole, views):
    processor = tiny.new_processor(tiny_parts, high_res_image_size=128, image_grid=grid, image_global=whole)
    out = encode(processor, [user(PICTURE, "What?"), assistant("It")], return_assistant_tokens_mask=True)
    assert out["pixel_values"].shape == (1, views, 3, 28, 28)
    assert (out["input_ids"] == processor.image_token_id).sum() == views * N
    assert processor.decode(out["input_ids"][0][out["assistant_masks"][0].bool()]) == " It</s>"
    assert processor._get_num_multimodal_tokens(image_sizes=[(5, 5)]).num_image_tokens == [views * N]


def test_saved_and_loaded(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    MiniGeminiConfig().save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    assert type(again) is MiniGeminiProcessor
    assert again.patch_size == 14
    assert again.chat_template == processor.chat_template
    messages = [user(PICTURE, "What?"), assistant("It")]
    expected = encode(processor, messages, return_assistant_tokens_mask=True)
    for key, value in encode(again, messages, return_assistant_tokens_mask=True).items():
        assert torch.equal(value, expected[key])


def test_without_high_resolution_tower(tiny_parts):
    parts = {**tiny_parts, "high_res_vision_tower": None}
    processor = tiny.new_processor(parts)
    out = encode(processor, [user(PICTURE, "What?")])
    assert "high_res_pixel_values" not in out
    full = tiny.new_processor(tiny_parts)
    assert torch.equal(out["pixel_values"], encode(full, [user(PICTURE, "What?")])["pixel_values"])


def test_chat_template(tiny_parts, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_parts["language_model"])
    without = copy.deepcopy(tokenizer)
    without.chat_template = None
    shutil.copytree(tiny_parts["language_model"], tmp_path / "without")
    (tmp_path / "without" / "chat_template.jinja").unlink(missing_ok=True)
    without.save_pretrained(tmp_path / "without")
    parts = {**tiny_parts, "language_model": str(tmp_path / "without")}
    with pytest.raises(ValueError, match="no chat template; give chat_template="):
        tiny.new_processor(parts)
    given = tokenizer.chat_template.replace("USER:", "HUMAN:")
    file = tmp_path / "template.jinja"
    file.write_text(given)
    processor = tiny.new_processor(parts, chat_template=str(file))
    assert processor.apply_chat_template([user(PICTURE, "Hi")]) == "<s>HUMAN:<image> Hi"
    for strings_only in ("{{ messages[0].content }}", "{{ messages[0].content[1].text }}"):
        file.write_text(strings_only)
        with pytest.raises(ValueError, match="cannot show pictures"):
            tiny.new_processor(parts, chat_template=str(file))


def test_nothing_is_left_out_of_a_message(processor):
    """OpenAI's newer name for text is read; what a template would pass over in silence is named."""
    newer = [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]
    older = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    assert processor.apply_chat_template(newer) == processor.apply_chat_template(older)
    hello = {"role": "user", "content": "hi"}
    for messages, named in (
        ([], "no message"),
        ([[hello], []], "conversation 1 has no message"),
        ([{"content": "hi"}], "message 0: expected .*role"),
        (["hi"], "message 0: expected .*role"),
        ([{"role": "user", "content": None}], r"message 0 \(user\): 'content' must be"),
        *(
            (
                [{"role": "user", "content": [{"type": "text", "text": "a"}, part]}],
                r"message 0 \(user\), part 1: expected",
            )
            for part in ("hi", {"text": "hi"}, {"type": "text"}, {"type": "text", "text": None}, {"type": "video"})
        ),
    ):
        with pytest.raises(ValueError, match=named):
            processor.apply_chat_template(messages)
