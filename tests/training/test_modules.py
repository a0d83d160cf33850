"""What each module does in training: by name, counted once, at its own rate; what is frozen stays in eval mode while the rest trains."""

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
from minigemini.training.modules import (
    ModulePlan,
    apply_plans,
    module_rows,
    modules_by_name,
    optimizer_groups,
    settled,
    table,
)
from minigemini.training.trainer import MiniGeminiTrainer


@pytest.fixture
def model(tiny_parts) -> MiniGeminiForConditionalGeneration:
    return tiny.new_model(tiny_parts)


ARGUMENTS = TrainingArguments(output_dir="nowhere", learning_rate=1e-4, weight_decay=0.1, use_cpu=True)


def full(*names: str, **rates: float) -> dict[str, ModulePlan]:
    return {name: ModulePlan("full") for name in names} | {
        name: ModulePlan("full", rate) for name, rate in rates.items()
    }


def set_up(model, plans: dict[str, ModulePlan]) -> dict[str, ModulePlan]:
    """The settled plans, which the model now follows."""
    plans = settled(plans, model, ARGUMENTS)
    apply_plans(model, plans)
    return plans


def trained_names(model) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_named_modules_train_and_all_others_are_frozen(model):
    frozen = apply_plans(model, settled(full("multi_modal_projector", "lm_head"), model, ARGUMENTS))
    expected = {"lm_head.weight"} | {
        f"model.multi_modal_projector.linear_{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")
    }
    assert trained_names(model) == expected
    modules = modules_by_name(model)
    assert [id(module) for module in frozen] == [
        id(modules[name]) for name in ("vision_tower", "high_res_vision_tower", "patch_info_mining", "language_model")
    ]
    set_up(model, full("vision_tower"))
    assert all(name.startswith("model.vision_tower.") for name in trained_names(model)), "by the last recipe alone"


def test_the_table_counts_every_parameter_once(model):
    rows = module_rows(model, set_up(model, full("patch_info_mining", multi_modal_projector=5e-4)))
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
    console = Console(width=120)
    with console.capture() as captured:
        console.print(table(rows))
    lines = {line.split()[0]: line for line in captured.get().splitlines() if line.strip()}
    count = f"{rows[3].parameters:,}"
    assert lines["multi_modal_projector"].split() == [
        *("multi_modal_projector", count, "full", count, "0.0005", "0.1", "float32"),
        *(f"{rows[3].parameters * 4 / 2**20:.1f}", "MiB"),
    ]
    count = f"{rows[4].parameters:,}"
    assert lines["language_model"].split()[:6] == ["language_model", count, "frozen", "-", "-", "-"]


def test_a_tied_head_follows_the_language_model(model):
    model.lm_head.weight = model.model.language_model.embed_tokens.weight
    plans = set_up(model, full("language_model"))
    assert apply_plans(model, plans) == [
        module for name, module in modules_by_name(model).items() if name not in ("language_model", "lm_head")
    ]
    assert settled(full("language_model", "lm_head"), model, ARGUMENTS) == plans, "it may be named"
    rows = module_rows(model, plans)
    assert (rows[-1].parameters, rows[-1].shared_with, rows[-1].learning_rate) == (0, "language_model", 1e-4)
    assert sum(row.parameters for row in rows) == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("plans", "words"),
    [
        (full("multi_modal_projector", "lm_head"), r"cannot be full .* where language_model is frozen"),
        (
            full("language_model", lm_head=1e-6),
            r"cannot be full \(learning_rate 1e-06, .* is full \(learning_rate 0.0001,",
        ),
        (
            full("language_model") | {"lm_head": ModulePlan("full", weight_decay=0.0)},
            r"weight_decay 0\) where .* 0.1\)",
        ),
        (full("language_model") | {"lm_head": ModulePlan("frozen")}, r"cannot be frozen where language_model is full"),
    ],
)
def test_a_tied_head_has_no_plan_of_its_own(model, plans, words):
    model.lm_head.weight = model.model.language_model.embed_tokens.weight
    with pytest.raises(ValueError, match=rf"lm_head shares its weights with language_model .*{words}"):
        settled(plans, model, ARGUMENTS)


def test_a_module_that_this_model_lacks_is_named(tiny_parts):
    model = tiny.new_model(tiny_parts | {"high_res_vision_tower": None}, high_res_image_size=None)
    with pytest.raises(ValueError, match="this model has no patch_info_mining"):
        settled(full("patch_info_mining"), model, ARGUMENTS)


def test_every_trained_parameter_is_in_one_group_at_its_rate(model):
    plans = full("patch_info_mining", multi_modal_projector=5e-4, lm_head=2e-4)
    plans = set_up(model, plans | {"language_model": ModulePlan("full", weight_decay=0.3)})
    names = dict(model.named_parameters())
    decayed = {name for name in names if name.endswith("weight") and "norm" not in name}
    groups = optimizer_groups(model, decayed, plans)
    placed = {id(parameter): (group["lr"], group["weight_decay"]) for group in groups for parameter in group["params"]}
    assert len(placed) == sum(len(group["params"]) for group in groups) == len(trained_names(model))
    for name in trained_names(model):
        rate = 5e-4 if "multi_modal_projector" in name else 2e-4 if "lm_head" in name else 1e-4
        decay = 0.3 if "language_model" in name else 0.1
        assert placed[id(names[name])] == (rate, decay if name in decayed else 0.0), name


def test_frozen_modules_are_in_eval_mode_in_every_step(model, tiny_parts, tmp_path):
    processor = tiny.new_processor(tiny_parts)
    data = check(DataRecipe([Source(str(write_data(tmp_path, 8)))], max_length=200), processor)
    plans = settled(full("multi_modal_projector", "language_model", "lm_head"), model, ARGUMENTS)
    seen: dict[str, set[bool]] = {}
    for name, module in modules_by_name(model).items():
        module.register_forward_pre_hook(lambda module, _, name=name: seen.setdefault(name, set()).add(module.training))
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=2, per_device_train_batch_size=4, use_cpu=True, save_strategy="no"
    )
    trainer = MiniGeminiTrainer(
        stage="test",
        frozen=apply_plans(model, plans),
        plans=plans,
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
