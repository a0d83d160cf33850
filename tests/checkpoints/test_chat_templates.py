"""Prompts, token ids and labels of converted tokenizers and chat templates, against those recorded from the original."""

import json
from typing import Any

import pytest
from jinja2 import TemplateError
from released import copied
from shared import RECORDED, needs_recorded
from transformers import AutoTokenizer

from minigemini.checkpoints.chat_template import read_template, with_beginning
from minigemini.checkpoints.convert_mgm.text import IMAGE_TOKEN, converted_tokenizer, template_name

pytestmark = needs_recorded

PAIRS = [
    "v1__llama",
    "v1__llama_legacy",
    "gemma__gemma",
    "llama_3__llama3",
    "mistral_instruct__mistral",
    "mistral_instruct__llama",
    "chatml_direct__yi",
    "chatml_direct__yi_nonlegacy",
    "plain__llama",
    "plain__llama3",
    "plain__yi",
    "plain__mistral",
    "plain__gemma",
]
CUT = [f"{pair}__max40" for pair in PAIRS[:8]]
PROMPTS = {  # what the recorded prompts to be answered were made of
    "one_image": [("human", "<image>\nWhat is shown?")],
    "text": [("human", "Is it night?")],
    "two_images": [("human", "<image>\n<image>\nCompare.")],
    "second_turn": [("human", "<image>\nWhat is shown?"), ("gpt", "A red bus."), ("human", "How many?")],
}


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory) -> dict[str, Any]:
    """Converted, saved and loaded again, as a user has them."""
    loaded = {}
    for name in {recording(pair)["tokenizer"] for pair in PAIRS}:
        folder = tmp_path_factory.mktemp(name)
        converted_tokenizer(copied(f"text/tokenizers/{name}", folder / "source")).save_pretrained(folder / "out")
        loaded[name] = AutoTokenizer.from_pretrained(folder / "out")
    return loaded


def recording(pair: str) -> dict[str, Any]:
    return json.loads((RECORDED / "text" / f"{pair}.json").read_text(encoding="utf-8"))


def messages(turns: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """As the original has it, pictures first; a first turn of gpt is left out by it."""
    conversation = []
    for who, text in turns[1:] if turns[0][0] == "gpt" else turns:
        pictures = text.count(IMAGE_TOKEN)
        words = text.replace(IMAGE_TOKEN, "").strip() if pictures else text
        parts: list[dict[str, Any]] = [{"type": "image"}] * pictures
        conversation.append(
            {"role": {"human": "user", "gpt": "assistant"}[who], "content": [*parts, {"type": "text", "text": words}]}
        )
    return conversation


def case_turns(case: dict[str, Any]) -> list[tuple[str, str]]:
    return [(turn["from"], turn["value"]) for turn in case["after_preprocess_multimodal"]]


def encoded(tokenizer: Any, template: str, turns: list[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """Ids with -200 for a picture, and labels, as the original writes them."""
    out = tokenizer.apply_chat_template(
        messages(turns), chat_template=read_template(template), return_dict=True, return_assistant_tokens_mask=True
    )
    text = tokenizer.apply_chat_template(messages(turns), chat_template=read_template(template), tokenize=False)
    beginning = tokenizer("")["input_ids"]  # which the templates leave to the tokenizer
    assert tokenizer(text)["input_ids"] == beginning + out["input_ids"]
    trained = {len(beginning) + at for at, mask in enumerate(out["assistant_masks"]) if mask}
    image = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    ids = [-200 if token == image else token for token in beginning + out["input_ids"]]
    return ids, [token if at in trained else -100 for at, token in enumerate(ids)]


def cases(pair: str) -> dict[str, Any]:
    """But those that the original refuses, and the empty answer, which it renders as a question (see below)."""
    found = recording(pair)["cases"]
    return {name: case for name, case in found.items() if "error" not in case and name != "empty_answer"}


@pytest.mark.parametrize("pair", PAIRS)
def test_token_ids(tokenizers, pair):
    tokenizer, template = tokenizers[recording(pair)["tokenizer"]], pair.split("__")[0]
    compared = 0
    for name, case in cases(pair).items():
        ids, _ = encoded(tokenizer, template, case_turns(case))
        assert ids == case["input_ids"], name
        compared += 1
    assert compared >= 7


@pytest.mark.parametrize("pair", PAIRS)
def test_labels(tokenizers, pair):
    """Equal, where the original learns anything from the sample at all."""
    tokenizer, template = tokenizers[recording(pair)["tokenizer"]], pair.split("__")[0]
    compared = 0
    for name, case in cases(pair).items():
        _, labels = encoded(tokenizer, template, case_turns(case))
        if (pair, name) == ("plain__llama", "unicode_newlines"):
            # The caption starts with a space: the one that the tokenizer writes in front belongs to no character of it.
            assert labels[3:] == case["labels"][3:]
        elif not case["all_masked"]:
            assert labels == case["labels"], name
            compared += 1
    assert compared >= (0 if pair == "chatml_direct__yi_nonlegacy" else 6)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if not pair.startswith("plain")])
def test_answers_that_the_original_does_not_learn_from(tokenizers, pair):
    """It guesses lengths by tokenising pieces again. Where the guess fails (an answer with the text of an end token in it; all
    answers of ChatML, if the tokenizer is not in legacy mode) it masks the whole sample without stopping. Ours learns the
    answer and the token that ends it, and nothing else."""
    tokenizer, template = tokenizers[recording(pair)["tokenizer"]], pair.split("__")[0]
    masked = {name: case for name, case in cases(pair).items() if case["all_masked"]}
    assert "answer_with_eos_text" in masked
    assert (len(masked) == len(cases(pair))) == (pair == "chatml_direct__yi_nonlegacy")
    end = tokenizer.convert_tokens_to_ids(
        {"llama_3": "<|eot_id|>", "chatml_direct": "<|im_end|>"}.get(template, tokenizer.eos_token)
    )
    for name, case in masked.items():
        turns = case_turns(case)
        _, labels = encoded(tokenizer, template, turns)
        learnt = [label for label in labels if label != -100]
        said = [text for who, text in messages_said(turns) if who == "gpt"]
        assert learnt[-1] == end, name
        words = tokenizer.decode(learnt).replace(" ", "")
        for answer in said:
            assert answer.replace(" ", "") in words, name
        assert "USER" not in words, name
        assert "question" not in words, name


def messages_said(turns: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return turns[1:] if turns[0][0] == "gpt" else turns


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if not pair.startswith("plain")])
def test_an_empty_answer_is_ended(tokenizers, pair):
    """The original takes it for a question that waits for its answer, and learns nothing; ours learns to end at once."""
    case = recording(pair)["cases"]["empty_answer"]
    tokenizer, template = tokenizers[recording(pair)["tokenizer"]], pair.split("__")[0]
    ids, labels = encoded(tokenizer, template, case_turns(case))
    learnt = [label for label in labels if label != -100]
    assert set(case["labels"]) <= {-100, 13, 15}
    assert ids[-1] == learnt[-1] == tokenizer.eos_token_id
    assert len(learnt) <= 4


@pytest.mark.parametrize("pair", CUT)
def test_nothing_is_cut(tokenizers, pair):
    """With room for 40 tokens the original cuts text-only samples; ours only begin in the same way."""
    tokenizer, template = tokenizers[recording(pair)["tokenizer"]], pair.split("__")[0]
    for name, case in cases(pair).items():
        ids, _ = encoded(tokenizer, template, case_turns(case))
        assert ids[: len(case["input_ids"])] == case["input_ids"], name
    cut = recording(pair)["cases"]["two_turn_text"]["input_ids"]
    assert len(cut) == 40 < len(encoded(tokenizer, template, case_turns(recording(pair)["cases"]["two_turn_text"]))[0])


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("copies", [1, 3])
def test_prompts_to_be_answered(tokenizers, pair, copies):
    """Also with a picture's token written several times, as the processor does."""
    tokenizer, template = tokenizers[recording(pair)["tokenizer"]], pair.split("__")[0]
    image = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    for name, case in recording(pair)["generate"].items():
        if "error" in case:
            continue
        prompt = tokenizer.apply_chat_template(
            messages(PROMPTS[name]), chat_template=read_template(template), tokenize=False, add_generation_prompt=True
        )
        assert prompt == case["prompt"], name
        ids = tokenizer(prompt.replace(IMAGE_TOKEN, IMAGE_TOKEN * copies))["input_ids"]
        expected = [token for id_ in case["input_ids"] for token in ([image] * copies if id_ == -200 else [id_])]
        assert ids == expected, name


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if not pair.startswith("plain")])
def test_a_server_that_adds_nothing_to_the_words_reads_the_same(tokenizers, pair):
    """vLLM tokenises what the template of a converted checkpoint renders, and nothing else."""
    tokenizer, template = tokenizers[recording(pair)["tokenizer"]], pair.split("__")[0]
    image = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    begun = with_beginning(read_template(template), tokenizer)
    assert (begun == read_template(template)) == (template == "chatml_direct")  # Yi's begins with nothing
    for name, case in recording(pair)["generate"].items():
        if "error" in case:
            continue
        prompt = tokenizer.apply_chat_template(
            messages(PROMPTS[name]), chat_template=begun, tokenize=False, add_generation_prompt=True
        )
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        assert ids == [image if id_ == -200 else id_ for id_ in case["input_ids"]], name
    assert with_beginning(begun, tokenizer) == begun


@pytest.mark.parametrize("name", ["v1", "gemma", "llama_3", "mistral_instruct", "chatml_direct", "plain"])
def test_roles_out_of_turn(tokenizers, name):
    wrong = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    with pytest.raises(TemplateError, match="turn 1 is from user"):
        tokenizers["llama"].apply_chat_template(wrong, chat_template=read_template(name))


def test_system_turn_takes_the_place_of_the_usual_words(tokenizers):
    spoken = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    rendered = {
        name: tokenizers["llama"].apply_chat_template(spoken, chat_template=read_template(name), tokenize=False)
        for name in ("v1", "chatml_direct")
    }
    assert rendered["v1"] == "Be brief. USER: Why?"
    assert rendered["chatml_direct"] == "<|im_start|>system\nBe brief.<|im_end|><|im_start|>user\nWhy?<|im_end|>"
    with pytest.raises(TemplateError, match="system"):
        tokenizers["llama"].apply_chat_template(spoken, chat_template=read_template("gemma"))


def test_template_by_what_the_checkpoint_is(tokenizers):
    kinds = [("llama", "llama"), ("llama", "llama3"), ("llama", "yi"), ("gemma", "gemma"), ("mixtral", "mistral")]
    found = [template_name(kind, tokenizers[tokenizer]) for kind, tokenizer in kinds]
    assert found == ["v1", "llama_3", "chatml_direct", "gemma", "mistral_instruct"]


def test_control_tokens_are_known_as_such(tokenizers):
    """What neutralises a user's text, and what is left out of an answer, goes by this."""
    assert {"<start_of_turn>", "<end_of_turn>", IMAGE_TOKEN} <= set(tokenizers["gemma"].all_special_tokens)
    assert {"<|eot_id|>", "<|start_header_id|>"} <= set(tokenizers["llama3"].all_special_tokens)
    answer = tokenizers["gemma"]("A bus.<end_of_turn>\n<eos>")["input_ids"]
    assert tokenizers["gemma"].decode(answer, skip_special_tokens=True) == "A bus.\n"


def test_a_broken_tokenizer_model(tmp_path):
    folder = copied("text/tokenizers/llama", tmp_path / "source")
    file = folder / "tokenizer.model"
    file.write_bytes(file.read_bytes()[:-60])
    with pytest.raises(ValueError, match=r"tokenizer\.model: not a SentencePiece model"):
        converted_tokenizer(folder)
    file.unlink()
    with pytest.raises(ValueError, match=r"no tokenizer\.json"):
        converted_tokenizer(folder)


def test_a_tokenizer_that_is_not_what_its_model_says(tmp_path):
    """Two files that should say the same: transformers reads one, the original the other."""
    folder = copied("text/tokenizers/mistral", tmp_path / "source")
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["merges"] = content["model"]["merges"][:10]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="in another way than SentencePiece"):
        converted_tokenizer(folder)
