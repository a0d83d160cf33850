"""The schema of a training recipe, one YAML file a stage. ``stage`` is a label; behaviour comes from the fields."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from transformers import TrainingArguments

from minigemini import shipped, strict_yaml
from minigemini.checkpoints.assemble import NewModel, Parts
from minigemini.checkpoints.resolution import Resolution
from minigemini.data.card_parts import put_parts_in_place
from minigemini.data.mixture import Order
from minigemini.data.sources import DataRecipe, source_names
from minigemini.training.ema import EMA
from minigemini.training.modules import LOW_RANK, Plans, check_plans
from minigemini.training.old_form import refuse_old_form
from minigemini.training.refused_arguments import check_arguments, check_best, check_packing
from minigemini.training.samples import Samples

RECIPES = shipped.ROOT / "train" / "recipes"


@dataclass
class Recipe:
    """One stage of training."""

    stage: str
    init_from: str | Parts  # a checkpoint, or the parts of a new model
    modules: Plans  # module -> what it does in training; what is not named is frozen
    data: DataRecipe
    trainer: dict[str, Any]  # transformers.TrainingArguments, as it is
    model: NewModel | None = None  # with parts only
    resolution: Resolution | None = None  # with a checkpoint only: of the pictures, instead of its own
    ema: EMA | None = None  # what comes out is an average of the last steps
    samples: Samples | None = None  # pages of answers during training; with data.validation only

    def __post_init__(self) -> None:
        if isinstance(self.init_from, Parts) != (self.model is not None):
            raise ValueError("`model:` goes with `init_from:` of parts; a checkpoint brings its own choices")
        if isinstance(self.init_from, Parts) and self.resolution is not None:
            raise ValueError("`resolution:` goes with `init_from:` of a checkpoint; parts have it in `model:`")
        check_plans(self.modules)
        if self.samples is not None and not self.data.validation:
            raise ValueError("samples: what is answered is held-out records: name their file in data.validation")
        low_rank = [name for name, plan in self.modules.items() if plan.train in LOW_RANK]
        if low_rank and isinstance(self.init_from, Parts):
            raise ValueError(
                f"modules: {', '.join(low_rank)} would be an adapter, which names its base; `init_from` are parts: "
                "make one of them first (nano/align does)"
            )
        strategy = self.trainer.get("eval_strategy", "epoch" if self.data.validation else "no")
        if self.data.validation and strategy in ("no", False):
            raise ValueError(
                "data.validation is never looked at with trainer.eval_strategy = no; leave one of them out"
            )
        if strategy not in ("no", False):
            if not self.data.validation:
                raise ValueError(f"trainer.eval_strategy = {strategy} needs data to evaluate on: data.validation")
            self.trainer["eval_strategy"] = strategy
        if self.trainer.get("eval_steps") is not None and strategy != "steps":
            raise ValueError(
                f"trainer.eval_steps does nothing with trainer.eval_strategy = {strategy}; leave it out, or set that to steps"
            )
        if not self.trainer.get("output_dir"):
            raise ValueError("trainer.output_dir: missing; say where the checkpoint goes")


def prepared_folder(recipe: Recipe) -> Path:
    """Where its data is kept prepared: beside the outputs, for the next run there to find."""
    return Path(recipe.data.prepared or Path(recipe.trainer["output_dir"]).parent / "prepared")


def load_recipe(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe: the path of a YAML file, or the name of one in ``train/recipes/`` (``nano/align``).

    Raises:
        FileNotFoundError: it is neither.
        ValueError: a key or value that does not fit, in our sections or in ``trainer:``; it is named.
    """
    file = shipped.named(str(name), RECIPES)
    if file is None:
        raise FileNotFoundError(
            f"{name}: no such file, and no recipe of that name (there are {', '.join(shipped.names(RECIPES))})"
        )
    tree, place = strict_yaml.read(file, overrides)
    refuse_old_form(tree, place)
    put_parts_in_place(tree, place)
    recipe = strict_yaml.convert(tree, Recipe, place)
    known = {spec.name: spec for spec in dataclasses.fields(TrainingArguments) if spec.init}
    annotations = get_type_hints(TrainingArguments) | {
        "fsdp": bool | str | list[str] | None
    }  # theirs leaves out its main form
    for key, value in recipe.trainer.items():
        where = place.at("trainer").at(key)
        if key == "train_sampling_strategy":  # ours, see data/mixture.py
            strict_yaml.convert(value, Order, where)
        if key not in known:
            raise ValueError(f"{where}: {strict_yaml.unknown_name(key, known)}")
        strict_yaml.convert(value, annotations[key], where)
    check_arguments(recipe.trainer)
    check_best(recipe.trainer, source_names(recipe.data.validation))
    if recipe.data.packing is not None:
        check_packing(recipe.trainer)
    return recipe
