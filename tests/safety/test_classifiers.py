"""The safety filter to begin with, on real classifiers at toy size that learnt one bad word and one bad color."""

import random

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from minigemini.safety.classifiers import Classifiers
from minigemini.safety.refusal import refusal, resolve, resolve_working

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "cat", "dog", "gore"]
LABELS = {"id2label": {0: "safe", 1: "NSFW"}, "label2id": {"safe": 0, "NSFW": 1}}


def learn(model, batch, steps):
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    for _ in range(steps):
        model(**batch()).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    torch.manual_seed(0)
    texts, pictures = tmp_path_factory.mktemp("texts"), tmp_path_factory.mktemp("pictures")
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    tokenizer.save_pretrained(texts)
    sizes = {"dim": 16, "hidden_dim": 32, "n_layers": 1, "n_heads": 2, "max_position_embeddings": 96}
    sizes |= {"dropout": 0.0, "seq_classif_dropout": 0.0, "attention_dropout": 0.0}
    model = DistilBertForSequenceClassification(DistilBertConfig(vocab_size=len(WORDS), **sizes, **LABELS))
    dice = random.Random(0)

    def texts_to_learn():
        said = [dice.choices(["a", "cat", "dog"], k=dice.randint(1, 93)) for _ in range(64)]
        for words in said[32:]:
            words.insert(dice.randint(0, len(words)), "gore")
        inputs = tokenizer([" ".join(words) for words in said], padding=True, return_tensors="pt")
        return {**inputs, "labels": torch.tensor([0] * 32 + [1] * 32)}

    learn(model, texts_to_learn, 80)
    model.save_pretrained(texts)

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    vit = ViTForImageClassification(ViTConfig(image_size=32, patch_size=16, **sizes, **LABELS))
    processor = ViTImageProcessor(size={"height": 32, "width": 32})
    shown = processor(
        [Image.new("RGB", (40, 30), color) for color in ("green", "blue", "white", "red")], return_tensors="pt"
    )
    learn(vit, lambda: {**shown, "labels": torch.tensor([0, 0, 0, 1])}, 60)
    vit.save_pretrained(pictures)
    processor.save_pretrained(pictures)
    return str(texts), str(pictures)


def test_words_and_pictures_are_refused(folders):
    filter_ = Classifiers(*folders)
    assert refusal(filter_, "a cat") is None
    assert "the text is unsafe with a probability of" in refusal(filter_, "a cat gore")
    assert refusal(filter_, Image.new("RGB", (64, 64), "green")) is None
    assert "the picture is unsafe" in refusal(filter_, Image.new("RGBA", (64, 64), "red"))


def test_a_long_text_is_read_to_its_end(folders):
    filter_ = Classifiers(*folders)
    harmless = " ".join(random.Random(1).choices(["a", "cat", "dog"], k=400))
    assert filter_(harmless) is None
    assert filter_(f"{harmless} gore") is not None
    assert filter_(f"gore {harmless}") is not None


def test_the_threshold_is_the_users(folders):
    bad = "a cat gore"
    unsafe = Classifiers(*folders).of_text(bad)
    assert Classifiers(*folders, threshold=unsafe + 1e-4)(bad) is None
    assert Classifiers(*folders, threshold=unsafe - 1e-4)(bad) is not None


def test_what_cannot_be_loaded_is_named(folders, tmp_path):
    with pytest.raises(ValueError, match="no class 'violence'; it has safe, NSFW"):
        Classifiers(*folders, unsafe="violence")
    with pytest.raises(ValueError, match="nowhere cannot be loaded"):
        Classifiers(folders[0], str(tmp_path / "nowhere"))


def test_a_filter_by_its_name_is_tried_before_anybody_is_served(tmp_path, monkeypatch):
    (tmp_path / "filters_of_mine.py").write_text(
        "def nothing(content): return None\ndef broken(content): raise OSError('no weights')\ndef yes(content): return True\n"
    )
    monkeypatch.chdir(tmp_path)
    assert resolve_working("filters_of_mine:nothing")("hello") is None
    for name, words in {
        "broken": "filters_of_mine:broken failed: no weights",
        "yes": "returned True, and not a reason",
        "none": "no attribute",
    }.items():
        with pytest.raises(ValueError, match=words):
            resolve_working(f"filters_of_mine:{name}")
    for name in ("broken", "yes"):
        assert "nothing passes" in refusal(resolve(f"filters_of_mine:{name}"), "hello")
