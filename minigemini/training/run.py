"""One stage of training, a straight line from recipe to checkpoint."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import TrainingArguments, set_seed
from transformers.integrations.deepspeed import set_hf_deepspeed_config, unset_hf_deepspeed_config
from transformers.utils import logging

from minigemini import shipped
from minigemini.checkpoints import load
from minigemini.checkpoints.assemble import assemble_model, assemble_processor
from minigemini.data.check import check, report
from minigemini.data.collator import Collator
from minigemini.data.mixture import Mixture
from minigemini.model.modeling_minigemini import MiniGeminiForConditionalGeneration
from minigemini.model.processing_minigemini import MiniGeminiProcessor
from minigemini.training import provenance
from minigemini.training.beginning import Resume, check_output, refuse_other_records, where_to_begin
from minigemini.training.checkpoints_on_disk import STATE, clear_beside
from minigemini.training.fingerprint import RECORDS, fingerprint_of, records_of
from minigemini.training.recipe import Recipe, load_recipe
from minigemini.training.services import check_services
from minigemini.training.trainable import freeze_all_but, module_rows, table
from minigemini.training.trainer import MiniGeminiTrainer

console = Console(stderr=True)


def train(
    recipe_name: str | Path, overrides: Sequence[str] = (), resume: Resume = False, resume_changed: Sequence[str] = ()
) -> Path:
    """Train one stage.

    Args:
        recipe_name: a YAML file, or a shipped recipe by name (``nano/align``).
        overrides: ``key.path=value`` strings that win over the recipe.
        resume: go on from the last whole ``checkpoint-*`` in the output folder; the run ends as if it had never stopped. True:
            there must be one; ``"auto"``: begin where there is none, and leave alone what is finished.
        resume_changed: keys of the fingerprint (``trainer.seed``) that may differ from the run that is gone on with.

    Returns:
        The output folder: model and processor, ``recipe.yaml``, ``run.json`` and ``trainer_state.json`` (the losses).

    Raises:
        ValueError, FileNotFoundError: the recipe, the data or the model is not usable, and nothing was trained; or the loss is not
            a number.
        OSError: no room on the disk.
        Stopped: SIGTERM or Ctrl-C; a checkpoint is saved, and no final model.
    """
    logging.disable_progress_bar()  # one for each part and each process; ours counts steps
    recipe = load_recipe(recipe_name, overrides)
    output = Path(recipe.trainer["output_dir"])
    arguments = TrainingArguments(**arguments_of(recipe.trainer))
    check_processes(arguments)
    check_output(output)
    check_services(arguments)
    if arguments.device.type == "cpu":
        # accelerate imports DeepSpeed wherever it is installed, and DeepSpeed warns if it has to find out itself.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    if arguments.deepspeed:
        start_deepspeed()
    fingerprint = fingerprint_of(recipe, arguments)
    tell = say if arguments.should_save else quiet
    begin = where_to_begin(output, arguments, resume, fingerprint, resume_changed, tell)
    if begin.finished:
        tell(f"{output} is trained already")
        return output
    set_seed(arguments.seed)

    processor = load_processor(recipe)
    mixture = checked_mixture(recipe, processor, arguments)
    fingerprint[RECORDS] = records_of(mixture)
    refuse_other_records(begin, fingerprint[RECORDS], resume_changed, output)
    model = load_model(recipe, arguments)
    frozen = freeze_all_but(model, recipe.trainable)
    check_mining(recipe, processor)
    if arguments.should_save:
        console.print(table(module_rows(model, arguments.learning_rate, recipe.learning_rates)))
        clear_beside(output)
        provenance.write(output, recipe, arguments.world_size, fingerprint)
        (output / STATE).unlink(missing_ok=True)  # what goes on is not finished

    trainer = MiniGeminiTrainer(
        stage=recipe.stage,
        frozen=frozen,
        learning_rates=recipe.learning_rates,
        model=model,
        args=arguments,
        train_dataset=mixture,
        data_collator=Collator(processor),
        processing_class=processor,
    )
    with trainer.stopping.listening():
        trainer.train(resume_from_checkpoint=begin.checkpoint and str(begin.checkpoint))
        trainer.save_finished()
    return output


def say(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def quiet(line: str) -> None:
    """What the first process says is not said again."""


def arguments_of(trainer: dict[str, Any]) -> dict[str, Any]:
    """The ``trainer:`` section as it is, but that DeepSpeed's settings may be ours (``train/deepspeed/zero3.json``), wherever they lie."""
    settings = trainer.get("deepspeed")
    if isinstance(settings, str):
        trainer = {**trainer, "deepspeed": shipped.resolve(settings)}
    # Their default hides a loss that is not a number behind the average of the last ones. What they save when SIGTERM comes, every
    # run here saves (training/stopping.py); theirs would go on to a final model.
    return {"logging_nan_inf_filter": False, **trainer, "enable_jit_checkpoint": False}


def start_deepspeed() -> None:
    """ZeRO-3 asks DeepSpeed for the processes as soon as a model is loaded; on the CPU nobody has started it by then."""
    import deepspeed

    deepspeed.init_distributed(auto_mpi_discovery=False)


def check_processes(arguments: TrainingArguments) -> None:
    """
    Raises:
        ValueError: a launcher started several processes that do not know of each other; each would train alone, and all
            would write the same checkpoint.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != max(1, arguments.world_size):
        raise ValueError(
            f"{started} processes were launched, but each would train alone: on a machine without GPU set "
            "trainer.use_cpu=true"
        )


def load_processor(recipe: Recipe) -> MiniGeminiProcessor:
    """The processor of the checkpoint, or a new one from the parts.

    Raises:
        ValueError: there is no such checkpoint.
    """
    if isinstance(recipe.init_from, str):
        return load.load_processor(recipe.init_from)
    assert recipe.model is not None, "Recipe checks that parts come with it"
    return assemble_processor(recipe.init_from, recipe.model)


def load_model(recipe: Recipe, arguments: TrainingArguments) -> MiniGeminiForConditionalGeneration:
    """The model of the checkpoint, or a new one from parts, in float32; mixed precision is ``trainer.bf16``."""
    if isinstance(recipe.init_from, str):
        return load.load_model(
            recipe.init_from, dtype=torch.float32, device="cpu"
        )  # the Trainer puts it where it trains
    assert recipe.model is not None, "Recipe checks that parts come with it"
    unset_hf_deepspeed_config()  # under ZeRO-3, parts are put together whole, and split when training starts
    model = assemble_model(recipe.init_from, recipe.model)
    if arguments.deepspeed:
        set_hf_deepspeed_config(arguments.hf_deepspeed_config)
    return model


def check_mining(recipe: Recipe, processor: MiniGeminiProcessor) -> None:
    """
    Raises:
        ValueError: the mining shall be trained, but nothing will be there to mine.
    """
    if "patch_info_mining" in recipe.trainable and not processor.image_processor.do_high_res:
        raise ValueError(
            "trainable: patch_info_mining, but the processor makes no high-resolution pictures (do_high_res is false)"
        )


def checked_mixture(recipe: Recipe, processor: MiniGeminiProcessor, arguments: TrainingArguments) -> Mixture:
    """Run the check pass, each process a share of it.

    Raises:
        ValueError: bad records, unless the recipe says to skip them; or none left.
    """
    data = check(
        recipe.data,
        processor,
        share=(arguments.process_index, max(1, arguments.world_size)),
        gather=_gather,
        show_progress=arguments.should_save and not arguments.disable_tqdm,
    )
    if data.problems:
        listing = Path(recipe.trainer["output_dir"]) / "bad_records.txt"
        words = report(data.problems, listing) if arguments.should_save else ""
        if recipe.data.on_bad_record == "error":
            raise ValueError(f"{words}\nnothing was trained; mend them, or leave them out with data.on_bad_record=skip")
        if arguments.should_save:
            console.print(f"skipping {words}", markup=False, highlight=False)
    mixture = Mixture(data.sources)
    if len(mixture) == 0:
        raise ValueError("no record is left to train on")
    if arguments.should_save:
        console.print(data.summary(), highlight=False)
    return mixture


def _gather(item: Any) -> list[Any]:
    """``item`` of every process, in order of rank."""
    if not torch.distributed.is_initialized():
        return [item]
    items: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(items, item)
    return items
