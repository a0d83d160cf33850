"""Released MGM checkpoints -> our layout, without loss: `minigemini convert SRC OUT`.

Every tensor of the source is placed under our name or dropped for a reason, every tensor of the target is filled, and a report
says so. Tensors are copied one at a time from the memory-mapped source, a target shard for each of its shards, so memory stays
far below one shard. Everything is written to `OUT.partial`, shard by shard; a later run goes on after the last whole shard, and
the folder gets its name when all is there.
"""

import hashlib
import json
import math
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from minigemini.checkpoints.assemble import load_vision_tower
from minigemini.checkpoints.convnext import load_high_res_vision_tower
from minigemini.model.processing_minigemini import MiniGeminiProcessor

from ..chat_template import read_template, standalone
from .architecture import (
    TIED,
    Tower,
    check_supported,
    high_res_tower,
    image_processor,
    low_res_tower,
    model_config,
    our_name,
    target_shapes,
    why_dropped,
)
from .report import ConversionReport, differences
from .source import SourceTensor, local_folder, opened, read_config, source_tensors, weight_files
from .text import IMAGE_TOKEN, converted_tokenizer, generation_config, template_name

PLAN = "conversion_plan.json"
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}
Progress = Callable[[int, int], None]  # (bytes written, bytes in all)


class Readable(Protocol):
    def get_tensor(self, name: str) -> Tensor: ...


@dataclass(frozen=True)
class Plan:
    """What goes where.

    Attributes:
        shards: (source file, its tensors with our names), in the order they are written.
        dropped: (name in the source, reason).
        from_towers: our names of what the source does not hold and a tower's own folder does.
    """

    shards: list[tuple[Path, list[tuple[SourceTensor, str]]]]
    dropped: list[tuple[str, str]]
    from_towers: list[str]


def convert(
    source: str,
    out: Path,
    vision_tower: str | None = None,
    high_res_vision_tower: str | None = None,
    progress: Progress = lambda written, total: None,
) -> ConversionReport:
    """Convert a checkpoint. Weights keep the type they have.

    Args:
        source: folder or hub id of a released MGM checkpoint.
        out: folder to write; must not exist, or be empty.
        vision_tower: folder or hub id of CLIP, needed if the one the checkpoint names is not there and is not a released one.
        high_res_vision_tower: of the ConvNeXt, likewise. The checkpoint's own weights win over it.
        progress: told how many bytes are written, and of how many.

    Raises:
        ValueError: the source is not a whole MGM checkpoint, a tensor has no place or another shape, or one is missing; names it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists already; name a folder that does not, or an empty one")
    folder = local_folder(source)
    stated = read_config(folder)
    check_supported(stated, folder)
    tensors = source_tensors(folder)
    shapes = {tensor.name: tensor.shape for tensor in tensors}

    low_res = low_res_tower(stated, shapes, vision_tower, folder)
    high_res = high_res_tower(stated, shapes, high_res_vision_tower, folder)
    tokenizer = converted_tokenizer(folder)
    image_token_id: Any = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    config, unused = model_config(stated, low_res, high_res, image_token_id)
    if image_token_id > config.text_config.vocab_size:
        raise ValueError(
            f"{folder}: {image_token_id} tokens, but the vocabulary of the model has {config.text_config.vocab_size}"
        )
    template = template_name(config.text_config.model_type, tokenizer)
    targets = target_shapes(config)
    plan = make_plan(folder, tensors, targets, tied=config.tie_word_embeddings)
    check_tied(plan, tensors)

    partial = out.with_name(out.name + ".partial")
    begin_or_go_on(partial, plan, [source, vision_tower, high_res_vision_tower, config.to_json_string()])
    weight_map = write_weights(partial, plan, low_res, high_res, config, progress)
    assert weight_map.keys() == targets.keys(), "the plan filled every tensor"

    config.architectures = ["MiniGeminiForConditionalGeneration"]
    config.save_pretrained(partial)
    generation = generation_config(template, tokenizer, config.text_config.vocab_size)
    generation.save_pretrained(partial)
    MiniGeminiProcessor(
        image_processor(stated, config, low_res),
        tokenizer,
        patch_size=config.vision_config.patch_size,
        chat_template=standalone(read_template(template), tokenizer, IMAGE_TOKEN),
        image_token=IMAGE_TOKEN,
    ).save_pretrained(partial)

    index, files = weight_files(folder)
    report = ConversionReport(
        source=str(source),
        source_files={file.name: file.stat().st_size for file in files},
        source_index=index,
        tensors_in_source=len(tensors),
        tensors_placed=sum(len(placed) for _, placed in plan.shards),
        dropped=dict(plan.dropped),
        tensors_from_towers=len(plan.from_towers),
        tensors_in_target=len(targets),
        parameters=sum(math.prod(shape) for shape in targets.values()),
        vision_tower=low_res.origin,
        high_res_vision_tower=high_res.origin,
        language_model=config.text_config.model_type,
        chat_template=template,
        stops_at=[str(tokenizer.convert_ids_to_tokens(token)) for token in generation.eos_token_id],
        config_keys_without_meaning=unused,
        files_not_read=["mm_projector.bin"] if (folder / "mm_projector.bin").is_file() else [],
        differences=differences(stated, template),
    )
    report.write(partial)
    (partial / PLAN).unlink()
    if out.exists():
        out.rmdir()
    os.replace(partial, out)
    return report


def make_plan(folder: Path, tensors: list[SourceTensor], targets: dict[str, tuple[int, ...]], tied: bool) -> Plan:
    """
    Raises:
        ValueError: a tensor has no place or another shape than its place, or a place stays empty.
    """
    shards: dict[Path, list[tuple[SourceTensor, str]]] = {}
    dropped: list[tuple[str, str]] = []
    unknown, wrong, filled = [], [], set()
    for tensor in tensors:
        ours, reason = our_name(tensor.name), why_dropped(tensor.name)
        if tied and tensor.name == TIED:
            reason = "the same as the embeddings, to which it is tied"
        if reason is not None:
            dropped.append((tensor.name, reason))
        elif ours not in targets:
            unknown.append(tensor.name)
        elif targets[ours] != tensor.shape:
            wrong.append(f"{tensor.name} is {list(tensor.shape)}, {ours} is {list(targets[ours])}")
        else:
            filled.add(ours)
            shards.setdefault(tensor.file, []).append((tensor, ours))
    empty = sorted(targets.keys() - filled)
    towers = [part for part in ("model.vision_tower.", "model.high_res_vision_tower.") if not _holds(filled, part)]
    from_towers = [name for name in empty if name.startswith(tuple(towers))] if towers else []
    missing = [name for name in empty if name not in from_towers]
    for problem, names in (("have no place", unknown), ("are of another shape", wrong), ("are missing", missing)):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            raise ValueError(f"{folder}: {len(names)} tensors {problem}: {'; '.join(names[:5])}{more}")
    return Plan(list(shards.items()), dropped, from_towers)


def check_tied(plan: Plan, tensors: list[SourceTensor]) -> None:
    """
    Raises:
        ValueError: a head said to be tied to the embeddings is not the same; dropping it would lose it.
    """
    if TIED not in dict(plan.dropped):
        return
    files = {tensor.name: tensor.file for tensor in tensors}
    with opened(files[TIED]) as head, opened(files["model.embed_tokens.weight"]) as embeddings:
        if not torch.equal(head.get_tensor(TIED), embeddings.get_tensor("model.embed_tokens.weight")):
            raise ValueError(f"{files[TIED]}: {TIED} is tied to the embeddings by config.json, but it is not the same")


def begin_or_go_on(partial: Path, plan: Plan, settings: list[Any]) -> None:
    """Make the folder, or see that what lies in it is of this very conversion.

    Raises:
        ValueError: it is of another one.
    """
    files = {file: file.stat() for file, _ in plan.shards}
    placed = [(ours, tensor.name, tensor.shape) for _, shard in plan.shards for tensor, ours in shard]
    identity = [settings, [(str(f), s.st_size, s.st_mtime_ns) for f, s in files.items()], placed, plan.from_towers]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    file = partial / PLAN
    if not partial.exists():
        partial.mkdir(parents=True)
        file.write_text(json.dumps({"digest": digest}), encoding="utf-8")
    elif not file.is_file() or json.loads(file.read_text(encoding="utf-8"))["digest"] != digest:
        raise ValueError(f"{partial} is of another conversion; remove it, or name another folder")


def write_weights(
    partial: Path, plan: Plan, low_res: Tower, high_res: Tower, config: Any, progress: Progress
) -> dict[str, str]:
    """Write what is not written yet; our name of every tensor -> its file."""
    count = len(plan.shards) + bool(plan.from_towers)
    names = (
        ["model.safetensors"] if count == 1 else [f"model-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)]
    )
    total = sum(tensor.bytes for _, shard in plan.shards for tensor, _ in shard)
    written = 0
    weight_map: dict[str, str] = {}
    for name, (source, shard) in zip(names, plan.shards, strict=False):
        weight_map |= {ours: name for _, ours in shard}
        size = sum(tensor.bytes for tensor, _ in shard)
        if not (partial / name).is_file():
            with opened(source) as tensors:

                def so_far(done: int, before: int = written) -> None:
                    progress(before + done, total)

                write_shard(partial / name, shard, tensors, so_far)
        written += size
        progress(written, total)
    if plan.from_towers:
        weight_map |= dict.fromkeys(plan.from_towers, names[-1])
        weights = tower_weights(plan.from_towers, low_res, high_res, config)
        listed = [
            (SourceTensor(ours, Path(), tuple(weights[ours].shape), weights[ours].nbytes), ours)
            for ours in plan.from_towers
        ]
        write_shard(partial / names[-1], listed, _InMemory(weights), lambda done: None)
        total += sum(tensor.bytes for tensor, _ in listed)
    if count > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        (partial / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return weight_map


def write_shard(
    file: Path, shard: list[tuple[SourceTensor, str]], source: Readable, progress: Callable[[int], None]
) -> None:
    """Write a safetensors file one tensor at a time (its library wants all of them in memory); whole or not at all.

    The format: 8 bytes with the length of the header, the header as JSON padded with spaces to a multiple of 8, the data.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor, ours in shard:
        dtype = source.get_tensor(tensor.name).dtype
        if dtype not in DTYPES:
            raise ValueError(f"{tensor.file}: {tensor.name!r} is of type {dtype}, which no weight of MGM has")
        header[ours] = {"dtype": DTYPES[dtype], "shape": tensor.shape, "data_offsets": [offset, offset + tensor.bytes]}
        offset += tensor.bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    unfinished = file.with_name(file.name + ".writing")
    with unfinished.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for tensor, ours in shard:
            data = source.get_tensor(tensor.name).contiguous().reshape(-1).view(torch.uint8).numpy()
            assert data.nbytes == tensor.bytes, tensor.name
            stream.write(data.data)
            progress(header[ours]["data_offsets"][1])
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(unfinished, file)


def tower_weights(names: list[str], low_res: Tower, high_res: Tower, config: Any) -> dict[str, Tensor]:
    """Weights of the towers that the source does not hold, from their folders, in the type of the model."""
    weights: dict[str, Tensor] = {}
    if _holds(names, "model.vision_tower."):
        assert low_res.path is not None, "without tensors, the configuration was read from a folder"
        state = load_vision_tower(low_res.path, config.dtype).state_dict()
        weights |= {f"model.vision_tower.{name}": tensor for name, tensor in state.items()}
    if _holds(names, "model.high_res_vision_tower."):
        assert high_res.path is not None, "without tensors, the configuration was read from a folder"
        tower = load_high_res_vision_tower(high_res.path, high_res.config.image_size, config.dtype)
        weights |= {f"model.high_res_vision_tower.{name}": tensor for name, tensor in tower.state_dict().items()}
    return weights


@dataclass(frozen=True)
class _InMemory:
    weights: dict[str, Tensor]

    def get_tensor(self, name: str) -> Tensor:
        return self.weights[name]


def _holds(names: Any, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)
