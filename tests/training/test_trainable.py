"""What is trained: by name, counted once, at its own rate; what is frozen stays in eval mode while the rest trains."""

import pytest
import tiny
import torch
from rich.console import Console
from small_run import write_data
from transformers import TrainingArguments

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.data.check import check
from minigemini.data.collator import Collator
from minigemini.data.mixture import Mixture
from minigemini.data.sources import DataRecipe, Source
from minigemini.training.trainable import freeze_all_but, module_rows, modules_by_name, optimizer_groups, table
from minigemini.training.trainer import MiniGeminiTrainer


@pytest.fixture
def model(tiny_parts) -> MiniGeminiForConditionalGeneration:
    return tiny.new_model(tiny_parts)


def trainable_names(model) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_named_modules_train_and_all_others_are_frozen(model):
    frozen = freeze_all_but(model, ["multi_modal_projector", "lm_head"])
    expected = {"lm_head.weight"} | {
        f"model.multi_modal_projector.linear_{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")
    }
    assert trainable_names(model) == expected
    modules = modules_by_name(model)
    assert [id(module) for module in frozen] == [
        id(modules[name]) for name in ("vision_tower", "high_res_vision_tower", "patch_info_mining", "language_model")
    ]
    freeze_all_but(model, ["vision_tower"])
    assert all(name.startswith("model.vision_tower.") for name in trainable_names(model)), "by the last recipe alone"


def test_the_table_counts_every_parameter_once(model):
    freeze_all_but(model, ["patch_info_mining", "multi_modal_projector"])
    rows = module_rows(model, 1e-4, {"multi_modal_projector": 5e-4})
    assert sum(row.parameters for row in rows) == sum(parameter.numel() for parameter in model.parameters())
    rates = {row.name: row.learning_rate for row in rows}
    assert rates == {
        "vision_tower": None,
        "high_res_vision_tower": None,
        "patch_info_mining": 1e-4,
        "multi_modal_projector": 5e-4,
        "language_model": None,
        "lm_head": None,
    }
    console = Console(width=80)
    with console.capture() as captured:
        console.print(table(rows))
    lines = {line.split()[0]: line for line in captured.get().splitlines() if line.strip()}
    assert "trainable" in lines["multi_modal_projector"]
    assert "0.0005" in lines["multi_modal_projector"]
    assert "frozen" in lines["language_model"]
    assert f"{rows[4].parameters:,}" in lines["language_model"]


def test_a_tied_head_follows_the_language_model(model):
    model.lm_head.weight = model.model.language_model.embed_tokens.weight
    with pytest.raises(ValueError, match="lm_head shares its weights with language_model"):
        freeze_all_but(model, ["multi_modal_projector", "lm_head"])
    frozen = freeze_all_but(model, ["language_model"])
    assert model.lm_head not in frozen
    rows = module_rows(model, 1e-4, {})
    assert (rows[-1].parameters, rows[-1].shared_with, rows[-1].learning_rate) == (0, "language_model", 1e-4)
    assert sum(row.parameters for row in rows) == sum(parameter.numel() for parameter in model.parameters())


def test_every_trained_parameter_is_in_one_group_at_its_rate(model):
    freeze_all_but(model, ["patch_info_mining", "multi_modal_projector", "language_model", "lm_head"])
    names = dict(model.named_parameters())
    decayed = {name for name in names if name.endswith("weight") and "norm" not in name}
    groups = optimizer_groups(model, decayed, 0.1, 1e-4, {"multi_modal_projector": 5e-4, "lm_head": 2e-4})
    placed = {id(parameter): (group["lr"], group["weight_decay"]) for group in groups for parameter in group["params"]}
    assert len(placed) == sum(len(group["params"]) for group in groups) == len(trainable_names(model))
    for name in trainable_names(model):
        rate = 5e-4 if "multi_modal_projector" in name else 2e-4 if "lm_head" in name else 1e-4
        assert placed[id(names[name])] == (rate, 0.1 if name in decayed else 0.0), name


def test_frozen_modules_are_in_eval_mode_in_every_step(model, tiny_parts, tmp_path):
    processor = tiny.new_processor(tiny_parts)
    data = check(DataRecipe([Source(str(write_data(tmp_path, 8)))], max_length=200), processor)
    frozen = freeze_all_but(model, ["multi_modal_projector", "language_model", "lm_head"])
    seen: dict[str, set[bool]] = {}
    for name, module in modules_by_name(model).items():
        module.register_forward_pre_hook(lambda module, _, name=name: seen.setdefault(name, set()).add(module.training))
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=2, per_device_train_batch_size=4, use_cpu=True, save_strategy="no"
    )
    trainer = MiniGeminiTrainer(
        stage="test",
        frozen=frozen,
        learning_rates={},
        model=model,
        args=arguments,
        train_dataset=Mixture(data.sources),
        data_collator=Collator(processor),
        processing_class=processor,
    )
    trainer.train()
    training = {"multi_modal_projector", "language_model", "lm_head"}
    assert seen == {name: {name in training} for name in modules_by_name(model)}
    assert not any(
        isinstance(module, torch.nn.Dropout) and module.training for module in model.model.vision_tower.modules()
    )
