"""transformers' Trainer with the six things it lacks here: module learning rates, frozen modules in eval mode, a graph that is
whole in every batch, the mixture's sampler, FSDP2 as it should be, and a progress bar that stops on a loss that is not a number."""

import math
import sys
import time
from datetime import timedelta
from typing import Any, cast

import torch
from torch import nn
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from minigemini.data.mixture import EpochSampler, Mixture, Order
from minigemini.data.packing import Packs, PackSampler
from minigemini.model.modeling_minigemini import MiniGeminiForConditionalGeneration
from minigemini.progress import progress_bar
from minigemini.training import fully_sharded
from minigemini.training.modules import Plans, optimizer_groups
from minigemini.training.whole_graph import keep_graph_whole


class MiniGeminiTrainer(Trainer):
    """
    Args:
        frozen: modules that stay in eval mode while the rest of the model trains.
        plans: what each module of the model does, settled.
    """

    def __init__(self, *, stage: str, frozen: list[nn.Module], plans: Plans, **kwargs: Any):
        super().__init__(**kwargs)
        assert isinstance(self.model, MiniGeminiForConditionalGeneration)
        keep_graph_whole(self.model)
        self.label_smoother = None  # it would take the labels unshifted; the model smooths its own
        self.frozen = frozen
        self.plans = plans
        self.remove_callback(ProgressCallback)
        self.remove_callback(PrinterCallback)
        self.add_callback(Progress(stage))

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            assert isinstance(self.model, PreTrainedModel)
            optimizer_class, arguments = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            decayed = set(self.get_decay_parameter_names(self.model))
            self.optimizer = optimizer_class(optimizer_groups(self.model, decayed, self.plans), **arguments)
        return self.optimizer

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        inputs = {key: value for key, value in inputs.items() if key not in ("names", "sources")}
        for module in self.frozen:  # training_step has just put the whole model in training mode
            module.eval()
        if model.training and self.args.label_smoothing_factor:
            inputs["label_smoothing"] = self.args.label_smoothing_factor
        return super().compute_loss(model, inputs, *args, **kwargs)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        processes = max(1, self.args.world_size)
        if isinstance(self.train_dataset, Packs):
            return PackSampler(self.train_dataset, processes, self.args.gradient_accumulation_steps, seed)
        assert isinstance(self.train_dataset, Mixture)
        micro_batch_size = self.args.train_batch_size * processes
        global_batch_size = micro_batch_size * self.args.gradient_accumulation_steps
        order = cast(Order, self.args.train_sampling_strategy)  # load_recipe has checked it
        round_size = micro_batch_size if processes > 1 and not self.args.dataloader_drop_last else 1
        return EpochSampler(self.train_dataset, order, global_batch_size, seed, round_size)

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        if self.args.fsdp:
            assert isinstance(self.model, nn.Module)
            fully_sharded.set_up(self.accelerator, self.args, self.model)
            self.is_fsdp_enabled = True


class Progress(TrainerCallback):
    """A bar with rate, time left and the last loss; where stderr is no terminal, a line at each logged step."""

    def __init__(self, stage: str):
        self.stage = stage

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.started, self.first_step = time.monotonic(), state.global_step
        self.shown = state.is_world_process_zero and not args.disable_tqdm
        self.bar = progress_bar(self.shown and sys.stderr.isatty())
        self.task = self.bar.add_task(self.stage, total=state.max_steps, completed=state.global_step)
        self.bar.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.bar.update(self.task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict | None = None,
        **kwargs: Any,
    ) -> None:
        if logs is None or "loss" not in logs:
            return
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            self.bar.stop()
            raise ValueError(
                f"the loss is {loss} at step {state.global_step}: nothing after it can be trusted, the run stops"
            )
        self.bar.update(self.task, note=f"loss {loss:.3f}")
        if self.shown and not sys.stderr.isatty():
            rate = (state.global_step - self.first_step) / (time.monotonic() - self.started)
            left = timedelta(seconds=round((state.max_steps - state.global_step) / rate))
            line = (
                f"{self.stage} {state.global_step}/{state.max_steps}  loss {loss:.3f}  {rate:.2f} steps/s  {left} left"
            )
            print(line, file=sys.stderr, flush=True)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.bar.stop()
