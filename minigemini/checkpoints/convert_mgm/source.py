"""Reading the folder of a released MGM checkpoint: its configuration, and its tensors one at a time."""

import json
import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

# (index, single file), best first: safetensors cannot hold code
WEIGHTS = [
    ("model.safetensors.index.json", "model.safetensors"),
    ("pytorch_model.bin.index.json", "pytorch_model.bin"),
]
TEXT_FILES = ["*.json", "tokenizer.model"]
DTYPES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True)
class SourceTensor:
    name: str
    file: Path
    shape: tuple[int, ...]
    bytes: int


def local_folder(source: str) -> Path:
    """A folder as it is; a hub id is downloaded to the hub's cache first (weights in one format only).

    Raises:
        ValueError: neither a folder nor a repository that can be reached.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ValueError(f"{source} is a file; give the folder it lies in")
    try:
        folder = Path(snapshot_download(source, allow_patterns=TEXT_FILES))
        for index, single in WEIGHTS:
            wanted = sorted(set(_weight_map(folder / index).values())) if (folder / index).is_file() else [single]
            folder = Path(snapshot_download(source, allow_patterns=[*TEXT_FILES, *wanted]))
            if all((folder / name).is_file() for name in wanted):
                break
    except (HFValidationError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{source}: no such folder, and no repository of the hub that can be reached ({reason})"
        ) from error
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    """The original's `config.json`.

    Raises:
        ValueError: the folder is not a whole MGM checkpoint; says what it is instead.
    """
    if (folder / "adapter_config.json").is_file() or (folder / "non_lora_trainables.bin").is_file():
        raise ValueError(
            f"{folder} holds LoRA adapters (adapter_config.json, non_lora_trainables.bin), not a model. The original has no "
            "loader for them either; merge them into the checkpoint they were trained from and convert that"
        )
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder}: no config.json, so it is no checkpoint")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") == "minigemini":
        raise ValueError(f"{folder} is converted already (model_type 'minigemini')")
    if config.get("model_type") not in ("mgm", "mgm_mistral", "mgm_mixtral", "mgm_gemma"):
        raise ValueError(
            f"{folder}: its model_type is {config.get('model_type')!r}, not one of MGM's (mgm, mgm_gemma, ...)"
        )
    return config


def source_tensors(folder: Path) -> list[SourceTensor]:
    """Every tensor of the checkpoint, in the order of its files.

    Raises:
        ValueError: no weights, a shard is missing or broken, or the index and the shards do not agree.
    """
    index, files = weight_files(folder)
    tensors: dict[str, SourceTensor] = {}
    for file in files:
        if not file.is_file():
            raise ValueError(f"{file} is missing, which {index} names")
        for tensor in _described(file):
            if tensor.name in tensors:
                raise ValueError(f"{tensor.name!r} is both in {tensors[tensor.name].file.name} and in {file.name}")
            tensors[tensor.name] = tensor
    if index is not None:
        listed = _weight_map(folder / index)
        wrong = sorted(name for name in listed.keys() | tensors.keys() if not _agree(listed, tensors, name))
        if wrong:
            raise ValueError(
                f"{folder / index} does not agree with the shards on {len(wrong)} tensors, first {wrong[0]!r}"
            )
    return list(tensors.values())


def weight_files(folder: Path) -> tuple[str | None, list[Path]]:
    """The index, if there is one, and the files with the weights, sorted by name."""
    for index, single in WEIGHTS:
        if (folder / index).is_file():
            names = set(_weight_map(folder / index).values())
            if any(Path(name).name != name for name in names):
                raise ValueError(f"{folder / index} names files outside of its folder")
            return index, [folder / name for name in sorted(names)]
        if (folder / single).is_file():
            return None, [folder / single]
    if (folder / "mm_projector.bin").is_file():
        raise ValueError(
            f"{folder} is what the original writes after its first stage: mm_projector.bin holds projector, mining and towers "
            "but no language model, so there is no model to convert. Convert a checkpoint of the second stage, or train align "
            "anew from the parts (train/recipes)"
        )
    raise ValueError(f"{folder}: no weights; looked for {', '.join(name for pair in WEIGHTS for name in pair)}")


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """Something with `get_tensor(name)`, which reads this one tensor from the (memory-mapped) file."""
    if file.suffix == ".safetensors":
        with safe_open(file, framework="pt") as tensors:
            yield tensors
    else:
        yield _Pickled(load_pickled(file))


@dataclass(frozen=True)
class _Pickled:
    tensors: dict[str, Tensor]

    def get_tensor(self, name: str) -> Tensor:
        return self.tensors[name]


def load_pickled(file: Path) -> dict[str, Tensor]:
    """The tensors of a `.bin`, memory-mapped if the file is of the kind that can be. Nothing in it is executed.

    Raises:
        ValueError: it holds anything else than tensors by name.
    """
    try:
        # What torch saved before 1.6 is no zip archive and cannot be mapped.
        with file.open("rb") as stream:
            zipped = stream.read(4) == b"PK\x03\x04"
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipped)
    except (pickle.UnpicklingError, RuntimeError, EOFError, struct.error) as error:
        raise ValueError(f"{file} cannot be read as tensors alone, so it is refused: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise ValueError(f"{file} holds something else than tensors by name")
    return content


def _described(file: Path) -> list[SourceTensor]:
    if file.suffix != ".safetensors":
        return [
            SourceTensor(name, file, tuple(tensor.shape), tensor.numel() * tensor.element_size())
            for name, tensor in load_pickled(file).items()
        ]
    try:
        with safe_open(file, framework="pt") as tensors:
            described = []
            for name in tensors.keys():  # noqa: SIM118, no dictionary
                part = tensors.get_slice(name)
                shape = tuple(part.get_shape())
                if part.get_dtype() not in DTYPES:
                    raise ValueError(f"{file}: {name!r} is of type {part.get_dtype()}, which MGM never has")
                size = torch.Size(shape).numel() * DTYPES[part.get_dtype()]
                described.append(SourceTensor(name, file, shape, size))
            return described
    except SafetensorError as error:
        raise ValueError(f"{file} is not a whole safetensors file: {error}") from error


def _agree(listed: dict[str, str], tensors: dict[str, SourceTensor], name: str) -> bool:
    return name in tensors and listed.get(name) == tensors[name].file.name


def _weight_map(index: Path) -> dict[str, str]:
    return json.loads(index.read_text(encoding="utf-8"))["weight_map"]
