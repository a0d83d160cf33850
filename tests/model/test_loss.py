"""The loss on trained tokens alone is the loss, and so are its gradients; where there are logits and where not."""

from typing import Any

import pytest
import tiny
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from minigemini.model import loss
from minigemini.model.loss import TokenCrossEntropy


@pytest.fixture(scope="module")
def model(tiny_parts) -> Any:
    torch.manual_seed(0)
    return tiny.new_model(tiny_parts).train()


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Two rows of words, the second one padded; about half of them are trained on."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(10, 300, (2, 24), generator=generator)
    labels = ids.masked_fill(torch.rand(2, 24, generator=generator) < 0.5, -100)
    labels[1, 15:] = -100
    mask = torch.ones_like(ids)
    mask[1, 15:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def by_the_book(model: Any, batch: dict[str, torch.Tensor], **options: Any) -> torch.Tensor:
    """Of all logits, moved by one."""
    logits = model(**{key: value for key, value in batch.items() if key != "labels"}).logits[:, :-1]
    return cross_entropy(logits.flatten(0, 1).float(), batch["labels"][:, 1:].flatten(), **options)


def gradients(model: Any, value: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    value.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradients_are_those_of_all_logits(model, batch, smoothing, monkeypatch):
    monkeypatch.setattr(loss, "AT_ONCE", 3 * model.config.text_config.vocab_size)  # three rows at a time
    expected = by_the_book(model, batch, label_smoothing=smoothing)
    out = model(**batch, label_smoothing=smoothing)
    torch.testing.assert_close(out.loss, expected, rtol=1e-6, atol=0)
    assert out.logits is None
    theirs, ours = gradients(model, expected), gradients(model, out.loss)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-5, atol=1e-7, msg=name)


def test_the_head_sees_trained_tokens_alone_and_once(model, batch):
    seen: list[int] = []
    handle = model.lm_head.register_forward_hook(lambda module, given, logits: seen.append(logits.shape[:-1].numel()))
    model(**batch)
    handle.remove()
    assert seen == [int((batch["labels"][:, 1:] != -100).sum())]


def test_the_loss_of_each_token_in_reading_order(model, batch):
    out = model(**batch)
    each = by_the_book(model, batch, reduction="none")[batch["labels"][:, 1:].flatten() != -100]
    torch.testing.assert_close(out.token_losses, each.detach(), rtol=1e-5, atol=1e-6)
    assert not out.token_losses.requires_grad
    torch.testing.assert_close(out.loss, out.token_losses.mean())
    part = model(**batch, num_items_in_batch=torch.tensor(77)).loss
    torch.testing.assert_close(part, out.token_losses.sum() / 77)


def test_nothing_trained_is_a_loss_of_zero_and_the_head_is_in_the_graph(model, batch):
    """A process may have a batch without weight; all wait for its gradients."""
    labels = torch.full_like(batch["labels"], -100)
    out = model(**batch | {"labels": labels}, num_items_in_batch=torch.tensor(5))
    assert out.loss.item() == 0
    found = gradients(model, out.loss)
    assert not found["lm_head.weight"].any()
    assert any(name.startswith("model.language_model.layers.0.") for name in found)


def test_in_use_there_are_logits(model, batch):
    model.eval()
    out = model(**batch)
    assert out.logits.shape[:2] == batch["input_ids"].shape
    torch.testing.assert_close(out.loss, by_the_book(model, batch))
    last = model(**batch, logits_to_keep=1)
    assert last.logits.shape[1] == 1
    assert torch.equal(last.loss, out.loss)
    model.train()
    assert model(input_ids=batch["input_ids"]).logits.shape[:2] == batch["input_ids"].shape


def test_labels_that_are_shifted_already(model, batch):
    labels = batch.pop("labels")
    shifted = nn.functional.pad(labels[:, 1:], (0, 1), value=-100)
    assert torch.equal(model(**batch, shift_labels=shifted).loss, model(**batch, labels=labels).loss)


def test_a_head_that_peft_wraps(tiny_parts, batch):
    peft = pytest.importorskip("peft")
    plain = tiny.new_model(tiny_parts).eval()
    expected = plain(**batch).loss
    wrapped = peft.get_peft_model(plain, peft.LoraConfig(target_modules=["lm_head"], r=4)).train()
    out = wrapped(**batch)
    torch.testing.assert_close(out.loss, expected)
    out.loss.backward()
    moved = [name for name, p in wrapped.named_parameters() if p.grad is not None and p.grad.any()]
    assert moved
    assert all("lm_head.lora_B" in name for name in moved)


def test_half_precision_logits_have_a_loss_in_single_precision():
    logits = torch.randn(40, 50, dtype=torch.bfloat16, requires_grad=True)
    targets = torch.arange(40)
    losses = TokenCrossEntropy.apply(logits, targets, 0.0)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, cross_entropy(logits.float(), targets, reduction="none"))
    (ours,) = torch.autograd.grad(losses.sum(), logits)
    (theirs,) = torch.autograd.grad(cross_entropy(logits.float(), targets, reduction="sum"), logits)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours, theirs)
