"""Low-rank layers by the modules' plans: which layers they stand for, by exact name, so that none ever reaches another module."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

from minigemini import nano
from minigemini.checkpoints import adapter
from minigemini.model.configuration_minigemini import MiniGeminiConfig
from minigemini.training.modules import LOW_RANK, Engine, ModulePlan, Plans, modules_by_name

WORDS = {"attention": ("attention", "attn"), "mlp": ("mlp", "feed_forward")}  # in the names of what holds the layers


def add_low_rank_layers(model: Any, plans: Plans, base: str | Any) -> None:
    """Put new layers into the model where settled plans say so; without such a plan nothing happens.

    Args:
        base: the `init_from` of the recipe. The adapter will name it: a folder by its whole path, else as it is.

    Raises:
        ValueError: a plan finds no layer, or the model is an adapter beside a base in 4 bit.
    """
    low_rank = {name: plan for name, plan in plans.items() if plan.train in LOW_RANK}
    if not low_rank:
        return
    assert isinstance(base, str), "Recipe checks it"
    if model._hf_peft_config_loaded:
        raise ValueError(
            f"{base} is an adapter, and beside layers in 4 bit it stays one: merge it first (minigemini merge)"
        )
    from peft import LoraConfig

    layers = {layer: plan for name, plan in low_rank.items() for layer in low_rank_targets(model, name, plan)}
    first = next(iter(low_rank.values()))
    assert first.rank is not None, "ModulePlan checks it"
    assert first.alpha is not None, "settled fills it in"
    config = LoraConfig(
        target_modules=sorted(layers),
        r=first.rank,
        lora_alpha=first.alpha,
        rank_pattern={layer: plan.rank for layer, plan in layers.items() if plan.rank != first.rank},
        alpha_pattern={layer: plan.alpha for layer, plan in layers.items() if plan.alpha != first.alpha},
        use_dora=any(plan.train == "dora" for plan in low_rank.values()),
        task_type="CAUSAL_LM",
    )
    adapter.add_layers(model, config)
    assert {name for name, _ in adapter.low_rank_layers(model)} == set(layers)
    config.target_modules = sorted(layers)  # peft has made it a set, and shortened it
    config.modules_to_save = [path_of(name) for name, plan in plans.items() if plan.train == "full"] or None
    config.base_model_name_or_path = str(Path(base).resolve()) if Path(base).exists() else base


IN_4_BIT = 0.5  # of a language model's numbers, at least, that qlora must reach to be worth its name


def check_base(base: str | Any, plans: Plans, engine: Engine | None) -> None:
    """
    Raises:
        ValueError: `base` is an adapter, and would be merged into layers that no process has the whole of; or most of its language
            model would not become 4 bit.
    """
    if engine == "ZeRO-3" and isinstance(base, str) and adapter.is_adapter(nano.resolve(base)):
        raise ValueError(
            f"init_from: {base} is an adapter, and ZeRO-3 holds its base in slices: merge it first (minigemini merge)"
        )
    if any(plan.train == "qlora" for plan in plans.values()):
        assert isinstance(base, str), "Recipe checks it"
        config = MiniGeminiConfig.from_pretrained(nano.resolve(base)).text_config
        share = linear_share(config)
        if share < IN_4_BIT:
            raise ValueError(
                f"modules.language_model: qlora makes nn.Linear layers 4 bit, and they are {share:.0%} of this language model "
                f"({config.model_type}), whose experts are none: most of it would stay in 16 bits or more; use lora"
            )


def linear_share(config: PretrainedConfig) -> float:
    """The part of a language model's numbers, its embeddings left out, that lie in linear layers."""
    with torch.device("meta"):
        model: Any = AutoModel.from_config(config)
    linear = sum(weight.numel() for layer in model.modules() if is_linear(layer) for weight in layer.parameters())
    return linear / (model.num_parameters() - model.get_input_embeddings().weight.numel())


def path_of(name: str) -> str:
    """Of a module that a recipe names, in the whole model."""
    return name if name == "lm_head" else f"model.{name}"


def low_rank_targets(model: PreTrainedModel, name: str, plan: ModulePlan) -> list[str]:
    """The layers of a module that a plan gives low-rank layers to, by their names in the whole model.

    Raises:
        ValueError: there is none of a kind that is asked for.
    """
    module = modules_by_name(model)[name]
    prefix = path_of(name)
    if name == "lm_head":
        return [prefix]
    kinds = plan.targets.split("+") if plan.targets else list(WORDS)
    found = {kind: [f"{prefix}.{layer}" for layer in linear_layers(name, module, kind)] for kind in kinds}
    missing = [kind for kind, layers in found.items() if not layers]
    if missing and (plan.targets or len(missing) == len(kinds)):
        raise ValueError(
            f"modules.{name}: no {' and no '.join(missing)} layer in it can be given a low-rank one (they are for nn.Linear in "
            f"attention and MLPs); name other targets, or train it full"
        )
    return [layer for layers in found.values() for layer in layers]


def linear_layers(name: str, module: nn.Module, kind: str) -> list[str]:
    """Linear layers of a kind by their names in the module.

    The projector is an MLP as a whole. Elsewhere they lie in its numbered blocks: a pooling head, which is not read, does not count;
    nor does the mining, whose projections are applied elsewhere than linear layers are.
    """
    if name == "multi_modal_projector":
        return [path for path, layer in module.named_modules() if is_linear(layer)] if kind == "mlp" else []
    return [
        path
        for path, layer in module.named_modules()
        if is_linear(layer)
        and any(part.isdigit() for part in path.split("."))
        and any(word in part for part in path.split(".")[:-1] for word in WORDS[kind])
    ]


def is_linear(layer: nn.Module) -> bool:
    """An `nn.Linear`, or one of them in 4 bit; not what only inherits from it, and computes something else."""
    return type(layer) is nn.Linear or type(layer).__name__ == "Linear4bit"
