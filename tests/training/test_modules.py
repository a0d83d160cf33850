"""What each module does in training: by name, counted once, at its own rate; what is frozen stays in eval mode while the rest trains."""

import pytest
import tiny
import torch
from rich.console import Console
from small_run import write_data
from transformers import TrainerCallback, TrainingArguments

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.data.check import check
from minigemini.data.collator import Collator
from minigemini.data.mixture import Mixture
from minigemini.data.sources import DataRecipe, Source
from minigemini.model.transformers_versions import CHECKPOINT_BLOCKS
from minigemini.training.module_table import module_rows, print_whole, table
from minigemini.training.modules import ModulePlan, apply_plans, modules_by_name, optimizer_groups, settled
from minigemini.training.trainer import MiniGeminiTrainer


@pytest.fixture
def model(tiny_parts) -> MiniGeminiForConditionalGeneration:
    return tiny.new_model(tiny_parts)


CHECKPOINTING = CHECKPOINT_BLOCKS.removesuffix("_enable")
ARGUMENTS = TrainingArguments(output_dir="nowhere", learning_rate=1e-4, weight_decay=0.1, use_cpu=True)


def full(*names: str, **rates: float) -> dict[str, ModulePlan]:
    return {name: ModulePlan("full") for name in names} | {
        name: ModulePlan("full", learning_rate=rate) for name, rate in rates.items()
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
    console = Console(width=40)  # nothing of it is cut where it does not fit
    with console.capture() as captured:
        print_whole(console, table(rows))
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
    with pytest.raises(ValueError, match=rf"lm_head shares its weights with language_model.*{words}"):
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
    trainer = a_run(model, tiny_parts, tmp_path, full("multi_modal_projector", "language_model", "lm_head"))
    seen: dict[str, set[bool]] = {}
    for name, module in modules_by_name(model).items():
        module.register_forward_pre_hook(lambda module, _, name=name: seen.setdefault(name, set()).add(module.training))
    trainer.train()
    training = {"multi_modal_projector", "language_model", "lm_head"}
    assert seen == {name: {name in training} for name in modules_by_name(model)}
    assert not any(
        isinstance(module, torch.nn.Dropout) and module.training for module in model.model.vision_tower.modules()
    )


def a_run(model, tiny_parts, folder, plans: dict[str, ModulePlan], **options) -> MiniGeminiTrainer:
    processor = tiny.new_processor(tiny_parts)
    data = check(DataRecipe([Source(str(write_data(folder, 8)))], max_length=200), processor)
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        max_steps=2,
        per_device_train_batch_size=4,
        use_cpu=True,
        save_strategy="no",
        learning_rate=1e-4,
        weight_decay=0.1,
        **options,
    )
    plans = settled(plans, model, arguments)
    return MiniGeminiTrainer(
        stage="test",
        sources=["data"],
        frozen=apply_plans(model, plans),
        plans=plans,
        model=model,
        args=arguments,
        train_dataset=Mixture(data.sources),
        data_collator=Collator(processor),
        processing_class=processor,
    )


class Change(TrainerCallback):
    """Does something to the run at the end of its first step, or before the first."""

    def __init__(self, change, before: bool):
        self.change, self.before = change, before

    def on_train_begin(self, args, state, control, **kwargs):
        if self.before:
            self.change(kwargs["model"], kwargs["optimizer"])

    def on_step_end(self, args, state, control, **kwargs):
        if not self.before and state.global_step == 1:
            self.change(kwargs["model"], kwargs["optimizer"])


def other_rate(model, optimizer):
    next(group for group in optimizer.param_groups if group["module"] == "lm_head")["initial_lr"] = 1e-2


def other_decay(model, optimizer):
    next(group for group in optimizer.param_groups if group["weight_decay"])["weight_decay"] = 0.7


def thawed(model, optimizer):
    model.model.vision_tower.requires_grad_(True)


def half_frozen(model, optimizer):
    model.model.multi_modal_projector.linear_1.requires_grad_(False)


def other_type(model, optimizer):
    model.model.high_res_vision_tower.to(torch.float64)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_rate, "lm_head: learning_rate is 0.01, and the table says 0.0002"),
        (other_decay, "multi_modal_projector: weight_decay is 0.7, and the table says 0.1"),
        (thawed, "vision_tower: state is full, and the table says frozen"),
        (half_frozen, "multi_modal_projector: state is partly trained, and the table says full"),
        (other_type, "high_res_vision_tower: dtypes is float64, and the table says float32"),
    ],
)
def test_a_model_that_is_not_what_the_table_says_stops_the_run(model, tiny_parts, tmp_path, change, words, before):
    """Before the first step, and after the last."""
    trainer = a_run(model, tiny_parts, tmp_path, full("multi_modal_projector", lm_head=2e-4))
    trainer.add_callback(Change(change, before))
    with pytest.raises(ValueError, match=rf"at step {1 if before else 2} the model is not what(.|\n)*{words}"):
        trainer.train()


def test_blocks_of_a_frozen_language_model_are_computed_twice(model, tiny_parts, tmp_path, monkeypatch):
    """Though all of what is frozen is in eval mode, where transformers computes none twice."""
    twice, modes = [], set()
    checkpoint = torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(
        "transformers.modeling_utils.checkpoint", lambda *given, **how: twice.append(how) or checkpoint(*given, **how)
    )
    plans = full("multi_modal_projector") | {"language_model": ModulePlan("frozen", gradient_checkpointing=True)}
    trainer = a_run(model, tiny_parts, tmp_path, plans)
    layers = model.model.language_model.layers
    for layer in layers:
        layer.mlp.register_forward_pre_hook(lambda module, _: modes.add(module.training))
    trainer.train()
    assert len(twice) == 2 * len(layers)  # steps x layers
    assert modes == {False}


@pytest.mark.parametrize("all_modules", [True, False])
def test_what_is_frozen_stays_out_of_the_graph_where_blocks_are_computed_twice(
    model, tiny_parts, tmp_path, all_modules
):
    plans = full("multi_modal_projector", "lm_head")
    if not all_modules:
        plans["language_model"] = ModulePlan("frozen", gradient_checkpointing=True)
    trainer = a_run(model, tiny_parts, tmp_path, plans, **({CHECKPOINTING: True} if all_modules else {}))
    in_graph = {}
    for name, module in (
        ("embeddings", model.get_input_embeddings()),
        ("tower", model.model.vision_tower.encoder.layers[0].mlp),
        ("language_model", model.model.language_model.layers[0].mlp),
    ):
        module.register_forward_hook(lambda module, _, output, name=name: in_graph.update({name: output.requires_grad}))
    trainer.train()
    assert in_graph == {"embeddings": False, "tower": False, "language_model": True}


def test_frozen_towers_in_bfloat16_and_blocks_that_are_computed_twice(model, tiny_parts, tmp_path):
    plans = full("patch_info_mining") | {
        "vision_tower": ModulePlan("frozen", dtype="bfloat16"),
        "language_model": ModulePlan("frozen", dtype="bfloat16", gradient_checkpointing=True),
    }
    trainer = a_run(model, tiny_parts, tmp_path, plans)
    layers = model.model.language_model.layers
    assert all(layer.gradient_checkpointing for layer in layers)
    assert not any(layer.gradient_checkpointing for layer in model.model.vision_tower.encoder.layers)
    assert {parameter.dtype for parameter in model.model.vision_tower.parameters()} == {torch.bfloat16}
    assert {parameter.dtype for parameter in model.model.patch_info_mining.parameters()} == {torch.float32}
    rows = {row.name: row for row in module_rows(model, trainer.plans)}
    assert rows["vision_tower"].bytes == 2 * rows["vision_tower"].parameters
