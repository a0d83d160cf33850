"""Arguments of transformers' Trainer that would do nothing here, and why: nothing is accepted that does nothing."""

from dataclasses import fields
from typing import Any

from transformers import TrainingArguments

from minigemini.strict_yaml import unknown_name

# name -> why
REFUSED = {
    "use_liger_kernel": "Liger has no kernels for this model, and Trainer does not say so; the loss runs on trained tokens alone anyway",
    "liger_kernel_config": "Liger has no kernels for this model",
    "use_cache": "no cache is made in training",
    "length_column_name": "lengths are those that the check pass counts; train_sampling_strategy or data.packing use them",
    "remove_unused_columns": "the data has no columns: batches are made of the records of data.sources",
    "label_names": "labels are the assistant's words, under the name `labels`",
    "optim_target_modules": "optimizers that choose layers themselves do not know the groups of `modules:`",
    "do_train": "`minigemini train` trains",
    "do_eval": "eval_strategy says whether the validation data is evaluated",
    "do_predict": "`minigemini eval` answers benchmarks",
    "include_for_metrics": "the validation computes the loss, no other metric",
    "batch_eval_metrics": "the validation computes the loss, no other metric",
    "prediction_loss_only": "the validation computes the loss and nothing else in any case",
    "eval_do_concat_batches": "the validation keeps no predictions",
    "eval_accumulation_steps": "the validation keeps no predictions",
    "eval_use_gather_object": "the validation keeps no predictions",
    "bf16_full_eval": "the validation computes as the training does, so that their losses compare",
    "fp16_full_eval": "the validation computes as the training does, so that their losses compare",
}


def check_arguments(trainer: dict[str, Any]) -> None:
    """
    Raises:
        ValueError: the ``trainer:`` section sets one of them to something else than its default, which is no wish.
    """
    defaults = {spec.name: spec.default for spec in fields(TrainingArguments)}
    for name, reason in REFUSED.items():
        if name in trainer and trainer[name] != defaults[name]:
            raise ValueError(f"trainer.{name} would do nothing: {reason}; leave it out")


def check_best(trainer: dict[str, Any], sources: list[str]) -> None:
    """
    Args:
        sources: names of the validation data, each of which has a loss.

    Raises:
        ValueError: the model of an earlier step shall be the final one, or what is best would be so by a loss that is never computed.
    """
    if trainer.get("load_best_model_at_end"):
        raise ValueError(
            "trainer.load_best_model_at_end: not supported, the final model is that of the last step; with metric_for_best_model the "
            "best checkpoint is kept (trainer_state.json names it), and is a model as it stands"
        )
    metric, losses = trainer.get("metric_for_best_model"), [f"eval_{name}_loss" for name in sources]
    for key, value in (("save_strategy", "best"), ("lr_scheduler_type", "reduce_lr_on_plateau")):
        if trainer.get(key) == value and metric is None:
            raise ValueError(f"trainer.{key}={value} needs trainer.metric_for_best_model: one of {', '.join(losses)}")
    if metric is not None and metric not in losses:
        raise ValueError(f"trainer.metric_for_best_model: {unknown_name(metric, losses)}")


def check_packing(trainer: dict[str, Any]) -> None:
    """
    Raises:
        ValueError: ``trainer:`` says how records are to be batched, which `data.packing` does.
    """
    size = trainer.get("per_device_train_batch_size", TrainingArguments.per_device_train_batch_size)
    if size != 1:
        raise ValueError(
            f"data.packing: a pack is a micro-batch already; set trainer.per_device_train_batch_size to 1 (it is {size}) and choose "
            "its tokens by data.packing, the packs of a step by trainer.gradient_accumulation_steps"
        )
    order = trainer.get("train_sampling_strategy", "random")
    if order != "random":
        raise ValueError(f"data.packing chooses the order itself: leave trainer.train_sampling_strategy={order} out")
