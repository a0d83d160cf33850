"""One stage of training, a straight line from recipe to checkpoint."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import nn
from transformers import TrainingArguments, set_seed
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
from transformers.utils import logging

from minigemini import shipped
from minigemini.checkpoints import load
from minigemini.checkpoints.assemble import assemble_model, assemble_processor
from minigemini.data.check import check, report
from minigemini.data.collator import Collator, PackCollator
from minigemini.data.mixture import Mixture
from minigemini.data.packing import Packs
from minigemini.data.records import Record
from minigemini.data.sources import source_names
from minigemini.model.modeling_minigemini import MiniGeminiForConditionalGeneration
from minigemini.model.processing_minigemini import MiniGeminiProcessor
from minigemini.model.transformers_versions import BLOCKS_TWICE
from minigemini.training import fully_sharded, provenance
from minigemini.training.beginning import Resume, check_output, refuse_other_records, where_to_begin
from minigemini.training.checkpoints_on_disk import STATE, clear_beside
from minigemini.training.data_fits_model import check_data_fits
from minigemini.training.ema import check_ema
from minigemini.training.fingerprint import RECORDS, fingerprint_of, records_of
from minigemini.training.lora import add_low_rank_layers, check_base
from minigemini.training.module_table import module_rows, print_whole, table
from minigemini.training.modules import Plans, apply_plans, check_engine, engine_of, settled
from minigemini.training.packed_attention import choose_attention
from minigemini.training.processes import check_processes, gather
from minigemini.training.recipe import Recipe, load_recipe, prepared_folder
from minigemini.training.samples import SamplePages, check_samples, chosen_records, load_generator
from minigemini.training.services import check_services
from minigemini.training.sliced_model import sliced_model
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
    section = arguments_of(recipe.trainer)
    arguments, engine = TrainingArguments(**section), engine_of(section)
    check_processes(arguments)
    check_output(output)
    check_services(arguments)
    check_engine(recipe.modules, arguments, engine)
    check_ema(recipe.ema, recipe.modules, engine)
    check_samples(recipe.samples, arguments)
    if arguments.device.type == "cpu":
        # accelerate imports DeepSpeed wherever it is installed, and DeepSpeed warns if it has to find out itself.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    if arguments.deepspeed:
        start_deepspeed()
    if arguments.fsdp:
        fully_sharded.start(arguments)
    fingerprint = fingerprint_of(recipe, arguments)
    tell = say if arguments.should_save else quiet
    begin = where_to_begin(recipe, arguments, resume, fingerprint, resume_changed, tell)
    if begin.finished:
        tell(f"{output} is trained already")
        return output
    generator = load_generator(recipe.samples, arguments)
    set_seed(arguments.seed)

    processor = load_processor(recipe)
    check_base(recipe.init_from, recipe.modules, engine)
    mixture, validation, sampled = checked_mixtures(recipe, processor, arguments)
    fingerprint[RECORDS] = records_of(mixture)
    refuse_other_records(begin, fingerprint[RECORDS], resume_changed, output)
    model = load_model(recipe, arguments)
    plans = settled(recipe.modules, model, arguments)
    add_low_rank_layers(model, plans, recipe.init_from)
    frozen = apply_plans(model, plans)
    check_mining(recipe, processor)
    warning = check_data_fits(model, mixture, recipe.data.max_length)
    if arguments.should_save:
        if warning:
            console.print(f"warning: {warning}", highlight=False)
        print_whole(console, table(module_rows(model, plans)))
        clear_beside(output)
        provenance.write(output, recipe, arguments.world_size, fingerprint)
        (output / STATE).unlink(missing_ok=True)  # what goes on is not finished

    trainer = make_trainer(recipe, arguments, processor, model, plans, frozen, mixture, validation)
    if recipe.samples is not None:
        trainer.add_callback(SamplePages(trainer, recipe.samples.every, sampled, generator))
    with trainer.stopping.listening():
        trainer.train(resume_from_checkpoint=begin.checkpoint and str(begin.checkpoint))
        trainer.save_finished()
    return output


def make_trainer(
    recipe: Recipe,
    arguments: TrainingArguments,
    processor: MiniGeminiProcessor,
    model: MiniGeminiForConditionalGeneration,
    plans: Plans,
    frozen: list[nn.Module],
    mixture: Mixture,
    validation: dict[str, Mixture],
) -> MiniGeminiTrainer:
    """Of a model to which the plans are applied; records are batched or packed as the recipe says."""
    packing = recipe.data.packing
    if packing is not None:
        choose_attention(model.model.language_model, arguments.device.type, half=arguments.bf16 or arguments.fp16)
    return MiniGeminiTrainer(
        stage=recipe.stage,
        frozen=frozen,
        plans=plans,
        ema=recipe.ema,
        sources=source_names(recipe.data.sources),
        eval_collator=Collator(processor),
        model=model,
        args=arguments,
        train_dataset=mixture if packing is None else Packs(mixture, packing),
        eval_dataset=validation or None,
        data_collator=Collator(processor) if packing is None else PackCollator(processor),
        processing_class=processor,
    )


def say(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def quiet(line: str) -> None:
    """What the first process says is not said again."""


def arguments_of(trainer: dict[str, Any]) -> dict[str, Any]:
    """The ``trainer:`` section as it is, but that DeepSpeed's or FSDP's settings may be ours, such as ``train/deepspeed/zero3.json``,
    and ``gradient_checkpointing`` goes by the name that this transformers has for it.

    Raises:
        ValueError: it is given under both names, or FSDP's settings do nothing.
    """
    for key in ("deepspeed", "fsdp_config"):
        if isinstance(trainer.get(key), str):
            trainer = {**trainer, key: shipped.resolve(trainer[key])}
    for old, new in (("gradient_checkpointing" + end, BLOCKS_TWICE + end) for end in ("", "_kwargs")):
        if old in trainer and old != new:
            if new in trainer:
                raise ValueError(f"trainer.{old} and trainer.{new} are two names of one thing: leave one out")
            trainer = {new if key == old else key: value for key, value in trainer.items()}
    trainer = fully_sharded.checked(trainer)
    # Their default hides a loss that is not a number behind the average of the last ones. What they save when SIGTERM comes, every
    # run here saves (training/stopping.py); theirs would go on to a final model.
    return {"logging_nan_inf_filter": False, **trainer, "enable_jit_checkpoint": False}


def start_deepspeed() -> None:
    """ZeRO-3 asks DeepSpeed for the processes as soon as a model is loaded; on the CPU nobody has started it by then."""
    import deepspeed

    deepspeed.init_distributed(auto_mpi_discovery=False)


def load_processor(recipe: Recipe) -> MiniGeminiProcessor:
    """The processor of the checkpoint, or a new one from the parts.

    Raises:
        ValueError: there is no such checkpoint.
    """
    if isinstance(recipe.init_from, str):
        return load.load_processor(recipe.init_from, recipe.resolution)
    assert recipe.model is not None, "Recipe checks that parts come with it"
    return assemble_processor(recipe.init_from, recipe.model)


def load_model(recipe: Recipe, arguments: TrainingArguments) -> MiniGeminiForConditionalGeneration:
    """The model of the checkpoint, or a new one from parts, in float32; mixed precision is ``trainer.bf16``."""
    if isinstance(recipe.init_from, str):
        if any(plan.train == "qlora" for plan in recipe.modules.values()):
            return load.load_model(
                recipe.init_from, dtype=torch.float32, bits=4, device=arguments.device, resolution=recipe.resolution
            )
        return load.load_model(
            recipe.init_from, dtype=torch.float32, device="cpu", resolution=recipe.resolution
        )  # the Trainer puts it where it trains
    assert recipe.model is not None, "Recipe checks that parts come with it"
    if arguments.fsdp or is_deepspeed_zero3_enabled():
        return sliced_model(recipe.init_from, recipe.model, arguments)
    return assemble_model(recipe.init_from, recipe.model)


def check_mining(recipe: Recipe, processor: MiniGeminiProcessor) -> None:
    """
    Raises:
        ValueError: the mining shall be trained, but nothing will be there to mine.
    """
    trained = {name for name, plan in recipe.modules.items() if plan.train != "frozen"}
    if "patch_info_mining" in trained and not processor.image_processor.do_high_res:
        raise ValueError(
            "modules: patch_info_mining is trained, but the processor makes no high-resolution pictures (do_high_res is false)"
        )


def checked_mixtures(
    recipe: Recipe, processor: MiniGeminiProcessor, arguments: TrainingArguments
) -> tuple[Mixture, dict[str, Mixture], list[Record]]:
    """Run the check pass, each process a share of it: what is trained on, the validation data by the names of its sources, and those
    of its records that ``samples:`` shows.

    Raises:
        ValueError: bad records, unless the recipe says to skip them; or none left.
    """
    data = check(
        recipe.data,
        processor,
        share=(arguments.process_index, max(1, arguments.world_size)),
        gather=gather,
        show_progress=arguments.should_save and not arguments.disable_tqdm,
        folder=prepared_folder(recipe),
    )
    if data.problems:
        listing = Path(recipe.trainer["output_dir"]) / "bad_records.txt"
        words = gather(report(data.problems, listing) if arguments.should_save else "")[
            0
        ]  # all say the same, so it is said once
        if recipe.data.on_bad_record == "error":
            raise ValueError(f"{words}\nnothing was trained; mend them, or leave them out with data.on_bad_record=skip")
        if arguments.should_save:
            console.print(f"skipping {words}", markup=False, highlight=False)
    mixture = Mixture(data.sources)
    if len(mixture) == 0:
        raise ValueError("no record is left to train on")
    if arguments.should_save:
        console.print(data.summary(), highlight=False)
    held_out = source_names(recipe.data.validation)
    validation = {name: Mixture([source]) for name, source in zip(held_out, data.validation, strict=True)}
    for name, records in validation.items():
        if len(records) == 0:
            raise ValueError(f"data.validation: no record of {name} is left")
    return mixture, validation, chosen_records(recipe.samples, data.validation)
