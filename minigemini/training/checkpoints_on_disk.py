"""Checkpoints that are there whole or not at all.

One is written beside, in ``OUTPUT/_unfinished/``, and renamed to ``OUTPUT/checkpoint-N`` when every byte of it is on the disk; its
``whole.json`` says how large each file is. What is torn all the same (by hand, or by an earlier version, which wrote in place) is
passed over by name. The finished model is written likewise; ``trainer_state.json`` comes last and says that it is finished.
"""

import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers import TrainingArguments

BESIDE = "_unfinished"  # push_to_hub leaves out what begins with _
LISTING = "whole.json"
STATE = "trainer_state.json"
WEIGHTS = ("*.safetensors", "pytorch_model*", "global_step*")  # the last two: the sharded forms of FSDP and DeepSpeed


def checkpoints(output: Path) -> list[Path]:
    """The folders ``checkpoint-N`` in ``output``, newest first."""
    found = [path for path in output.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    return sorted((path for path in found if path.is_dir()), key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def newest_whole(output: Path, needed: Sequence[str], say: Callable[[str], None]) -> Path | None:
    """The newest checkpoint that can be gone on from; each newer one is passed over with a line that names it and why.

    Args:
        needed: patterns of the files that hold what a run goes on with, see :func:`minigemini.training.beginning.state_files`.

    Raises:
        ValueError: there is none, but one whose weights are whole and whose state is not there: to begin anew would lose it.
    """
    without_state = []
    for checkpoint in checkpoints(output):
        lacks = lacking(checkpoint, needed)
        reason = torn(checkpoint)
        if lacks and (checkpoint / STATE).is_file():  # it is written last: the rest was left out, or lost
            reason = f"{' and '.join(lacks)} not in it (trainer.save_only_model, or lost), a run cannot go on from it"
            without_state.append(f"{checkpoint}: {reason}")
        if reason is None:
            return checkpoint
        say(f"{checkpoint} is passed over: {reason}")
    if without_state:
        raise ValueError(
            "\n".join(without_state) + "\nto train on from its weights with a new optimizer and schedule, "
            "give it as init_from, with another trainer.output_dir"
        )
    return None


def output_of(arguments: TrainingArguments) -> Path:
    assert arguments.output_dir is not None, "load_recipe has checked it"
    return Path(arguments.output_dir)


def lacking(checkpoint: Path, needed: Sequence[str]) -> list[str]:
    return [pattern.replace("*", "") for pattern in needed if not any(checkpoint.glob(pattern))]


def torn(checkpoint: Path) -> str | None:
    """Why a folder is no whole checkpoint; None if it is one."""
    try:
        sizes = json.loads((checkpoint / LISTING).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return torn_by_its_contents(checkpoint)
    except ValueError:
        return f"{LISTING} is damaged"
    for name, size in sizes.items():
        file = checkpoint / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size:,} of {size:,} bytes"
    return None


def torn_by_its_contents(checkpoint: Path) -> str | None:
    """As :func:`torn`, of a checkpoint without a listing, from an earlier version."""
    if not (checkpoint / STATE).is_file():
        return f"{STATE} is missing, which is written last"
    if not any(True for pattern in WEIGHTS for _ in checkpoint.glob(pattern)):
        return "there are no weights in it"
    for index in checkpoint.glob("*.safetensors.index.json"):
        for name in set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()):
            if not (checkpoint / name).is_file():
                return f"{name} is missing"
    files = (path for path in sorted(checkpoint.rglob("*")) if path.is_file())
    return next((f"{path.relative_to(checkpoint)} is damaged" for path in files if is_damaged(path)), None)


def is_damaged(file: Path) -> bool:
    """Whether a file of a form that knows its end does not come to it, or is empty."""
    if file.stat().st_size == 0:
        return True
    if file.suffix == ".safetensors":
        try:
            with safe_open(file, "pt"):
                return False
        except SafetensorError:
            return True
    if file.suffix in (".pt", ".pth", ".bin"):  # torch.save's form, a zip file
        return not zipfile.is_zipfile(file)
    if file.suffix == ".json":
        try:
            json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            return True
    return False


def clear_beside(output: Path) -> None:
    """Remove what an earlier run had not finished."""
    shutil.rmtree(output / BESIDE, ignore_errors=True)


def put_in_place(output: Path, name: str) -> None:
    """``OUTPUT/_unfinished/NAME`` becomes ``OUTPUT/NAME``, when all of it is on the disk."""
    written = output / BESIDE / name
    sizes = {
        str(path.relative_to(written)): path.stat().st_size for path in sorted(written.rglob("*")) if path.is_file()
    }
    (written / LISTING).write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")
    flush(written)
    target = output / name
    if target.exists():  # torn, or of a run that went on from an earlier step
        os.rename(target, output / BESIDE / f"{name}-before")
    os.rename(written, target)
    flush_entries(output)
    clear_beside(output)


def put_files_in_place(output: Path, name: str) -> None:
    """Each file of ``OUTPUT/_unfinished/NAME`` goes to ``OUTPUT/``, ``trainer_state.json`` last."""
    written = output / BESIDE / name
    flush(written)
    for path in sorted(written.iterdir(), key=lambda path: path.name == STATE):
        target = output / path.name
        if target.is_dir():
            shutil.rmtree(target)
        if path.name == STATE:
            flush_entries(output)
        os.replace(path, target)
    flush_entries(output)
    clear_beside(output)


def remove_old(output: Path, limit: int | None, best: str | None) -> None:
    """Keep ``limit`` whole checkpoints: the newest, the best, and what is newest of the others. A torn one counts for nothing."""
    if not limit:
        return
    whole = [checkpoint for checkpoint in checkpoints(output) if torn(checkpoint) is None]
    kept = [
        checkpoint for checkpoint in whole if checkpoint == whole[0] or best is not None and checkpoint == Path(best)
    ]
    others = [checkpoint for checkpoint in whole if checkpoint not in kept]
    for checkpoint in others[max(0, limit - len(kept)) :]:
        (output / BESIDE).mkdir(exist_ok=True)
        os.rename(checkpoint, output / BESIDE / checkpoint.name)  # first, so that no half of it can stay under its name
        clear_beside(output)


def flush(folder: Path) -> None:
    """Wait until all of a folder is on the disk."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            flush_entries(path)
            continue
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def flush_entries(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
