"""What makes a run the run it is: written to ``run.json`` when it begins, compared when it goes on."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from minigemini import nano
from minigemini.data.mixture import Mixture
from minigemini.strict_yaml import unknown_name
from minigemini.training.modules import LOW_RANK
from minigemini.training.recipe import Recipe

# Starts of TrainingArguments' names that change where and how fast a run goes, what it tells and what it keeps; not what it learns.
HARMLESS = (
    *("output_dir", "use_cpu", "local_rank", "dataloader_", "ddp_", "torch_compile", "torch_empty_cache", "use_cache"),
    *(
        "activation_checkpointing",
        "gradient_checkpointing",
        "log_",
        "logging_",
        "disable_tqdm",
        "report_to",
        "run_name",
    ),
    *("project", "trackio_", "include_", "debug", "skip_memory", "eval_", "per_device_eval", "prediction_loss_only"),
    *("batch_eval", "bf16_full_eval", "fp16_full_eval", "save_", "enable_jit", "push_to_hub", "hub_", "load_best"),
    *("metric_for_best", "greater_is_better", "resume_from", "restore_callback", "do_", "remove_unused", "label_names"),
    *("length_column", "full_determinism"),
)
RECORDS = "data.records"
BEGINNING = 4096  # bytes of each tensor of a base
WITH_THE_OPTIMIZER = (
    "trainer.optim",
    "trainer.adam_",
    "ema",
)  # starts of what its state brings along, whatever is asked for


def fingerprint_of(recipe: Recipe, arguments: TrainingArguments) -> dict[str, Any]:
    """Key path -> value: the recipe with all of ``TrainingArguments``' defaults, a data file as its digest, the number of processes."""
    tree = dataclasses.asdict(recipe)
    del tree["stage"], tree["samples"]  # a label; only looked at
    del tree["data"]["validation"], tree["data"]["prepared"]  # only looked at; where, not what
    for source in tree["data"]["sources"]:
        del source["made_by"], source["part_of"]
        source["path"] = digest(Path(source["path"]))
    tree["trainer"] = {
        key: value
        for key, value in arguments.to_dict().items()
        if not key.startswith(HARMLESS) or key == "dataloader_drop_last"
    }
    if isinstance(arguments.deepspeed, str):
        tree["trainer"]["deepspeed"] = json.loads(Path(arguments.deepspeed).read_text(encoding="utf-8"))
    if any(plan.train in LOW_RANK for plan in recipe.modules.values()):
        assert isinstance(recipe.init_from, str), "Recipe checks it"
        tree["base"] = digest_of_base(recipe.init_from)  # its weights are not in the checkpoints
    tree["processes"] = max(1, arguments.world_size)
    return flat(json.loads(json.dumps(tree, default=str)))


def digest(file: Path) -> str | None:
    """None if it is no file, which the check pass has better words for."""
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return "sha256 " + hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def digest_of_base(name: str) -> str | None:
    """Of the beginning of every tensor in a folder: training moves all of one, so this tells without reading all of the model. None
    for what is not on this disk, a model on the hub, which is known by its name."""
    files = sorted(Path(nano.resolve(name)).glob("*.safetensors"))
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            for tensor, entry in sorted(header.items()):
                start, end = entry["data_offsets"]
                stream.seek(8 + length + start)
                whole.update(tensor.encode() + stream.read(min(end - start, BEGINNING)))
    return "sha256 " + whole.hexdigest()[:16] if files else None


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    """The leaves of a tree by their path; a container that is empty is one."""
    if not isinstance(tree, dict | list) or not tree:
        return {path: tree}
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return {
        key: leaf for name, value in items for key, leaf in flat(value, f"{path}.{name}" if path else str(name)).items()
    }


def records_of(mixture: Mixture) -> str:
    """Digest of the tokens of all records in order: it is another where records are skipped or the tokenizer has changed."""
    whole = hashlib.sha256()
    for tokens in mixture.all_tokens():
        whole.update(tokens.ids.tobytes())
        whole.update(tokens.trained.tobytes())
    return "sha256 " + whole.hexdigest()[:16]


def changes(begun: dict[str, Any], now: dict[str, Any]) -> dict[str, str]:
    """Key path -> ``old -> new`` of all that differs; nothing where the old is not known. What only one version of transformers has
    among its arguments is left out."""
    if not begun:
        return {}
    of_one_version = {argument_of(key) for key in begun} ^ {argument_of(key) for key in now}
    return {
        key: f"{begun.get(key)} -> {now.get(key)}"
        for key in {**begun, **now}
        if begun.get(key) != now.get(key) and not (key.startswith("trainer.") and argument_of(key) in of_one_version)
    }


def argument_of(key: str) -> str:
    """``trainer.lr_scheduler_kwargs`` of a key path in it."""
    return ".".join(key.split(".")[:2])


def refuse_changes(changed: dict[str, str], accepted: Sequence[str], where: Path) -> None:
    """
    Args:
        changed: of :func:`changes`.
        accepted: the keys, or starts of keys (``data``), whose change is wanted.

    Raises:
        ValueError: others have changed; all are listed. Or one that the optimizer's state brings along, which nothing can change.
    """
    fixed = [f"{key}: {change}" for key, change in changed.items() if key.startswith(WITH_THE_OPTIMIZER)]
    if fixed:
        raise ValueError(
            f"{where}: the optimizer comes back from the checkpoint as it was, and would not learn of {'; '.join(fixed)}. Change it "
            "back, or give the checkpoint as init_from, with another trainer.output_dir"
        )
    refused = [key for key in changed if not any(f"{key}.".startswith(f"{name}.") for name in accepted)]
    if refused:
        raise ValueError(
            f"{where} was begun otherwise than it would go on:\n"
            + "".join(f"  {key}: {changed[key]}\n" for key in refused)
            + "change it back, begin anew in another trainer.output_dir, or accept it by name: "
            + " ".join(f"--resume-changed {key}" for key in refused)
        )


def check_names(accepted: Sequence[str], known: Sequence[str]) -> None:
    """
    Raises:
        ValueError: an accepted key is none that is compared.
    """
    for name in accepted:
        if not any(f"{key}.".startswith(f"{name}.") for key in known):
            raise ValueError(f"--resume-changed: {unknown_name(name, known)}")
