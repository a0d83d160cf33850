"""Whether there is a model by the name that a user typed, said before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HUB_SECONDS = 10  # for the one question whether a model is on the hub


def check_exists(path_or_id: str) -> None:
    """A folder is looked through (:func:`check_folder`); any other name must be a model of the hub, in the cache or online.

    The hub is asked once. A library that loads would ask it again and again for minutes when there is no network.

    Raises:
        ValueError: there is no such folder and no such model; or the folder holds none, or a torn one.
    """
    if Path(path_or_id).exists():
        check_folder(Path(path_or_id))
        return
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        snapshot_download(path_or_id, local_files_only=True)
    except HFValidationError:
        raise ValueError(f"{path_or_id}: there is no such folder") from None
    except LocalEntryNotFoundError:
        pass
    else:
        return  # something of it is in the cache
    try:
        HfApi().model_info(path_or_id, timeout=HUB_SECONDS)
    except RepositoryNotFoundError:
        raise ValueError(f"{path_or_id}: there is no such folder, and no such model on the hub") from None
    except (
        Exception
    ) as error:  # offline, by choice or not; the HTTP client's own class, of requests or httpx by hub version
        raise ValueError(
            f"{path_or_id}: there is no such folder, and the hub cannot be asked for it ({type(error).__name__})"
        ) from None


def check_folder(folder: Path) -> None:
    """Read what is small of a model's folder, or of a pipeline's and its parts': the JSON files, and the heads of weights.

    Raises:
        ValueError: it is a file, it has neither ``config.json`` nor ``model_index.json``, a file is torn, or a shard of the
            weights is missing; the file is named.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: a model is a folder, and this is a file")
    if (folder / "model_index.json").exists():
        inside = [folder, *sorted(part for part in folder.iterdir() if part.is_dir())]
    elif (folder / "config.json").exists():
        inside = [folder]
    else:
        raise ValueError(f"{folder}: the folder holds no model (neither config.json nor model_index.json is in it)")
    for part in inside:
        for file in sorted(part.glob("*.json")):
            content = _read_json(file)
            if file.name.endswith(".index.json"):
                _check_shards(file, content)
        for file in sorted(part.glob("*.safetensors")):
            _check_length(file)


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except ValueError as error:  # no JSON, or no UTF-8
        raise ValueError(f"{file}: torn, or no JSON ({error})") from None


def _check_shards(index: Path, content: Any) -> None:
    if not isinstance(content, dict) or not isinstance(content.get("weight_map"), dict):
        raise ValueError(f"{index}: it does not say which tensor is in which file (weight_map)")
    missing = sorted(name for name in set(content["weight_map"].values()) if not (index.parent / name).exists())
    if missing:
        raise ValueError(f"{index.parent / missing[0]}: missing, and {index.name} says that weights are in it")


def _check_length(file: Path) -> None:
    """A safetensors file is 8 bytes of length, a head in JSON that long, and the tensors end where the head says."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        try:
            head = json.loads(opened.read(length)) if 8 + length <= size else None
        except ValueError:
            head = None
    if not isinstance(head, dict):
        raise ValueError(f"{file}: torn, or no weights in safetensors")
    end = max((tensor["data_offsets"][1] for name, tensor in head.items() if name != "__metadata__"), default=0)
    if size != 8 + length + end:
        raise ValueError(f"{file}: torn; it has {size:,} bytes, and its head says {8 + length + end:,}")
