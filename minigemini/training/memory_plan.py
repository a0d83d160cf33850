"""The memory of a training run before it is one: what a GPU holds under each engine, and which of them fit.

Counts are from the model on the meta device, activations from a step there (:mod:`minigemini.training.meta_step`). AdamW keeps two
moments in float32. ZeRO-2 splits gradients and optimizer over the GPUs, ZeRO-3 and FSDP2 the weights too and gather them layer by
layer (Rajbhandari et al., "ZeRO", 2020, section 5).
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from rich import box
from rich.table import Table
from torch import nn

from minigemini.training.meta_step import repeated_layers

GIB = 2**30
USABLE = 0.92  # of a card's memory: the rest is CUDA's context, the communication's buffers and what lies between allocations
ENGINES: dict[str, tuple[str, ...]] = {  # engine -> what it splits over the GPUs
    "DDP": (),
    "ZeRO-2": ("gradients", "optimizer"),
    "ZeRO-3": ("weights", "gradients", "optimizer"),
    "FSDP2": ("weights", "gradients", "optimizer"),
}
MOMENTS = {"8bit": 2, "sgd": 0, "adafactor": 0, "adamw": 8}  # optimizer's name has it -> bytes a trained parameter
BYTES_IN_4_BIT = 0.5 + 4 / 64  # a number, and its share of a block's scale
LORA_RANK = 64  # of the row that says what LoRA would need


@dataclass(frozen=True)
class ModelSizes:
    """What a plan needs to know of a model."""

    parameters: int
    trained: int
    trained_in_bf16: int  # of these; the optimizer has float32 copies of them
    weight_bytes: int  # as they are loaded
    largest_layer: int  # parameters
    lora: int  # parameters that LoRA of rank LORA_RANK would train, what is trained outside of the language model with them


@dataclass(frozen=True)
class PlanRow:
    """Bytes on one GPU."""

    engine: str
    weights_as: str
    weights: float
    gradients: float
    optimizer: float
    average: float
    buffers: float  # what an engine gathers or sends at once
    activations: float

    @property
    def static(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.average

    @property
    def total(self) -> float:
        return self.static + self.buffers + self.activations

    def fits(self, gpu_bytes: float) -> bool:
        return self.total <= USABLE * gpu_bytes


def model_sizes(model: Any, in_4_bit: bool = False) -> ModelSizes:
    """Of a model on which is set what is trained; on the meta device or not. Tied weights count once.

    Args:
        in_4_bit: the language model's linear layers will be, but for the low-rank ones beside them.
    """
    parameters = list(model.parameters())
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    language = {id(parameter) for parameter in (*model.model.language_model.parameters(), *model.lm_head.parameters())}
    linear = [module for module in model.model.language_model.modules() if isinstance(module, nn.Linear)]
    packed = {id(module.weight) for module in linear if not module.weight.requires_grad} if in_4_bit else set()
    return ModelSizes(
        parameters=sum(parameter.numel() for parameter in parameters),
        trained=sum(parameter.numel() for parameter in trained),
        trained_in_bf16=sum(parameter.numel() for parameter in trained if parameter.dtype == torch.bfloat16),
        weight_bytes=round(
            sum(
                parameter.numel() * (BYTES_IN_4_BIT if id(parameter) in packed else parameter.element_size())
                for parameter in parameters
            )
        ),
        largest_layer=max(sum(p.numel() for p in layer.parameters()) for layer in repeated_layers(model)),
        lora=sum(LORA_RANK * sum(module.weight.shape) for module in linear)
        + sum(parameter.numel() for parameter in trained if id(parameter) not in language),
    )


def plan_rows(
    sizes: ModelSizes, activations: int, gpus: int, bf16: bool, optimizer: str, averaged: bool
) -> list[PlanRow]:
    """Every engine, with the weights as they are loaded and, where bf16 is computed in, in bf16 with a float32 master copy.

    Args:
        activations: bytes, see :func:`minigemini.training.meta_step.step_bytes`.
        optimizer: ``trainer.optim``.
        averaged: by ``ema:``, which no engine that splits anything goes with.
    """
    moments = moment_bytes(optimizer)
    average = 4 * sizes.trained if averaged else 0
    engines = {engine: splits for engine, splits in ENGINES.items() if not (averaged and splits)}
    rows = []
    for weights_as, weights, gradients, copies, casts in (
        # under autocast weights in float32 are cast once a step, and what they are cast to is kept for the way back
        (
            "as loaded",
            sizes.weight_bytes,
            gradient_bytes(sizes),
            4 * sizes.trained_in_bf16,
            2 * (sizes.trained - sizes.trained_in_bf16) if bf16 else 0,
        ),
        ("bf16 + master", min(sizes.weight_bytes, 2 * sizes.parameters), 2 * sizes.trained, 4 * sizes.trained, 0),
    ):
        held = {
            "weights": weights,
            "gradients": gradients,
            "optimizer": moments * sizes.trained + copies,
            "average": average,
        }
        gathered = 2 * sizes.largest_layer * (2 if bf16 else 4)  # one is computed with, the next is on its way
        rows.append(PlanRow("one GPU", weights_as, **held, buffers=0, activations=activations + casts))
        for engine, splits in engines.items():
            share = {name: size / gpus if name in splits else size for name, size in held.items()}
            # DDP sends gradients from buckets, which hold all of them once more
            buffers = gathered if "weights" in splits else held["gradients"] if not splits else 0
            kept = activations + (0 if "weights" in splits else casts)
            rows.append(PlanRow(engine, weights_as, **share, buffers=buffers, activations=kept))
        if not bf16:
            break
    if moments > MOMENTS["8bit"]:
        last = next(row for row in reversed(rows) if row.engine == "one GPU")  # in bf16 where bf16 is computed in
        smaller = last.optimizer - (moments - MOMENTS["8bit"]) * sizes.trained
        rows.append(replace(last, engine="one GPU, 8-bit moments", optimizer=smaller))
    if sizes.lora < sizes.trained:
        frozen = 2 * sizes.parameters if bf16 else sizes.weight_bytes
        rows.append(
            PlanRow(
                f"one GPU, LoRA rank {LORA_RANK}",
                "bf16" if bf16 else "as loaded",
                frozen + 4 * sizes.lora,
                4 * sizes.lora,
                8 * sizes.lora,
                4 * sizes.lora if averaged else 0,
                0,
                activations,
            )
        )
    return rows


def gradient_bytes(sizes: ModelSizes) -> int:
    """Each in the type of its weight."""
    return 4 * sizes.trained - 2 * sizes.trained_in_bf16


def moment_bytes(optimizer: str) -> int:
    """Bytes of the optimizer's state a trained parameter; an optimizer that is not known is taken as AdamW."""
    return next((size for name, size in MOMENTS.items() if name in optimizer), MOMENTS["adamw"])


def plan_table(rows: list[PlanRow], gpus: int, gpu_gib: float) -> Table:
    lines = Table(
        box=box.SIMPLE,
        title=f"memory of each of {gpus} GPUs, GiB (unmeasured: counted, no GPU has run this)",
        title_justify="left",
    )
    columns = ("engine", "held", "weights", "gradients", "optimizer", "static", "buffers", "activations", "all", "")
    for position, column in enumerate(columns):
        lines.add_column(column, justify="left" if position in (0, 1, 9) else "right", no_wrap=True)
    for row in rows:
        sizes = (row.weights, row.gradients, row.optimizer, row.static, row.buffers, row.activations, row.total)
        fits = f"fits {gpu_gib:g}" if row.fits(gpu_gib * GIB) else "too large"
        lines.add_row(row.engine, row.weights_as, *(gib(size) for size in sizes), fits)
    return lines


def verdict(rows: list[PlanRow], gpus: int, gpu_gib: float) -> str:
    """Which rows fit, in a sentence for many cards and one for a single one."""
    fitting = [row for row in rows if row.fits(gpu_gib * GIB)]
    many = [f"{row.engine} ({row.weights_as}, {gib(row.total)})" for row in fitting if row.engine in ENGINES]
    one = [
        f"{row.engine.removeprefix('one GPU, ')} ({gib(row.total)})" for row in fitting if row.engine[:7] == "one GPU"
    ]
    full = any(row.engine == "one GPU" for row in fitting)
    lines = []
    if gpus > 1:
        what = ", ".join(many) or "no engine: more GPUs, a smaller micro-batch, or gradient_checkpointing"
        lines.append(f"on {gpus} x {gpu_gib:g} GiB: {what}")
    if full:
        lines.append(f"one card of {gpu_gib:g} GiB holds it as it is")
    else:
        what = " or ".join(one) or "not even LoRA: a smaller micro-batch, or gradient_checkpointing"
        lines.append(f"one card of {gpu_gib:g} GiB needs {what}")
    return "\n".join(lines)


def gib(size: float) -> str:
    return f"{size / GIB:,.1f}" if size >= 10 * GIB else f"{size / GIB:.2f}"
