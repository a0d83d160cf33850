"""Which tokens say yes and which no, with real small tokenizers."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from minigemini.evaluation.drawing.self_judgement import yes_and_no


def tokenizer(folder, *words):
    """Its words are tokens, and everything else is the same unknown one."""
    model = WordLevel({word: number for number, word in enumerate(("?", *words))}, "?")
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), unk_token="?").save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def test_what_begins_both_says_nothing(tmp_path):
    assert yes_and_no(tokenizer(tmp_path, "yes", " yes", "no", "No")) == ([1, 2], [3, 4])


@pytest.mark.parametrize("words", [(), ("yes",), ("no",)])
def test_a_tokenizer_that_cannot_tell_them_apart_is_named(words, tmp_path):
    with pytest.raises(ValueError, match="/my-model: its tokenizer begins yes and no alike"):
        yes_and_no(tokenizer(tmp_path / "my-model", *words))
