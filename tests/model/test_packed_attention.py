"""Samples of a pack know nothing of each other: losses and gradients are those of each alone, whatever the attention."""

from typing import Any

import pytest
import torch
from test_modeling import FAMILIES, IMAGE, TOKENS, make, pixels, prompt
from transformers.masking_utils import causal_mask_function, sdpa_mask, sliding_window_causal_mask_function

from minigemini.model.packed_attention import PACKED, packed_attention, packed_mask

ATTENTIONS = ["sdpa", PACKED, "eager"]
SAMPLES: list[tuple[int | None, ...]] = [
    (4, None, 6),
    (9,),
    (2, None, 3, None, 8),
]  # a picture, text alone, two pictures
PICTURES = [1, 0, 2]


def samples() -> list[dict[str, torch.Tensor]]:
    made = []
    for number, (lengths, pictures) in enumerate(zip(SAMPLES, PICTURES, strict=True)):
        ids = prompt(*lengths)
        labels = ids.masked_fill(ids == IMAGE, -100)
        labels[:, :3] = -100
        made.append({"input_ids": ids, "labels": labels} | (pixels(pictures, seed=number) if pictures else {}))
    return made


def packed(made: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    pack = {key: torch.cat([each[key] for each in made], dim=1) for key in ("input_ids", "labels")}
    for key in ("pixel_values", "high_res_pixel_values"):
        pack[key] = torch.cat([each[key] for each in made if key in each])
    pack["position_ids"] = torch.cat([torch.arange(each["input_ids"].shape[1]) for each in made])[None]
    return pack


def gradients(model: Any, losses: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    for loss in losses:
        loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_pack_is_its_samples(family, attention):
    model = make(family).train()
    made = samples()
    trained = [int((each["labels"][:, 1:] != -100).sum()) for each in made]
    alone = [model(**each, num_items_in_batch=sum(trained)) for each in made]
    expected = gradients(model, [out.loss for out in alone])
    model.model.language_model.set_attn_implementation(attention)
    together = model(**packed(made))
    for out, losses in zip(alone, together.token_losses.split(trained), strict=True):
        torch.testing.assert_close(losses, out.token_losses, atol=1e-5, rtol=1e-5)
    found = gradients(model, [together.loss])
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("use_cache", [None, False])
def test_another_sample_changes_no_bit(attention, use_cache):
    """Also in eval mode, and with the cache left at its default: transformers sees no packs beside one."""
    model = make()
    model.model.language_model.set_attn_implementation(attention)
    made = samples()
    before = model(**packed(made), use_cache=use_cache).token_losses
    first = int((made[0]["labels"][:, 1:] != -100).sum())
    made[0]["input_ids"][0, :3] += 1
    made[0]["pixel_values"] += 1
    after = model(**packed(made), use_cache=use_cache).token_losses
    assert not torch.equal(after[:first], before[:first])
    assert torch.equal(after[first:], before[first:])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("width", [64, 128, 256])
def test_the_kernel_for_variable_lengths_is_each_sample_alone(width, monkeypatch):
    """Errors as they were seen on an H100: at most half a percent of the largest number."""
    states = [
        torch.randn(1, heads, 700, width, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        for heads in (8, 2, 2)
    ]
    lengths = torch.tensor([300, 1, 250, 149], device="cuda")
    group = torch.nn.Identity()
    group.num_key_value_groups = 4
    found = []
    for has_kernel in (True, False):
        monkeypatch.setattr("minigemini.model.packed_attention.HAS_VARLEN", has_kernel)
        attended, _ = packed_attention(group, *states, lengths, scaling=width**-0.5)
        found.append([attended, *torch.autograd.grad(attended.float().square().sum(), states)])
    for kernel, alone in zip(*found, strict=True):
        assert (kernel - alone).abs().max() < 0.01 * alone.abs().max()


def test_what_is_no_pack_is_sdpa():
    """One sample, padded rows, and answering with a cache."""
    model = make()
    ids, images = prompt(4, None, 6), pixels(1)
    rows = torch.cat([ids, ids])
    mask = torch.ones_like(rows)
    mask[1, :2] = 0
    both = {key: torch.cat([value, value]) for key, value in images.items()}
    given: list[Any] = []
    for attention in ("sdpa", PACKED):
        model.model.language_model.set_attn_implementation(attention)
        given.append(
            (
                model(input_ids=ids, position_ids=torch.arange(ids.shape[1])[None], **images).logits,
                model(input_ids=rows, attention_mask=mask, **both).logits,
                model.generate(input_ids=rows, attention_mask=mask, max_new_tokens=5, do_sample=False, **both),
            )
        )
    for one, other in zip(*given, strict=True):
        assert torch.equal(one, other)


def test_windows_and_tokens_that_see_ahead_keep_the_whole_mask():
    asked: dict[str, Any] = {"batch_size": 1, "q_length": 8, "kv_length": 8, "allow_is_causal_skip": False}
    assert packed_mask(**asked, mask_function=sliding_window_causal_mask_function(8)).tolist() == [8]
    for function in (
        sliding_window_causal_mask_function(4),
        lambda b, h, q, kv: causal_mask_function(b, h, q, kv) | (q < 4),
    ):
        mask = packed_mask(**asked, mask_function=function)
        assert torch.equal(mask, sdpa_mask(**asked, mask_function=function))


def test_a_window_ends_within_a_sample_of_a_pack():
    model = make("mistral", text={"sliding_window": 7})
    pack = packed(samples())
    expected = model(**pack).token_losses
    model.model.language_model.set_attn_implementation(PACKED)
    torch.testing.assert_close(model(**pack).token_losses, expected)
    assert pack["input_ids"].shape[1] > 3 * TOKENS
