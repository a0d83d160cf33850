"""Whether a run begins, goes on from a checkpoint, is finished already, or is refused; before the data is read."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from transformers import TrainingArguments

from minigemini.training import ema, master_weights
from minigemini.training.checkpoints_on_disk import STATE, checkpoints, lacking, newest_whole, torn
from minigemini.training.fingerprint import RECORDS, changes, check_names, refuse_changes
from minigemini.training.modules import held_in_bfloat16
from minigemini.training.recipe import Recipe

Resume = bool | Literal["auto"]  # True: there must be something to go on from


@dataclass(frozen=True)
class Beginning:
    """Where a run begins."""

    checkpoint: Path | None = None  # None: at step 0
    begun: dict[str, Any] = field(default_factory=dict)  # fingerprint of the run that it goes on
    finished: bool = False


def check_output(output: Path) -> None:
    """
    Raises:
        ValueError: the output folder is a file, inside of one, or cannot be written.
    """
    there = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"trainer.output_dir: {there} is a file, and a folder is needed")
    try:
        with tempfile.TemporaryFile(dir=there):  # a run that is refused leaves no empty folder behind
            pass
    except OSError as error:
        raise ValueError(f"trainer.output_dir: {output} cannot be written: {error.strerror}") from error


def state_files(recipe: Recipe, arguments: TrainingArguments) -> list[str]:
    """Patterns of what must lie in a checkpoint beside the weights, so that a run can go on as if it had never stopped."""
    own = [ema.FILE] if recipe.ema else [master_weights.FILE] if held_in_bfloat16(recipe.modules) else []
    if arguments.deepspeed:
        return ["latest", "rng_state*.pth"]  # the file with the name of the folder where all of its state is
    return ["optimizer*", "scheduler.pt", "rng_state*.pth", *own]


def where_to_begin(
    recipe: Recipe,
    arguments: TrainingArguments,
    resume: Resume,
    now: dict[str, Any],
    accepted: Sequence[str],
    say: Callable[[str], None],
) -> Beginning:
    """
    Args:
        now: fingerprint of the run that is asked for.
        accepted: keys of it that may differ from the run that is there.
        say: told of each checkpoint that is passed over.

    Raises:
        ValueError: the folder holds a finished run, checkpoints or a model that this run would overwrite; there is nothing to go
            on from; or the run there was begun otherwise.
    """
    output, needed = Path(recipe.trainer["output_dir"]), state_files(recipe, arguments)
    named = arguments.resume_from_checkpoint
    if accepted and not (resume or named):
        raise ValueError("--resume-changed goes with --resume")
    check_names(accepted, [*now, RECORDS])
    finished = (output / STATE).is_file()
    if named:
        if resume:
            raise ValueError("trainer.resume_from_checkpoint and --resume say both where to go on from; leave one out")
        if Path(named).resolve().parent != output.resolve():
            refuse_to_overwrite(output, finished)
        return named_checkpoint(Path(named), needed, now, accepted)
    if not resume:
        refuse_to_overwrite(output, finished)
        return Beginning()
    if finished:
        begun = fingerprint_in(output, say)
        if not changes(without_records(begun), now):
            return Beginning(None, begun, finished=True)
        refuse_changes(changes(without_records(begun), now), accepted, output)
    checkpoint = newest_whole(output, needed, say)
    if checkpoint is None:
        if resume == "auto" and not finished:
            return Beginning()
        raise ValueError(f"{output} holds no whole checkpoint to go on from; --resume auto begins where there is none")
    begun = fingerprint_in(output, say)
    refuse_changes(changes(without_records(begun), now), accepted, output)
    return Beginning(checkpoint, begun)


def named_checkpoint(
    checkpoint: Path, needed: Sequence[str], now: dict[str, Any], accepted: Sequence[str]
) -> Beginning:
    """``trainer.resume_from_checkpoint``."""
    lacks = lacking(checkpoint, needed)
    reason = torn(checkpoint) or (f"{' and '.join(lacks)} not in it" if lacks else None)
    if reason:
        raise ValueError(f"trainer.resume_from_checkpoint: {checkpoint} is not whole: {reason}")
    begun = fingerprint_in(checkpoint.parent, print)
    refuse_changes(changes(without_records(begun), now), accepted, checkpoint)
    return Beginning(checkpoint, begun)


def refuse_to_overwrite(output: Path, finished: bool) -> None:
    other = "choose another trainer.output_dir, or remove it"
    if finished:
        raise ValueError(f"{output} holds a finished run: {other}")
    if checkpoints(output):
        raise ValueError(f"{output} holds checkpoints of an earlier run: go on from them with --resume, {other}")
    if not (output / "run.json").is_file() and any(output.glob("*.safetensors")):
        raise ValueError(f"{output} holds a model that no run here has made: {other}")


def fingerprint_in(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Of the run in a folder; empty, and told, if it was written by a version that kept none."""
    file = folder / "run.json"
    begun = json.loads(file.read_text(encoding="utf-8")).get("fingerprint", {}) if file.is_file() else {}
    if not begun:
        say(f"{file} has no fingerprint (an earlier version wrote it): whether the run has changed is not known")
    return begun


def without_records(begun: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in begun.items() if key != RECORDS}


def refuse_other_records(begin: Beginning, records: str, accepted: Sequence[str], output: Path) -> None:
    """
    Raises:
        ValueError: the tokens of the records that are trained on are others than those the run began with.
    """
    if RECORDS in begin.begun and not any(name.split(".")[0] == "data" for name in accepted):
        refuse_changes(changes({RECORDS: begin.begun[RECORDS]}, {RECORDS: records}), accepted, output)
