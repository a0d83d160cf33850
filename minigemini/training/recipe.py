"""The schema of a training recipe, one YAML file a stage. ``stage`` is a label; behaviour comes from the fields."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from transformers import TrainingArguments

from minigemini import shipped, strict_yaml
from minigemini.checkpoints.assemble import NewModel, Parts
from minigemini.data.mixture import Order
from minigemini.data.sources import DataRecipe

RECIPES = shipped.ROOT / "train" / "recipes"


@dataclass
class Recipe:
    """One stage of training."""

    stage: str
    init_from: str | Parts  # a checkpoint, or the parts of a new model
    trainable: list[str]  # modules by name; all others are frozen
    data: DataRecipe
    trainer: dict[str, Any]  # transformers.TrainingArguments, as it is
    model: NewModel | None = None  # with parts only
    learning_rates: dict[str, float] = field(
        default_factory=dict
    )  # module -> its own, instead of trainer.learning_rate

    def __post_init__(self) -> None:
        if isinstance(self.init_from, Parts) != (self.model is not None):
            raise ValueError("`model:` goes with `init_from:` of parts; a checkpoint brings its own choices")
        if not self.trainable:
            raise ValueError("trainable must name at least one module")
        for module in self.learning_rates:
            if module not in self.trainable:
                raise ValueError(f"learning_rates: {strict_yaml.unknown_name(module, self.trainable)}")
        if not self.trainer.get("output_dir"):
            raise ValueError("trainer.output_dir: missing; say where the checkpoint goes")


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
    recipe = strict_yaml.load(file, Recipe, overrides)
    overridden = tuple(tuple(text.partition("=")[0].split(".")) for text in overrides)
    known = {spec.name: spec for spec in dataclasses.fields(TrainingArguments) if spec.init}
    annotations = get_type_hints(TrainingArguments) | {
        "fsdp": bool | str | list[str] | None
    }  # theirs leaves out its main form
    for key, value in recipe.trainer.items():
        where = strict_yaml.Where(str(file), ("trainer", key), overridden)
        if key == "train_sampling_strategy":  # ours, see data/mixture.py
            strict_yaml.convert(value, Order, where)
        if key not in known:
            raise ValueError(f"{where}: {strict_yaml.unknown_name(key, known)}")
        strict_yaml.convert(value, annotations[key], where)
    return recipe
