"""What each module of the model does in training: a plan in the recipe, applied to the model, printed as a table, and held against it."""

from dataclasses import dataclass, replace
from typing import Literal

from rich import box
from rich.table import Table
from torch import nn
from transformers import PreTrainedModel, TrainingArguments
from transformers.trainer_pt_utils import get_model_param_count

from minigemini.strict_yaml import unknown_name

MODULES = (
    "vision_tower",
    "high_res_vision_tower",
    "patch_info_mining",
    "multi_modal_projector",
    "language_model",
    "lm_head",
)


@dataclass(frozen=True)
class ModulePlan:
    """One entry of ``modules:``. What is left out is that of ``trainer:``, for the rate and the decay."""

    train: Literal["full", "frozen"]
    learning_rate: float | None = None
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        if self.train == "frozen":
            for key in ("learning_rate", "weight_decay"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key} does nothing for a module that is frozen; leave it out")


FROZEN = ModulePlan("frozen")
Plans = dict[str, ModulePlan]


def check_plans(plans: Plans) -> None:
    """
    Raises:
        ValueError: a name that is no module, or nothing is trained.
    """
    for name in plans:
        if name not in MODULES:
            raise ValueError(f"modules: {unknown_name(name, MODULES)}")
    if all(plan.train == "frozen" for plan in plans.values()):
        raise ValueError("modules must name at least one module that is trained")


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
        if plan.train != "frozen":
            rate = arguments.learning_rate if plan.learning_rate is None else plan.learning_rate
            decay = arguments.weight_decay if plan.weight_decay is None else plan.weight_decay
            plan = replace(plan, learning_rate=rate, weight_decay=decay)
        whole[name] = plan
    if head_is_tied(model):
        theirs = whole["language_model"]
        if "lm_head" in plans and whole["lm_head"] != theirs:
            raise ValueError(
                f"modules: lm_head shares its weights with language_model in this model, so it cannot be {in_words(whole['lm_head'])} "
                f"where language_model is {in_words(theirs)}; give language_model's plan, or leave lm_head out"
            )
        whole["lm_head"] = theirs
    return whole


def in_words(plan: ModulePlan) -> str:
    if plan.train == "frozen":
        return "frozen"
    return f"{plan.train} (learning_rate {plan.learning_rate:g}, weight_decay {plan.weight_decay:g})"


def head_is_tied(model: PreTrainedModel) -> bool:
    held = {id(parameter) for parameter in model.model.language_model.parameters()}
    return all(id(parameter) in held for parameter in model.lm_head.parameters())


def apply_plans(model: PreTrainedModel, plans: Plans) -> list[nn.Module]:
    """Set ``requires_grad`` by the settled plans.

    Returns:
        The frozen modules. They belong in eval mode in every step: drop-path and dropout must not run in what is not
        trained.
    """
    modules = modules_by_name(model)
    model.requires_grad_(False)
    for name, plan in plans.items():
        if plan.train == "full":
            modules[name].requires_grad_(True)
    return [module for name, module in modules.items() if plans[name].train == "frozen"]


@dataclass(frozen=True)
class ModuleRow:
    """One module: what the table says of it, or what it is found to be."""

    name: str
    parameters: int  # 0: it shares all of them
    trained: int
    state: str  # as the table shows it
    learning_rate: float | None  # None: frozen
    weight_decay: float | None
    dtypes: tuple[str, ...]
    bytes: int
    shared_with: str | None = None  # the module that holds its (tied) weights


def module_rows(model: PreTrainedModel, plans: Plans) -> list[ModuleRow]:
    """What the settled plans say, with the sizes of the model. Tied weights are counted once, at the module that holds them."""
    rows: list[ModuleRow] = []
    seen: dict[int, str] = {}
    for name, module in modules_by_name(model).items():
        parameters = list(module.parameters())
        shared_with = seen.get(id(parameters[0]))
        seen |= {id(parameter): name for parameter in parameters}
        plan = plans[name]
        count = 0 if shared_with else get_model_param_count(module)
        rows.append(
            ModuleRow(
                name,
                count,
                0 if shared_with else get_model_param_count(module, trainable_only=True),
                plan.train,
                plan.learning_rate,
                plan.weight_decay,
                tuple(sorted({str(parameter.dtype).removeprefix("torch.") for parameter in parameters})),
                0 if shared_with else sum(parameter.numel() * parameter.element_size() for parameter in parameters),
                shared_with,
            )
        )
    return rows


def table(rows: list[ModuleRow]) -> Table:
    """The printed form: a line for every module."""
    lines = Table(box=box.SIMPLE)
    for column in ("module", "parameters", "", "trained", "learning rate", "decay", "dtype", "weights"):
        lines.add_column(column, justify="left" if column in ("module", "", "dtype") else "right", no_wrap=True)
    for row in rows:
        count = "tied" if row.shared_with else f"{row.parameters:,}"
        rate, decay = ("-" if number is None else f"{number:g}" for number in (row.learning_rate, row.weight_decay))
        trained = f"{row.trained:,}" if row.trained else "-"
        weights = "-" if row.shared_with else mebibytes(row.bytes)
        lines.add_row(row.name, count, row.state, trained, rate, decay, ", ".join(row.dtypes), weights)
    lines.add_section()
    counts = (f"{sum(getattr(row, key) for row in rows):,}" for key in ("parameters", "trained"))
    lines.add_row("all", next(counts), "", next(counts), "", "", "", mebibytes(sum(row.bytes for row in rows)))
    return lines


def mebibytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"


def optimizer_groups(model: PreTrainedModel, decayed: set[str], plans: Plans) -> list[dict]:
    """Parameter groups for the optimizer: for each trained module one with and one without weight decay, each with the module's name.

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
            "weight_decay": plans[name].weight_decay if decays else 0.0,
        }
        for (name, decays), parameters in groups.items()
    ]
