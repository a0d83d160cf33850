"""Packed training by the real run: it learns what the same batches learn padded, resumes exactly, and refuses what makes no sense;
label smoothing and arguments that would do nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import losses
from test_run import changed, interrupt_at_step_8, weights
from transformers import LlamaConfig, LlamaModel

from minigemini.checkpoints.load import load
from minigemini.data.check import check
from minigemini.data.collator import Collator
from minigemini.data.mixture import Mixture
from minigemini.data.sources import DataRecipe, Source
from minigemini.training.packed_attention import choose_attention
from minigemini.training.run import train

ONE_STEP = ["trainer.max_steps=1", "trainer.train_sampling_strategy=sequential"]
PACKED = ["trainer.per_device_train_batch_size=1", "data.packing=200"]


def test_a_packed_step_is_the_padded_one(finetune, align, tmp_path):
    """All 16 records are one step, in four packs; then the same in one padded batch."""
    train(align)
    whole = train(finetune, ["trainer.per_device_train_batch_size=16", "trainer.max_steps=1"])
    records = json.loads((tmp_path / "data" / "data.json").read_text())
    assert len(records) == 16
    output = f"trainer.output_dir={tmp_path / 'packed'}"
    packs = train(finetune, [*PACKED, "trainer.gradient_accumulation_steps=16", "trainer.max_steps=1", output])
    assert losses(packs) == pytest.approx(losses(whole), rel=1e-5)
    before, after = weights(whole), weights(packs)
    for name, tensor in before.items():
        assert (after[name] - tensor).abs().max() < 2e-4, name  # a hundredth of one step of Adam


def test_a_packed_run_resumes_exactly(align, tmp_path):
    options = [*PACKED, "trainer.num_train_epochs=3", "trainer.save_strategy=steps", "trainer.save_steps=6"]
    whole = train(align, [*options, f"trainer.output_dir={tmp_path / 'whole'}"])
    cut = [*options, f"trainer.output_dir={tmp_path / 'cut'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minigemini.training.trainer.Progress.on_step_end", interrupt_at_step_8)
        with pytest.raises(KeyboardInterrupt):
            train(align, cut)
    resumed = train(align, cut, resume=True)
    assert changed(weights(whole), weights(resumed)) == set()
    assert losses(whole) == losses(resumed)
    assert len(losses(whole)) > 8


def test_smoothed_labels_are_shifted(finetune, align):
    """The loss of the first step by hand, from the logits of the stage before."""
    start = train(align)
    smooth, sharp = (
        train(
            finetune,
            [*ONE_STEP, f"trainer.label_smoothing_factor={factor}", f"trainer.output_dir={start.parent / str(factor)}"],
        )
        for factor in (0.1, 0)
    )
    assert losses(sharp)[0] == pytest.approx(by_hand(start, 0.0), abs=1e-4)
    assert losses(smooth)[0] == pytest.approx(by_hand(start, 0.1), abs=1e-4)


def by_hand(folder: Path, smoothing: float) -> float:
    model, processor = load(str(folder), dtype=torch.float32, device="cpu")
    data = check(DataRecipe([Source(str(folder.parent / "data" / "data.json"))], max_length=200), processor)
    mixture = Mixture(data.sources)
    batch: dict[str, Any] = Collator(processor)([mixture[index] for index in range(4)])
    labels, _, _ = batch.pop("labels"), batch.pop("names"), batch.pop("sources")
    with torch.no_grad():
        logits = model(**batch).logits
    chosen = labels[:, 1:] != -100
    likely = logits[:, :-1].float().log_softmax(-1)[chosen]
    right = likely.gather(1, labels[:, 1:][chosen][:, None])[:, 0]
    return float(-((1 - smoothing) * right + smoothing * likely.mean(-1)).mean())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.use_liger_kernel=true"], "trainer.use_liger_kernel would do nothing: Liger has no kernels"),
        (["trainer.length_column_name=n"], "trainer.length_column_name would do nothing: lengths are those"),
        (["trainer.bf16_full_eval=true"], "trainer.bf16_full_eval would do nothing: the validation computes as"),
        (["trainer.eval_steps=5"], "trainer.eval_steps does nothing with trainer.eval_strategy = no"),
        (["data.packing=200"], r"data.packing: a pack is a micro-batch .*it is 4"),
        ([*PACKED, "trainer.train_sampling_strategy=group_by_length"], "data.packing chooses the order itself"),
        (["data.packing=100"], "packing = 100 tokens would not hold a sample of max_length = 200"),
    ],
)
def test_what_would_do_nothing_is_refused(align, overrides, message):
    with pytest.raises(ValueError, match=message):
        train(align, overrides)


def test_a_default_is_no_wish(align):
    train(align, ["trainer.use_liger_kernel=false", "trainer.max_steps=1"])


SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 50}


def test_the_attention_of_packs():
    model = LlamaModel(LlamaConfig(**SMALL))
    choose_attention(model, "cpu", half=False)
    assert model.config._attn_implementation == "sdpa_packed"
    asked = LlamaModel._from_config(LlamaConfig(**SMALL), attn_implementation="eager")
    choose_attention(asked, "cpu", half=False)
    assert asked.config._attn_implementation == "eager"
    model.config.layer_types = ["linear_attention"]
    with pytest.raises(ValueError, match=r"\(llama\) has layers of linear_attention"):
        choose_attention(model, "cpu", half=False)


@pytest.mark.parametrize("half", [True, False])
def test_flash_attention_is_for_half_precision_alone(half, monkeypatch):
    """It is not installed here, so what would be set is asked for."""
    asked: list[str] = []
    monkeypatch.setattr("minigemini.training.packed_attention.is_flash_attn_2_available", lambda: True)
    monkeypatch.setattr(LlamaModel, "set_attn_implementation", lambda model, name: asked.append(name))
    choose_attention(LlamaModel(LlamaConfig(**SMALL)), "cuda", half)
    assert asked == ["flash_attention_2" if half else "sdpa_packed"]
