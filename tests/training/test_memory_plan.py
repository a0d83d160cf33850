"""The plan of a run's memory: exact counts at 7B, what a step needs, which engines fit."""

import pytest
import torch
from torch import nn

from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration
from minigemini.training.memory_plan import GIB, model_sizes, plan_rows, verdict
from minigemini.training.meta_step import BytesAlive, MicroBatch, step_bytes
from minigemini.training.modules import compute_blocks_twice

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}


def on_meta(text: dict, **choices) -> MiniGeminiForConditionalGeneration:
    config = MiniGeminiConfig(text_config={"model_type": "llama", **text}, **choices)
    with torch.device("meta"):
        model = MiniGeminiForConditionalGeneration(config)
    model.model.vision_tower.requires_grad_(False)
    return model


def small_model() -> MiniGeminiForConditionalGeneration:
    vision = {**SMALL, "model_type": "clip_vision_model", "image_size": 28, "patch_size": 14}
    return on_meta({**SMALL, "vocab_size": 100}, vision_config=vision, image_token_id=99)


def test_7b_has_the_sizes_that_were_counted_by_hand():
    sizes = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
    model = on_meta({**sizes, "vocab_size": 32000}, high_res_vision_config={"architecture": "convnext_large"})
    model.model.high_res_vision_tower.requires_grad_(False)
    counted = model_sizes(model)
    assert counted.parameters == pytest.approx(7266.1e6, rel=1e-4)
    assert counted.trained == pytest.approx(6766.4e6, rel=1e-4)
    rows = plan_rows(counted, activations=7 * GIB, gpus=8, bf16=True, optimizer="adamw_torch_fused", averaged=False)
    static = {(row.engine, row.weights_as): round(row.static / GIB, 1) for row in rows}
    expected = {"DDP": (102.7, 101.8), "ZeRO-2": (36.5, 24.6), "ZeRO-3": (12.8, 12.7), "FSDP2": (12.8, 12.7)}
    for engine, (as_loaded, bf16) in expected.items():
        assert (static[engine, "as loaded"], static[engine, "bf16 + master"]) == (as_loaded, bf16)
    many, one = verdict(rows, 8, 80).splitlines()
    assert "ZeRO-2 (bf16 + master" in many
    assert "DDP" not in many
    assert "80 GiB needs 8-bit moments" in one
    assert "LoRA" in one
    assert verdict(rows, 8, 200).endswith("one card of 200 GiB holds it as it is")
    assert "no engine" in verdict(rows, 8, 4)


def test_bytes_alive_are_those_of_what_is_referred_to():
    ones = torch.ones(1000)  # 4000 bytes, there before
    with BytesAlive([ones]) as counter:
        twice = ones * 2
        view = twice[:10]
        assert counter.now == 4000
        ones.view(10, 100)
        thrice = ones * 3
        del twice
        assert counter.now == 8000  # held by the view
        del view, thrice
    assert (counter.now, counter.peak) == (0, 8000)


def test_a_step_keeps_what_the_way_back_needs():
    model = small_model()
    model.train()
    batch = MicroBatch(samples=2, length=64, images=2, predicted=20)
    needed = step_bytes(model, batch)
    tokens = 2 * 64
    kept_at_least = (
        4 * tokens * 4 * (2 * 32 + 3 * 64)
    )  # bytes, layers: inputs of the norms and the three of the gated MLP
    assert kept_at_least < needed < 6 * kept_at_least
    assert step_bytes(model, MicroBatch(2, 128, 2, 20)) > 1.7 * needed
    assert step_bytes(model.bfloat16(), batch) < 0.7 * needed
    compute_blocks_twice(model.float(), None)
    assert step_bytes(model, batch) < 0.6 * needed
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_is_frozen_keeps_nothing():
    model = small_model()
    batch = MicroBatch(samples=2, length=64, images=2, predicted=20)
    everything = step_bytes(model, batch)
    model.requires_grad_(False)
    model.lm_head.requires_grad_(True)
    assert step_bytes(model, batch) < 0.5 * everything


def test_8_bit_moments_and_lora_are_offered_only_where_they_save():
    model = small_model()
    model.requires_grad_(False)
    nn.Module.requires_grad_(model.model.multi_modal_projector, True)
    engines = {row.engine for row in plan_rows(model_sizes(model), 0, 1, False, "adamw_bnb_8bit", averaged=False)}
    assert engines == {"one GPU", "DDP", "ZeRO-2", "ZeRO-3", "FSDP2"}
