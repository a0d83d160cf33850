"""What each module of the model does in training: a plan in the recipe, applied to the model and to the optimizer."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.modeling_layers import GradientCheckpointingLayer

from minigemini.checkpoints.adapter import check_peft
from minigemini.model.transformers_versions import CHECKPOINT_BLOCKS
from minigemini.strict_yaml import unknown_name

MODULES = (
    "vision_tower",
    "high_res_vision_tower",
    "patch_info_mining",
    "multi_modal_projector",
    "language_model",
    "lm_head",
)


LOW_RANK = ("lora", "dora", "qlora")
BLOCKS = ("vision_tower", "high_res_vision_tower", "language_model")  # the modules whose blocks can be computed twice


@dataclass(frozen=True)
class ModulePlan:
    """One entry of ``modules:``.

    Args:
        train: all of it (``full``), nothing (``frozen``), or low-rank layers beside its own: ``lora``, with magnitudes of their own
            (``dora``), or beside layers in 4 bit (``qlora``, of the language model).
        rank, alpha: of the low-rank layers; what they give is scaled by alpha / rank. alpha is twice the rank if it is left out.
        targets: which layers get them; all kinds that the module has if it is left out.
        learning_rate, weight_decay: those of ``trainer:`` if left out.
        dtype: of the module's own weights. Where they are trained in bfloat16, the optimizer steps on float32 copies.
        gradient_checkpointing: blocks are computed again in the backward pass; ``trainer.gradient_checkpointing`` means all modules.
    """

    train: Literal["full", "lora", "dora", "qlora", "frozen"]
    rank: int | None = None
    alpha: int | None = None
    targets: Literal["attention", "mlp", "attention+mlp"] | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        idle = {
            "frozen": ("rank", "alpha", "targets", "learning_rate", "weight_decay"),
            "full": ("rank", "alpha", "targets"),
        }
        for key in idle.get(self.train, ()):
            if getattr(self, key) is not None:
                raise ValueError(f"{key} does nothing for a module with train: {self.train}; leave it out")
        if self.train in LOW_RANK and (self.rank is None or self.rank < 1):
            raise ValueError(f"train: {self.train} needs a rank, 1 or more")
        if self.train == "qlora" and self.dtype != "float32":
            raise ValueError("dtype does nothing for qlora, which is 4 bit; leave it out")


FROZEN = ModulePlan("frozen")
Plans = dict[str, ModulePlan]


def check_plans(plans: Plans) -> None:
    """What can be said of the plans without a model.

    Raises:
        ValueError: a name that is no module, nothing is trained, or a plan that does not suit its module.
    """
    for name, plan in plans.items():
        if name not in MODULES:
            raise ValueError(f"modules: {unknown_name(name, MODULES)}")
        if plan.train == "qlora" and name != "language_model":
            raise ValueError(
                f"modules.{name}: qlora is for language_model, whose layers are loaded in 4 bit; lora suits the others"
            )
        if plan.targets and name == "lm_head":
            raise ValueError("modules.lm_head: targets does nothing for the head, which is one layer; leave it out")
        if plan.gradient_checkpointing and (
            name not in BLOCKS or (name != "language_model" and plan.train == "frozen")
        ):
            # through a frozen language model gradients go to what sees; into a frozen tower none go
            reason = "it is frozen, and no gradient passes through it" if name in BLOCKS else "it has no blocks"
            raise ValueError(f"modules.{name}: gradient_checkpointing does nothing, {reason}; leave it out")
    kinds = {plan.train for plan in plans.values()}
    if kinds <= {"frozen"}:
        raise ValueError("modules must name at least one module that is trained")
    if "dora" in kinds and kinds & {"lora", "qlora"}:
        raise ValueError("modules: an adapter is of one kind, dora or not, for all of its layers")


Engine = Literal["DeepSpeed", "ZeRO-3", "FSDP"]  # the last two hold the model in slices


def engine_of(trainer: dict[str, Any]) -> Engine | None:
    """Which engine the ``trainer:`` section asks for, other than DDP."""
    settings = trainer.get("deepspeed")
    if isinstance(settings, str):
        settings = json.loads(Path(settings).read_text(encoding="utf-8"))
    if settings:
        return "ZeRO-3" if settings.get("zero_optimization", {}).get("stage") == 3 else "DeepSpeed"
    return "FSDP" if trainer.get("fsdp") else None


def check_engine(plans: Plans, arguments: TrainingArguments, engine: Engine | None) -> None:
    """
    Raises:
        ValueError: a plan does not go with the trainer's arguments, or asks for low-rank layers and peft is not installed.
    """
    if any(plan.train in LOW_RANK for plan in plans.values()):
        check_peft()
    options: Any = arguments.gradient_checkpointing_kwargs or {}
    if options.get("use_reentrant"):
        raise ValueError(
            "trainer.gradient_checkpointing_kwargs: use_reentrant=true would compute frozen towers as if they were trained; leave it out"
        )
    for name, plan in plans.items():
        if plan.dtype != "float32" and engine:
            raise ValueError(
                f"modules.{name}: dtype does nothing under {engine}, which holds all modules in a type of its own; leave it out"
            )
        if plan.dtype != "float32" and not arguments.bf16:
            raise ValueError(
                f"modules.{name}: a model of two types computes in mixed precision only; set trainer.bf16=true too"
            )
        if plan.dtype != "float32" and name == "patch_info_mining" and arguments.device.type == "cpu":
            raise ValueError(
                f"modules.{name}: on a CPU torch has no LayerNorm of what a tower gives in float32 by weights in {plan.dtype}; "
                "leave dtype out"
            )
        if plan.gradient_checkpointing and arguments.gradient_checkpointing:
            raise ValueError(
                f"modules.{name}: trainer.gradient_checkpointing means all modules already; keep one of the two"
            )
        if plan.train == "qlora" and engine in ("ZeRO-3", "FSDP"):
            raise ValueError(
                f"modules.{name}: layers in 4 bit cannot be held in slices, as {engine} does; use DDP, ZeRO-2 or lora"
            )


def modules_by_name(model: PreTrainedModel) -> dict[str, nn.Module]:
    """The modules that a recipe can name and this model has: the parts of ``model.model``, and the head."""
    parts = {name: part for name, part in model.model.named_children() if any(True for _ in part.parameters())}
    return parts | {"lm_head": model.lm_head}


def settled(plans: Plans, model: PreTrainedModel, arguments: TrainingArguments) -> Plans:
    """The plan of every module of the model, in its order: frozen where none is named, with the rate and the decay that hold.

    A tied head goes with the language model.

    Raises:
        ValueError: a module that this model lacks, or a plan for a tied head that is not the language model's.
    """
    modules = modules_by_name(model)
    for name in plans:
        if name not in modules:
            raise ValueError(f"modules: this model has no {name}")
    whole = {}
    for name in modules:
        plan = plans.get(name, FROZEN)
        if plan.train in LOW_RANK and plan.alpha is None:
            plan = replace(plan, alpha=2 * (plan.rank or 0))
        if plan.train != "frozen":
            rate = arguments.learning_rate if plan.learning_rate is None else plan.learning_rate
            decay = arguments.weight_decay if plan.weight_decay is None else plan.weight_decay
            plan = replace(plan, learning_rate=rate, weight_decay=decay)
        whole[name] = plan
    if head_is_tied(model):
        theirs = whole["language_model"] if whole["language_model"].train == "full" else FROZEN
        if "lm_head" in plans and whole["lm_head"] != theirs:
            raise ValueError(
                f"modules: lm_head shares its weights with language_model's embeddings in this model, so it cannot be "
                f"{in_words(whole['lm_head'])} where language_model is {in_words(whole['language_model'])}; leave lm_head out"
            )
        whole["lm_head"] = theirs
    return whole


def held_in_bfloat16(plans: Plans) -> list[str]:
    """The modules whose weights are trained in bfloat16."""
    return [name for name, plan in plans.items() if plan.train == "full" and plan.dtype == "bfloat16"]


def in_words(plan: ModulePlan) -> str:
    if plan.train == "frozen":
        return "frozen"
    return f"{plan.train} (learning_rate {plan.learning_rate:g}, weight_decay {plan.weight_decay:g})"


def head_is_tied(model: PreTrainedModel) -> bool:
    held = {id(parameter) for parameter in model.model.language_model.parameters()}
    return all(id(parameter) in held for parameter in model.lm_head.parameters())


def apply_plans(model: PreTrainedModel, plans: Plans) -> list[nn.Module]:
    """Set types, what is trained and what is computed twice by the settled plans; low-rank layers are there already.

    Returns:
        The frozen modules, for `hold_in_eval_mode` in every step.
    """
    modules = modules_by_name(model)
    model.requires_grad_(False)
    for name, plan in plans.items():
        for path, parameter in modules[name].named_parameters():
            low_rank = ".lora_" in f".{path}"
            parameter.requires_grad_(plan.train == "full" or low_rank)
            if plan.dtype == "bfloat16" and not low_rank:
                parameter.data = parameter.data.to(torch.bfloat16)
        if plan.gradient_checkpointing:
            compute_blocks_twice(modules[name], {"use_reentrant": False})
    return [module for name, module in modules.items() if plans[name].train == "frozen"]


def compute_blocks_twice(model: Any, options: Any) -> None:
    """Have the blocks of a model, or of a part of it, computed again in the backward pass.

    Args:
        options: ``trainer.gradient_checkpointing_kwargs``.
    """
    getattr(model, CHECKPOINT_BLOCKS)(options)
    model.disable_input_require_grads()


class WhatIsFrozenStaysOutOfTheGraph(TrainerCallback):
    """Where Trainer has had blocks computed twice, as `compute_blocks_twice`.

    transformers asks then for gradients of what every part of the model embeds, and a frozen tower is computed with all that a backward
    pass needs. Only the reentrant way needs that, which `check_engine` refuses.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        model.disable_input_require_grads()


def hold_in_eval_mode(frozen: list[nn.Module]) -> None:
    """Drop-path and dropout must not run in what is not trained, whatever mode the whole model was just put in.

    A block that shall be computed twice is itself, without what is in it, in training mode: transformers takes that for a sign.
    """
    for module in frozen:
        module.eval()
        for block in module.modules():
            if isinstance(block, GradientCheckpointingLayer) and block.gradient_checkpointing:
                block.training = True


def optimizer_groups(model: PreTrainedModel, decayed: set[str], plans: Plans) -> list[dict]:
    """Parameter groups for the optimizer: for each trained module one with and one without weight decay, each with the module's name.

    The rate that a schedule starts from is written into them too, as `initial_lr`.

    Args:
        decayed: names of the parameters that weight decay applies to.
        plans: settled.
    """
    module_of: dict[int, str] = {}
    for name, module in modules_by_name(model).items():
        for parameter in module.parameters():
            module_of.setdefault(id(parameter), name)
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((module_of[id(parameter)], name in decayed), []).append(parameter)
    return [
        {
            "params": parameters,
            "module": name,
            "lr": plans[name].learning_rate,
            "initial_lr": plans[name].learning_rate,
            "weight_decay": plans[name].weight_decay if decays else 0.0,
        }
        for (name, decays), parameters in groups.items()
    ]


def set_rates(optimizer: Any, scheduler: Any, plans: Plans) -> None:
    """Give a resumed optimizer the rates and decays of the settled plans, where a checkpoint has brought others."""
    for number, group in enumerate(optimizer.param_groups):
        plan = plans[group["module"]]
        if group["weight_decay"]:  # the group of what does not decay stays as it is
            group["weight_decay"] = plan.weight_decay
        if group["initial_lr"] != plan.learning_rate:
            assert plan.learning_rate is not None, "settled fills it in"
            group["lr"] *= plan.learning_rate / group["initial_lr"]
            group["initial_lr"] = scheduler.base_lrs[number] = plan.learning_rate
