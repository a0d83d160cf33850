import re

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessorList, PreTrainedTokenizerFast

from minigemini.conversation import find_prompts
from minigemini.engine.constraint import well_formed_prompt

TEXT = [
    "draw a large red circle at the top left",
    "<h>a large red circle</h>",
    "USER: hi ASSISTANT: Here it is: <h>a b</h>. 1 < 2",
]


def byte_level() -> PreTrainedTokenizerFast:
    """As Llama 3, Qwen and nano have it; some tokens reach over the ends of the markers."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "</s>", "<pad>", "<image>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*TEXT * 3, "<h>a c", "<h>a d", "e.</h>", "f.</h>", "x <h>", "y <h>"], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=["<image>"],
    )


def metaspace() -> PreTrainedTokenizerFast:
    """As Llama 2 and Gemma have it: a mark for spaces, and bytes for what is not in the vocabulary."""
    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        "▁a",
        "▁<",
        "<",
        "h",
        ">",
        "/",
        "▁red",
    ]
    tokenizer = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, [], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )


TOKENIZERS = {"byte level": byte_level(), "metaspace": metaspace()}


def answers(
    name: str, seed: int, rows: int = 3, max_new_tokens: int = 40, sample: bool = True, **settings
) -> list[str]:
    """What a model with random weights answers to prompts of different lengths, padded on the left."""
    tokenizer = TOKENIZERS[name]
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + 7,  # embeddings are often wider than the vocabulary
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.3,
    )
    model = LlamaForCausalLM(config).eval()
    inputs = tokenizer(["a", "a red", "a < h >"][:rows], return_tensors="pt", padding=True, padding_side="left")
    inputs.pop("token_type_ids", None)
    length = inputs["input_ids"].shape[1]
    constraint = well_formed_prompt(tokenizer, length, max_new_tokens, **settings)
    tokens = model.generate(
        **inputs, max_new_tokens=max_new_tokens, do_sample=sample, logits_processor=LogitsProcessorList([constraint])
    )
    return tokenizer.batch_decode(tokens[:, length:], skip_special_tokens=True)


def one_well_formed(answer: str) -> str:
    """The only prompt of an answer."""
    assert answer.count("<h>") == answer.count("</h>") == 1, answer
    (span,) = find_prompts(answer)
    assert re.search(r"[^\W_]", span.prompt), answer
    return span.prompt


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("seed", range(4))
def test_required_is_one_prompt_whatever_the_weights(name: str, seed: int) -> None:
    for answer in answers(name, seed, draw=True, sample=seed % 2 == 0):
        one_well_formed(answer)
        assert answer.index("<h>") <= 200


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("room", [8, 9, 12])
def test_required_fits_in_hardly_any_room(name: str, room: int) -> None:
    for answer in answers(name, 1, draw=True, max_new_tokens=room):
        one_well_formed(answer)


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("budget", [2, 5, 11])
def test_required_stays_within_what_the_generator_reads(name: str, budget: int) -> None:
    def count(prompt: str) -> int:
        return len(re.findall(r"\w|[^\w\s]", prompt))  # unlike the language model counts

    for seed in range(2):
        for answer in answers(
            name, seed, draw=True, max_new_tokens=40, max_prompt_tokens=budget, count_prompt_tokens=count
        ):
            assert 1 <= count(one_well_formed(answer)) <= budget


@pytest.mark.parametrize("name", TOKENIZERS)
def test_off_never_opens_a_prompt_and_auto_closes_all(name: str) -> None:
    opened = 0
    for seed in range(4):
        for answer in answers(name, seed, draw=False):
            assert "<h>" not in answer
        for answer in answers(name, seed, draw="auto"):
            assert answer.count("<h>") == answer.count("</h>") == len(find_prompts(answer)), answer
            opened += answer.count("<h>")
    if name == "byte level":
        assert opened  # else there was nothing to see


def favouring(tokenizer: PreTrainedTokenizerFast, wanted: str):
    """Scores of a model that wants to write ``wanted`` whatever it is told."""
    tokens = tokenizer.encode(wanted, add_special_tokens=False)

    def favour(input_ids: torch.Tensor, written: int) -> torch.Tensor:
        scores = torch.zeros(1, len(tokenizer))
        scores[0, tokens[min(written, len(tokens) - 1)]] = 10.0
        return scores

    return favour


def written(name: str, wanted: str, **settings) -> tuple[str, bool]:
    tokenizer = TOKENIZERS[name]
    favour = favouring(tokenizer, wanted)
    constraint = well_formed_prompt(tokenizer, 1, 60, **settings)
    ids = torch.tensor([[tokenizer.bos_token_id]])
    for step in range(60):
        scores = constraint(ids, favour(ids, step))
        ids = torch.cat([ids, scores.argmax(-1, keepdim=True)], 1)
        if ids[0, -1] == tokenizer.eos_token_id:
            break
    return str(tokenizer.decode(ids[0, 1:], skip_special_tokens=True)), bool(constraint.shortened)


def test_a_model_that_does_it_right_is_left_alone() -> None:
    for answer in ("<h>a large red circle</h></s>", "Here it is: <h>a b</h>. 1 < 2</s>"):
        for draw in (True, "auto"):
            text, shortened = written("byte level", answer, draw=draw, max_prompt_tokens=30)
            assert text == answer.removesuffix("</s>")
            assert not shortened


def test_a_prompt_that_was_made_to_end_is_reported() -> None:
    text, shortened = written(
        "byte level", "<h>a large red circle at the top left</h></s>", draw=True, max_prompt_tokens=4
    )
    assert shortened
    assert one_well_formed(text) != "a large red circle at the top left"


@pytest.mark.parametrize(
    "wanted",
    ["</s>", "<h></h></s>", "<h> </h></s>", "<h>..</h></s>", "<h>a<h>b</h>", "<h>a</h><h>b</h></s>", "<image><image>"],
)
@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_model_that_wants_it_wrong_is_put_right(name: str, wanted: str) -> None:
    text, _ = written(name, wanted, draw=True)
    one_well_formed(text)
    text, _ = written(name, wanted, draw=False)
    assert "<h>" not in text


def test_no_room_is_said() -> None:
    with pytest.raises(ValueError, match="max_new_tokens=2 has no room"):
        well_formed_prompt(TOKENIZERS["metaspace"], 1, 2)


def test_a_picture_token_is_never_written() -> None:
    tokenizer = TOKENIZERS["byte level"]
    ids = torch.tensor([[0, tokenizer.convert_tokens_to_ids("<image>")]])
    for draw in (True, False, "auto"):
        scores = well_formed_prompt(tokenizer, 2, 40, draw=draw)(ids, torch.zeros(1, len(tokenizer)))
        assert scores[0, tokenizer.convert_tokens_to_ids("<image>")] == -torch.inf


def test_an_answer_may_end_however_unlikely_that_is() -> None:
    """The length of prompts is no matter for it."""
    tokenizer = TOKENIZERS["byte level"]
    scores = torch.randn(1, len(tokenizer), generator=torch.Generator().manual_seed(0))
    scores[0, tokenizer.eos_token_id] = -50
    ids = torch.tensor([[0, *tokenizer.encode("hi", add_special_tokens=False)]])
    constrained = well_formed_prompt(tokenizer, 1, 40, draw="auto", max_prompt_tokens=9)(ids, scores)
    assert constrained[0, tokenizer.eos_token_id] == -50
