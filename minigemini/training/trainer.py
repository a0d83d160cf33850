"""transformers' Trainer with the things it lacks here: module learning rates, frozen modules in eval mode, a graph that is
whole in every batch, the mixture's sampler, a progress bar, and that nothing of a run is lost or wrong without a word."""

import contextlib
import math
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler, SequentialSampler
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import EvalLoopOutput

from minigemini.checkpoints import adapter
from minigemini.data.collator import Collator
from minigemini.data.mixture import EpochSampler, Mixture, Order
from minigemini.data.packing import Packs, PackSampler
from minigemini.model.modeling_minigemini import MiniGeminiForConditionalGeneration
from minigemini.model.processing_minigemini import MiniGeminiProcessor
from minigemini.progress import progress_bar
from minigemini.training import fully_sharded
from minigemini.training.ema import EMA, AveragedWeights, trained_weights
from minigemini.training.evaluation_loss import evaluation_loss
from minigemini.training.finite import check_losses
from minigemini.training.master_weights import MasterWeights
from minigemini.training.module_table import TableIsTrue, module_rows
from minigemini.training.modules import (
    Plans,
    WhatIsFrozenStaysOutOfTheGraph,
    held_in_bfloat16,
    hold_in_eval_mode,
    optimizer_groups,
    set_rates,
)
from minigemini.training.room import RoomOnDisk
from minigemini.training.stopping import StopWhenAsked, deaf
from minigemini.training.throughput import in_short, meter_of
from minigemini.training.whole_checkpoints import WholeCheckpointTrainer
from minigemini.training.whole_graph import keep_graph_whole


class MiniGeminiTrainer(WholeCheckpointTrainer):
    """
    Args:
        frozen: modules that stay in eval mode while the rest of the model trains.
        plans: what each module of the model does, settled.
        sources: the names of the mixture's sources, for the losses of each.
        ema: with it, validation, checkpoints and the finished model have averaged weights.
        eval_collator: for validation data, where it is not that of the training data.
    """

    def __init__(
        self,
        *,
        stage: str,
        frozen: list[nn.Module],
        plans: Plans,
        sources: list[str],
        ema: EMA | None = None,
        eval_collator: Collator | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        assert isinstance(self.model, MiniGeminiForConditionalGeneration)
        keep_graph_whole(self.model)
        self.label_smoother = None  # it would take the labels unshifted; the model smooths its own
        self.frozen = frozen
        self.plans = plans
        self.eval_collator = eval_collator or self.data_collator
        self.unchecked: list[
            tuple[torch.Tensor, list[str]]
        ] = []  # losses of the step that is under way, and of which records
        self.meter = meter_of(self.model, sources, self.args)
        self.remove_callback(ProgressCallback)
        self.remove_callback(PrinterCallback)
        self.progress, self.stopping = Progress(stage), StopWhenAsked()
        table = TableIsTrue(module_rows(self.model, plans), casts=self.is_deepspeed_enabled)
        self.master_weights = MasterWeights([])  # `create_optimizer` has those of its groups, where there are some
        self.averaged = AveragedWeights(ema.decay) if ema else None
        if self.averaged is not None:
            self.bytes_besides = 4 * sum(weight.numel() for _, weight in trained_weights(self.model))
            self.add_callback(self.averaged)
        room = RoomOnDisk(self.bytes_besides)
        for callback in (WhatIsFrozenStaysOutOfTheGraph(), table, room, self.progress, self.stopping):
            self.add_callback(callback)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().train(*args, **kwargs)
        finally:
            self.progress.bar.stop()

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            assert isinstance(self.model, PreTrainedModel)
            optimizer_class, arguments = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            decayed = set(self.get_decay_parameter_names(self.model))
            groups = optimizer_groups(self.model, decayed, self.plans)
            if held_in_bfloat16(self.plans):  # what DeepSpeed has put in 16 bits, it has copies of
                self.master_weights = MasterWeights(groups)
            self.optimizer = optimizer_class(groups, **arguments)
            self.master_weights.follow(self.optimizer)
        return self.optimizer

    def weights_to_keep(self) -> contextlib.AbstractContextManager[None]:
        """Where what is shown and saved is the average, the model has it here."""
        assert self.model is not None
        return self.averaged.in_place(self.model) if self.averaged else contextlib.nullcontext()

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        with self.weights_to_keep():
            super()._save_checkpoint(*args, **kwargs)

    def save_finished(self) -> None:
        with self.weights_to_keep():
            super().save_finished()

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save and self.averaged is not None:
            self.averaged.save(Path(output_dir))
        if self.args.should_save and self.master_weights.pairs:
            self.master_weights.save(Path(output_dir))

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        assert isinstance(self.model, MiniGeminiForConditionalGeneration)
        if self.model._hf_peft_config_loaded and self.args.should_save:
            folder = Path(output_dir or str(self.args.output_dir))
            adapter.save(self.model, folder, state_dict)
            assert isinstance(self.processing_class, MiniGeminiProcessor)
            self.processing_class.save_pretrained(folder)
        elif not self.model._hf_peft_config_loaded:
            super()._save(output_dir, state_dict)
            if self.args.should_save and any(plan.dtype != "float32" for plan in self.plans.values()):
                # Else the configuration would have the first module's type, and all would be loaded in it.
                self.model.config.dtype = torch.float32
                self.model.config.save_pretrained(output_dir or str(self.args.output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        assert isinstance(self.model, MiniGeminiForConditionalGeneration)
        if self.model._hf_peft_config_loaded and not self.is_fsdp_enabled:  # FSDP2 reads its own file, into slices
            adapter.load_weights(self.model, Path(resume_from_checkpoint) / adapter.WEIGHTS)
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        set_rates(self.optimizer, self.lr_scheduler, self.plans)
        if self.averaged is not None:
            assert self.model is not None
            self.averaged.load(Path(checkpoint), self.model)
        if self.master_weights.pairs:
            self.master_weights.load(Path(checkpoint))

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        batch = inputs
        inputs = {key: value for key, value in inputs.items() if key not in ("names", "sources")}
        # by default the language model makes a cache, and complains of it where blocks are computed twice
        inputs["use_cache"] = False
        hold_in_eval_mode(self.frozen)  # training_step has just put the whole model in training mode
        if model.training and self.args.label_smoothing_factor:
            inputs["label_smoothing"] = self.args.label_smoothing_factor
        loss, outputs = super().compute_loss(model, inputs, *args, **{**kwargs, "return_outputs": True})
        if not self.args.logging_nan_inf_filter:
            self.unchecked.append((loss.detach(), batch["names"]))
            if self.accelerator.sync_gradients:  # the last of a step, before its way back: DeepSpeed steps in there
                losses, names = zip(*self.unchecked, strict=True)
                self.unchecked.clear()
                check_losses(losses, names, self.state.global_step + 1, self.args)
        self.meter.add(batch, outputs.token_losses)
        return loss

    def get_train_dataloader(self) -> DataLoader:
        loader = super().get_train_dataloader()
        loader.worker_init_fn = deaf(loader.worker_init_fn)
        return loader

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        asked = time.perf_counter()
        batches = super().get_batch_samples(*args, **kwargs)
        self.meter.waited(time.perf_counter() - asked)
        return batches

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs |= self.meter.read(self.accelerator)
        super().log(logs, start_time)

    def get_eval_dataloader(self, *args: Any, **kwargs: Any) -> DataLoader:
        packing, drop_last = self.data_collator, self.args.dataloader_drop_last  # for training only
        self.data_collator, self.args.dataloader_drop_last = self.eval_collator, False
        try:
            return super().get_eval_dataloader(*args, **kwargs)
        finally:
            self.data_collator, self.args.dataloader_drop_last = packing, drop_last

    def evaluation_loop(
        self, dataloader: DataLoader, description: str, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any
    ) -> EvalLoopOutput:
        started = time.perf_counter()
        batches = (self._prepare_inputs(batch) for batch in dataloader)
        with self.compute_loss_context_manager(), self.weights_to_keep():
            loss, records = evaluation_loss(self.model_wrapped, batches)
        fully_sharded.reshard(self.model_wrapped)
        self.meter.leave_out(time.perf_counter() - started)
        return EvalLoopOutput(np.empty(0), None, {f"{metric_key_prefix}_loss": loss}, records)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        processes = max(1, self.args.world_size)
        if isinstance(self.train_dataset, Packs):
            sampler = PackSampler(self.train_dataset, processes, self.args.gradient_accumulation_steps, seed)
            steps = max(1, len(sampler) // sampler.step)
            epochs = self.args.max_steps / steps if self.args.max_steps > 0 else self.args.num_train_epochs
            sampler.make_room(math.ceil(epochs))
            return sampler
        assert isinstance(self.train_dataset, Mixture)
        micro_batch_size = self.args.train_batch_size * processes
        global_batch_size = micro_batch_size * self.args.gradient_accumulation_steps
        order = cast(Order, self.args.train_sampling_strategy)  # load_recipe has checked it
        round_size = micro_batch_size if processes > 1 and not self.args.dataloader_drop_last else 1
        return EpochSampler(self.train_dataset, order, global_batch_size, seed, round_size)

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler:
        assert isinstance(eval_dataset, Mixture)
        return SequentialSampler(eval_dataset)  # theirs would group by lengths that it does not know

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
        self.bar = progress_bar(False)

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
        self.bar.update(self.task, note=f"loss {loss:.3f}")
        if self.shown and not sys.stderr.isatty():
            rate = (state.global_step - self.first_step) / (time.monotonic() - self.started)
            left = timedelta(seconds=round((state.max_steps - state.global_step) / rate))
            line = (
                f"{self.stage} {state.global_step}/{state.max_steps}  loss {loss:.3f}  {rate:.2f} steps/s  {left} left"
            )
            print(f"{line}  {in_short(logs)}", file=sys.stderr, flush=True)
