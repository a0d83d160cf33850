"""What every logged line says beside the loss: the loss of each source, how fast it went, and what was lost on padding and waiting.

All are sums since the last line, over all processes; rates are of those sums.
"""

import time
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import TrainingArguments
from transformers.integrations.deepspeed import set_hf_deepspeed_config, unset_hf_deepspeed_config

from minigemini.data.collator import lengths_of_samples, sample_of_trained_tokens
from minigemini.training.meta_step import MicroBatch, loss_on_meta, pixels_on_meta

# A whole word of torch.cuda.get_device_name() (or two), in small letters -> dense FLOP/s in bfloat16 (V100 knows float16 only), as vendors
# state them: where a data sheet says "with sparsity", half of it. Those of L40 and L40S were looked up, the others written from memory:
# look yours up before you publish a utilisation. A card that is not here has none. The first that fits counts.
PEAK_FLOPS = {
    "h100 pcie": 756e12,
    "h100 nvl": 835e12,
    "h100": 989e12,
    "h200": 989e12,
    "b200": 2250e12,
    "a100": 312e12,
    "v100": 125e12,
    "a10": 125e12,
    "a10g": 70e12,
    "l40s": 362e12,
    "l40": 181e12,
    "l4": 121e12,
    "a6000": 155e12,
    "rtx 4090": 165e12,
    "rtx 3090": 71e12,
    "mi300x": 1307e12,
}


class ModelFlops:
    """Floating-point operations that training on a batch needs: forward and backward as torch's counter counts them, each layer once
    and whole (checkpointing's second pass and padding are no use, so not counted; a causal mask saves nothing in the count).

    Counted on the meta device: of a picture, and of a text of two lengths, which gives the share that grows with the tokens and the
    one that grows with their square.
    """

    def __init__(self, model: Any):
        with torch.device("meta"):
            twin: Any = type(model)(model.config)
        twin.tie_weights()
        trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        for name, parameter in twin.named_parameters():
            parameter.requires_grad_(name in trained)
        # what is learnt lies in front of the language model, or in it: the way back goes through it
        twin.get_input_embeddings().register_forward_hook(lambda module, given, output: output.requires_grad_(True))
        short, long = 128, 256
        once = counted(twin, MicroBatch(1, short, 0, 1))
        twice = counted(twin, MicroBatch(1, long, 0, 1))
        self.head = counted(twin, MicroBatch(1, short, 0, 2)) - once
        self.square = (twice - 2 * once + self.head) / (long**2 - 2 * short**2)
        self.token = (once - self.head - self.square * short**2) / short
        with FlopCounterMode(display=False) as counter:
            features = twin.get_image_features(*pixels_on_meta(twin, 1), return_dict=True).pooler_output
            if features.requires_grad:
                features.sum().backward()
        self.image = counter.get_total_flops()

    def of(self, lengths: Tensor, images: int, trained: int) -> Tensor:
        """A float64 on the device of the lengths.

        Args:
            lengths: [samples], in tokens.
        """
        lengths = lengths.double()
        text = self.token * lengths.sum() + self.square * lengths.square().sum()
        return text + self.image * images + self.head * trained


def counted(model: Any, batch: MicroBatch) -> int:
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        loss_on_meta(model, batch).backward()
    return counter.get_total_flops()


def peak_flops(device: torch.device) -> float | None:
    """FLOP/s in bfloat16; None where nothing is known of the device."""
    if device.type != "cuda":
        return None
    return peak_of(torch.cuda.get_device_name(device))


def peak_of(name: str) -> float | None:
    """By the name of a card: ``NVIDIA H100 80GB HBM3``, ``NVIDIA A100-SXM4-80GB``."""
    words = f" {name.lower().replace('-', ' ')} "
    return next((flops for card, flops in PEAK_FLOPS.items() if f" {card} " in words), None)


def meter_of(model: Any, sources: Sequence[str], arguments: TrainingArguments) -> "Meter":
    """The meter of a run. Operations are counted only where they can be compared with something."""
    peak = peak_flops(arguments.device)
    if peak is None:
        return Meter(sources, None, None)
    unset_hf_deepspeed_config()  # under ZeRO-3 the parts of a new model are sliced, on the meta device too
    flops = ModelFlops(model)
    if arguments.deepspeed:
        set_hf_deepspeed_config(arguments.hf_deepspeed_config)
    return Meter(sources, flops, peak)


class Meter:
    """Adds up micro-batches until a line is logged; only then is the device asked for a value.

    Args:
        sources: their names; with one, its loss is the loss.
        flops: of the model; None: utilisation is not said.
        peak: FLOP/s of a process's device.
    """

    COUNTS = ("samples", "tokens", "places", "images", "flops", "waited")

    def __init__(self, sources: Sequence[str], flops: ModelFlops | None, peak: float | None):
        self.sources, self.flops, self.peak = sources, flops, peak
        self.started: float | None = None  # with the first batch
        self.clear()

    def clear(self) -> None:
        self.counts: dict[str, Any] = dict.fromkeys(self.COUNTS, 0.0)
        self.losses = torch.zeros(len(self.sources))  # sums over trained tokens
        self.trained = torch.zeros(len(self.sources), dtype=torch.int64)

    def add(self, batch: dict[str, Any], token_losses: Tensor) -> None:
        """
        Args:
            batch: as the collator made it.
            token_losses: [trained tokens], as the model gave them.
        """
        sample = sample_of_trained_tokens(batch, len(token_losses))
        source = torch.tensor(batch["sources"], device=sample.device)[sample]
        self.losses = self.losses.to(source.device).index_add(0, source, token_losses)
        self.trained = self.trained.to(source.device).index_add(0, source, torch.ones_like(source))
        lengths = lengths_of_samples(batch)
        images = len(batch.get("pixel_values", ()))
        self.counts["samples"] += sum(name != "" for name in batch["names"])
        self.counts["tokens"] += lengths.sum()
        self.counts["places"] += batch["input_ids"].numel()
        self.counts["images"] += images
        if self.flops is not None:
            self.counts["flops"] += self.flops.of(lengths, images, len(token_losses))

    def waited(self, seconds: float) -> None:
        """For the next batch, which has just come."""
        if self.started is None:
            self.started = time.perf_counter() - seconds
        self.counts["waited"] += seconds

    def leave_out(self, seconds: float) -> None:
        """In which there was no training."""
        if self.started is not None:
            self.started += seconds

    def read(self, accelerator: Accelerator) -> dict[str, float]:
        """What is to be logged, the same on all processes, which all call it; then it begins anew."""
        now = time.perf_counter()
        assert self.started is not None, "a line is logged after a step"
        seconds, self.started = now - self.started, now
        own = torch.tensor(
            [*map(float, self.counts.values()), *self.losses.tolist(), *self.trained.tolist()], dtype=torch.float64
        )
        total = accelerator.reduce(own.to(accelerator.device), "sum").cpu()
        counts = dict(zip(self.COUNTS, total.tolist(), strict=False))
        losses, trained = total[len(self.COUNTS) :].reshape(2, -1).tolist()
        self.clear()
        said: dict[str, float] = {}
        if len(self.sources) > 1:
            said |= {f"loss_{name}": loss / n for name, loss, n in zip(self.sources, losses, trained, strict=True) if n}
        for what in ("tokens", "images", "samples"):
            said[f"{what}_per_second"] = counts[what] / seconds
        said["padding"] = 1 - counts["tokens"] / counts["places"] if counts["places"] else 0.0
        said["data_wait"] = counts["waited"] / (seconds * accelerator.num_processes)
        if self.peak is not None and self.flops is not None:
            said["model_flops_utilisation"] = counts["flops"] / (seconds * accelerator.num_processes * self.peak)
        return said


def in_short(logs: dict[str, float]) -> str:
    """The logged numbers of a meter for a line on the screen."""
    words = [f"{name} {value:.3f}" for name, value in logs.items() if name.startswith("loss_")]
    words += [f"{logs[f'{what}_per_second']:,.0f} {what}/s" for what in ("tokens", "images", "samples")]
    words += [f"padding {logs['padding']:.1%}", f"waiting for data {logs['data_wait']:.1%}"]
    if "model_flops_utilisation" in logs:
        words.append(f"MFU {logs['model_flops_utilisation']:.1%}")
    return "  ".join(words)
