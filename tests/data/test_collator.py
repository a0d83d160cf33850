"""A batch is what the processor makes of the conversations with their images, and labels cover the assistant's words alone."""

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from tokenizers.processors import TemplateProcessing

from minigemini import MiniGeminiProcessor
from minigemini.conversation import for_template
from minigemini.data.collator import Collator
from minigemini.data.mixture import Example
from minigemini.data.records import parse_record
from minigemini.data.tokens import assert_same_as_processor, tokenise

RECORDS = [
    parse_record(
        {
            "conversations": [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(turns)],
            "image": images,
        },
        name,
        Path(),
    )
    for name, turns, images in (
        ("two images", ("<image>\nand <image> what?", "a red circle"), ["a", "b"]),
        ("text", ("hi <GEN>", "<h>a red circle</h>"), []),
        ("turns", ("is it red?\n<image>", "yes", "and?", "no"), ["c"]),
    )
]


@pytest.fixture(scope="module")
def processor(tiny_parts) -> MiniGeminiProcessor:
    return tiny.new_processor(tiny_parts)


def examples(processor, records=RECORDS) -> list[Example]:
    rng = np.random.default_rng(0)
    made = []
    for record in records:
        sizes = [tuple(rng.integers(20, 90, 2)) for _ in record.images]
        images = [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]
        made.append(Example(record.name, 0, tokenise(record, processor), images))
    return made


def test_a_batch_is_the_processors_own(processor):
    made = examples(processor)
    batch = Collator(processor)(made)
    whole = processor.apply_chat_template(
        [for_template(record.messages, example.images) for record, example in zip(RECORDS, made, strict=True)],
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        return_assistant_tokens_mask=True,
        processor_kwargs={"padding": True, "padding_side": "right"},
    )
    assert batch.pop("names") == ["two images", "text", "turns"]
    assert batch.pop("sources") == [0, 0, 0]
    assert batch.keys() == {"input_ids", "attention_mask", "labels", "pixel_values", "high_res_pixel_values"}
    for key in batch.keys() - {"labels"}:
        assert torch.equal(batch[key], whole[key]), key
    assert torch.equal(batch["labels"] != -100, whole["assistant_masks"].bool())


def test_labels_are_the_assistants_words_and_their_end(processor):
    batch = Collator(processor)(examples(processor))
    said = [processor.tokenizer.decode(row[row != -100]) for row in batch["labels"]]
    assert said == [" a red circle</s>", " <h>a red circle</h></s>", " yes</s> no</s>"]
    assert torch.equal(batch["labels"][batch["labels"] != -100], batch["input_ids"][batch["labels"] != -100])


def test_a_batch_of_text_alone_has_no_pixels(processor):
    batch = Collator(processor)(examples(processor, RECORDS[1:2]))
    assert batch.keys() == {"names", "sources", "input_ids", "attention_mask", "labels"}


@pytest.mark.parametrize("written_by", ["template", "tokenizer"])
def test_the_beginning_of_text_is_there_once(tiny_parts, written_by):
    processor = tiny.new_processor(tiny_parts)
    bos = processor.tokenizer.bos_token_id
    if written_by == "tokenizer":
        processor.chat_template = str(processor.chat_template).replace("{{ bos_token }}", "")
    processor.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", bos)]
    )
    tokens = tokenise(RECORDS[0], processor)
    assert tokens.ids.tolist().count(bos) == 1
    assert_same_as_processor(RECORDS[0], tokens, processor)


def test_other_ids_than_the_processors_are_noticed(processor):
    tokens = tokenise(RECORDS[0], processor)
    tokens.ids[3] += 1
    with pytest.raises(AssertionError, match="two images: other ids"):
        assert_same_as_processor(RECORDS[0], tokens, processor)
