"""What transformers renamed between the versions that we support works under both names, in every version."""

import pytest
import torch
from transformers import DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast

from minigemini import MiniGeminiForConditionalGeneration, nano
from minigemini.model.modeling_minigemini import MiniGeminiCausalLMOutputWithPast
from minigemini.model.transformers_versions import CACHE

IDS = torch.tensor([[1, 5, 9, 7, 11, 6]])


@pytest.fixture(scope="module")
def model():
    return MiniGeminiForConditionalGeneration.from_pretrained(nano.path("nano-low-res"), dtype=torch.float32)


@pytest.mark.parametrize("name", ["cache", "past_key_values"])
@pytest.mark.parametrize("part", [lambda model: model, lambda model: model.model], ids=["with head", "without"])
def test_a_cache_is_taken_under_both_names(model, name, part):
    called, first = part(model), "logits" if part(model) is model else "last_hidden_state"
    whole = called(input_ids=IDS)[first][:, 3:]
    cache = DynamicCache()
    called(input_ids=IDS[:, :3], **{name: cache}, use_cache=True)
    assert cache.get_seq_length() == 3
    gone_on = called(input_ids=IDS[:, 3:], **{name: cache}, use_cache=True)
    torch.testing.assert_close(gone_on[first], whole)
    assert gone_on[CACHE] is cache


def test_a_cache_under_both_names_at_once_is_refused(model):
    with pytest.raises(ValueError, match="not both"):
        model(input_ids=IDS, cache=DynamicCache(), past_key_values=DynamicCache())


def test_generation_goes_on_from_a_cache(model):
    cache = DynamicCache()
    model(input_ids=IDS[:, :4], cache=cache, use_cache=True)
    options = {"attention_mask": torch.ones_like(IDS), "max_new_tokens": 4, "do_sample": False}
    gone_on = model.generate(input_ids=IDS, **{CACHE: cache}, **options)
    assert torch.equal(gone_on, model.generate(input_ids=IDS, **options))


def test_outputs_inherit_what_they_do_not_add():
    own = set(MiniGeminiCausalLMOutputWithPast.__annotations__)
    assert own == {"image_hidden_states", "token_losses"}
    assert issubclass(MiniGeminiCausalLMOutputWithPast, CausalLMOutputWithPast)
