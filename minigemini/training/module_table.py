"""The table of modules that is printed before the first step, and the proof that it is true in the first and in the last step."""

import io
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from torch import nn
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from minigemini.checkpoints import adapter
from minigemini.training.modules import LOW_RANK, ModulePlan, Plans, modules_by_name


@dataclass(frozen=True)
class ModuleRow:
    """One module: what the table says of it, or what it is found to be."""

    name: str
    state: str  # full, frozen, lora r=64 ...
    learning_rate: float | None  # None: frozen
    weight_decay: float | None
    parameters: int  # 0: it shares all of them
    trained: int
    dtypes: str
    bytes: int
    shared_with: str | None  # the module that holds its (tied) weights


def module_rows(model: PreTrainedModel, plans: Plans) -> list[ModuleRow]:
    """What the settled plans say, with the sizes of the model. Tied weights are counted once, at the module that holds them."""
    says = {name: (state(plan), plan.learning_rate, plan.weight_decay) for name, plan in plans.items()}
    return _with_sizes(model, says)


def found_rows(model: PreTrainedModel, groups: list[dict[str, Any]]) -> list[ModuleRow]:
    """What the modules are found to be.

    Args:
        groups: those of the optimizer, as `optimizer_groups` makes them.
    """
    rates = {group["module"]: group["initial_lr"] for group in groups}
    decays: dict[str, float] = {}
    for group in groups:
        decays[group["module"]] = max(group["weight_decay"], decays.get(group["module"], 0.0))
    holders = {name: holder or name for name, holder in _holders(model).items()}
    says = {}
    for name, module in modules_by_name(model).items():
        trained = any(parameter.requires_grad for parameter in module.parameters())
        holder = holders[name]
        says[name] = (
            found_state(module),
            rates.get(holder) if trained else None,
            decays.get(holder) if trained else None,
        )
    return _with_sizes(model, says)


def state(plan: ModulePlan) -> str:
    return f"{plan.train} r={plan.rank}" if plan.train in LOW_RANK else plan.train


def found_state(module: nn.Module) -> str:
    """As `state`, from what the module is."""
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    if not trained:
        return "frozen"
    low_rank = {name for name, _ in module.named_parameters() if ".lora_" in f".{name}"}
    if not low_rank:
        return "full" if trained == {name for name, _ in module.named_parameters()} else "partly trained"
    layers = [layer for _, layer in adapter.low_rank_layers(module)]
    kinds = {_kind(layer) for layer in layers}
    return " and ".join(sorted(kinds)) if trained == low_rank else "partly trained"


def _kind(layer: Any) -> str:
    few_bits = type(layer.get_base_layer()).__name__ == "Linear4bit"
    kind = "dora" if layer.use_dora[adapter.NAME] else "qlora" if few_bits else "lora"
    return f"{kind} r={layer.r[adapter.NAME]}"


def _with_sizes(model: PreTrainedModel, says: dict[str, tuple[str, float | None, float | None]]) -> list[ModuleRow]:
    holders = _holders(model)
    rows = []
    for name, module in modules_by_name(model).items():
        parameters = [] if holders[name] else list(module.parameters())
        rows.append(
            ModuleRow(
                name,
                *says[name],
                parameters=sum(map(numbers, parameters)),
                trained=sum(numbers(parameter) for parameter in parameters if parameter.requires_grad),
                dtypes=", ".join(sorted({_type(parameter) for parameter in module.parameters()})),
                bytes=sum(parameter.element_size() * numbers(parameter, packed=True) for parameter in parameters),
                shared_with=holders[name],
            )
        )
    return rows


def _holders(model: PreTrainedModel) -> dict[str, str | None]:
    """Module -> the one before it that holds its weights, or None."""
    seen: dict[int, str] = {}
    holders = {}
    for name, module in modules_by_name(model).items():
        parameters = [id(parameter) for parameter in module.parameters()]
        holders[name] = seen.get(parameters[0])
        seen |= {parameter: name for parameter in parameters if parameter not in seen}
    return holders


def numbers(parameter: Any, packed: bool = False) -> int:
    """How many numbers a parameter has, in slices or in 4 bit too; `packed`: how many of its own type it is stored in."""
    if type(parameter).__name__ == "Params4bit" and not packed:
        return parameter.quant_state.shape.numel()
    # ZeRO-3 slices what is loaded, and low-rank layers, which are put beside it, when it takes the whole model
    return getattr(parameter, "ds_numel", parameter.numel())


def _type(parameter: Any) -> str:
    return "4 bit" if type(parameter).__name__ == "Params4bit" else str(parameter.dtype).removeprefix("torch.")


def table(rows: list[ModuleRow]) -> Table:
    """The printed form: a line for every module."""
    lines = Table(box=box.SIMPLE)
    for column in ("module", "parameters", "", "trained", "learning rate", "decay", "dtype", "weights"):
        lines.add_column(column, justify="left" if column in ("module", "", "dtype") else "right", no_wrap=True)
    for row in rows:
        count = "tied" if row.shared_with else f"{row.parameters:,}"
        rate, decay = ("-" if number is None else f"{number:g}" for number in (row.learning_rate, row.weight_decay))
        trained = f"{row.trained:,}" if row.trained else "-"
        lines.add_row(
            row.name,
            count,
            row.state,
            trained,
            rate,
            decay,
            row.dtypes,
            "-" if row.shared_with else mebibytes(row.bytes),
        )
    lines.add_section()
    parameters, trained = (
        f"{sum(counts):,}" for counts in zip(*((row.parameters, row.trained) for row in rows), strict=True)
    )
    lines.add_row("all", parameters, "", trained, "", "", "", mebibytes(sum(row.bytes for row in rows)))
    return lines


def print_whole(console: Console, shown: Table) -> None:
    """As wide as it is: a narrow terminal breaks its lines, where rich would cut the numbers."""
    wide = Console(width=1000, file=io.StringIO())
    with wide.capture() as captured:
        wide.print(shown)
    console.print(captured.get(), end="", markup=False, highlight=False, soft_wrap=True)


def mebibytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"


class TableIsTrue(TrainerCallback):
    """Holds the table against model and optimizer, as they are, before the first step of a process and after the last.

    Args:
        rows: of the table that was printed.
        casts: an engine holds the weights in a type of its own choice; that is not compared.
    """

    def __init__(self, rows: list[ModuleRow], casts: bool):
        self.rows, self.casts, self.looked = rows, casts, False

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not self.looked:
            self.look(kwargs["model"], kwargs["optimizer"], state.global_step + 1)
            self.looked = True

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.look(kwargs["model"], kwargs["optimizer"], state.global_step)

    def look(self, model: PreTrainedModel, optimizer: Any, step: int) -> None:
        """
        Raises:
            ValueError: something is not as the table says; all of it is listed.
        """
        if not all("module" in group for group in optimizer.param_groups):
            raise ValueError(
                "the optimizer is not the one that `modules` describes: leave its section out of the DeepSpeed configuration"
            )
        differences = [
            f"{said.name}: {key} is {getattr(found, key)}, and the table says {getattr(said, key)}"
            for said, found in zip(self.rows, found_rows(model, optimizer.param_groups), strict=True)
            for key in ("state", "learning_rate", "weight_decay", "parameters", "trained", "dtypes", "shared_with")
            if getattr(said, key) != getattr(found, key) and not (self.casts and key == "dtypes")
        ]
        if differences:
            raise ValueError(
                "\n".join([f"at step {step} the model is not what the table of modules says:", *differences])
            )
