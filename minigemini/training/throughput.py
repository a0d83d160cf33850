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

from minigemini.data.collator import sample_of_trained_tokens
from minigemini.training.meta_step import MicroBatch, loss_on_meta, pixels_on_meta

# A part of torch.cuda.get_device_name() -> dense bfloat16 FLOP/s by the vendors' data sheets (NVIDIA, AMD; SXM where a card comes in
# several forms and its name does not say). The first that fits counts.
PEAK_FLOPS = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "B200": 2250e12,
    "A100": 312e12,
    "A10G": 70e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "A6000": 155e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
    "MI300X": 1307e12,
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

    def of(self, lengths: Tensor, images: int, trained: int) -> float:
        """
        Args:
            lengths: [samples], in tokens.
        """
        lengths = lengths.double()
        text = self.token * lengths.sum() + self.square * lengths.square().sum()
        return float(text) + self.image * images + self.head * trained


def counted(model: Any, batch: MicroBatch) -> int:
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        loss_on_meta(model, batch).backward()
    return counter.get_total_flops()


def peak_flops(device: torch.device) -> float | None:
    """FLOP/s in bfloat16; None where nothing is known of the device."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((flops for part, flops in PEAK_FLOPS.items() if part in name), None)


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
    """Adds up micro-batches until a line is logged.

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
        self.counts = dict.fromkeys(self.COUNTS, 0.0)
        self.losses = torch.zeros(len(self.sources))  # sums over trained tokens
        self.trained = torch.zeros(len(self.sources), dtype=torch.int64)

    def add(self, batch: dict[str, Any], token_losses: Tensor) -> None:
        """
        Args:
            batch: as the collator made it.
            token_losses: [trained tokens], as the model gave them.
        """
        sample = sample_of_trained_tokens(batch)
        source = torch.tensor(batch["sources"], device=sample.device)[sample]
        self.losses = self.losses.to(source.device).index_add(0, source, token_losses)
        self.trained = self.trained.to(source.device) + source.bincount(minlength=len(self.sources))
        mask = batch.get("attention_mask")
        if mask is None:  # a pack
            starts = torch.nonzero(batch["position_ids"][0] == 0)[:, 0].tolist()
            lengths = torch.tensor(starts[1:] + [batch["position_ids"].shape[1]]) - torch.tensor(starts)
        else:
            lengths = mask.sum(dim=1).cpu()
        images = len(batch.get("pixel_values", ()))
        self.counts["samples"] += sum(name != "" for name in batch["names"])
        self.counts["tokens"] += int(lengths.sum())
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
        own = torch.tensor([*self.counts.values(), *self.losses.tolist(), *self.trained.tolist()], dtype=torch.float64)
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
