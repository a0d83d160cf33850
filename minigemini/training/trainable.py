"""What is trained and what is frozen: data of the recipe, applied to the model, and printed with counts."""

from dataclasses import dataclass

import torch
from rich import box
from rich.table import Table
from torch import nn
from transformers import PreTrainedModel
from transformers.trainer_pt_utils import get_model_param_count

from minigemini.strict_yaml import unknown_name


@dataclass(frozen=True)
class ModuleRow:
    """One module of the model: its parameter count, and its learning rate if it is trained."""

    name: str
    parameters: int
    learning_rate: float | None  # None: frozen
    dtype: torch.dtype
    shared_with: str | None = None  # the module that holds its (tied) weights


def modules_by_name(model: PreTrainedModel) -> dict[str, nn.Module]:
    """Every module a recipe can name: the parts of ``model.model``, and the head."""
    parts = {name: part for name, part in model.model.named_children() if any(True for _ in part.parameters())}
    return parts | {"lm_head": model.lm_head}


def freeze_all_but(model: PreTrainedModel, trainable: list[str]) -> list[nn.Module]:
    """Set ``requires_grad`` by the recipe.

    Returns:
        The frozen modules. They belong in eval mode in every step: drop-path and dropout must not run in what is not
        trained.

    Raises:
        ValueError: a name that is no module, or a module whose tied twin is frozen.
    """
    modules = modules_by_name(model)
    for name in trainable:
        if name not in modules:
            raise ValueError(f"trainable: {unknown_name(name, modules)}")
    tied = {id(parameter) for parameter in model.model.language_model.parameters()}
    head_is_tied = all(id(parameter) in tied for parameter in model.lm_head.parameters())
    if head_is_tied and "lm_head" in trainable and "language_model" not in trainable:
        raise ValueError("trainable: lm_head shares its weights with language_model; name language_model or neither")
    model.requires_grad_(False)
    for name in trainable:
        modules[name].requires_grad_(True)
    follows = {"lm_head"} if head_is_tied and "language_model" in trainable else set()
    return [module for name, module in modules.items() if name not in trainable and name not in follows]


def module_rows(model: PreTrainedModel, learning_rate: float, learning_rates: dict[str, float]) -> list[ModuleRow]:
    """What each module is, after ``freeze_all_but``. Tied weights are counted once, at the module that holds them."""
    rows: list[ModuleRow] = []
    seen: dict[int, str] = {}
    for name, module in modules_by_name(model).items():
        parameters = list(module.parameters())
        shared_with = seen.get(id(parameters[0]))
        seen |= {id(parameter): name for parameter in parameters}
        rate = learning_rates.get(name, learning_rate) if parameters[0].requires_grad else None
        count = 0 if shared_with else get_model_param_count(module)
        rows.append(ModuleRow(name, count, rate, parameters[0].dtype, shared_with))
    return rows


def table(rows: list[ModuleRow]) -> Table:
    """The printed form: every module with its parameters, trainable or frozen, and its learning rate."""
    lines = Table(box=box.SIMPLE)
    for column in ("module", "parameters", "", "learning rate", "dtype"):
        lines.add_column(column, justify="right" if column in ("parameters", "learning rate") else "left", no_wrap=True)
    for row in rows:
        count = "tied" if row.shared_with else f"{row.parameters:,}"
        state, rate = ("frozen", "-") if row.learning_rate is None else ("trainable", f"{row.learning_rate:g}")
        lines.add_row(row.name, count, state, rate, str(row.dtype).removeprefix("torch."))
    lines.add_section()
    trained = sum(row.parameters for row in rows if row.learning_rate is not None)
    lines.add_row("all", f"{sum(row.parameters for row in rows):,}")
    lines.add_row("all trainable", f"{trained:,}")
    return lines


def optimizer_groups(
    model: PreTrainedModel,
    decayed: set[str],
    weight_decay: float,
    learning_rate: float,
    learning_rates: dict[str, float],
) -> list[dict]:
    """Parameter groups for the optimizer: one for each learning rate, with and without weight decay.

    Args:
        decayed: names of the parameters that weight decay applies to.
    """
    module_of: dict[int, str] = {}
    for name, module in modules_by_name(model).items():
        for parameter in module.parameters():
            module_of.setdefault(id(parameter), name)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = learning_rates.get(module_of[id(parameter)], learning_rate)
            decay = weight_decay if name in decayed else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in groups.items()]
