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
from minigemini.data.collator import Collator, PackCollator
from minigemini.data.mixture import Mixture
from minigemini.data.packing import Packs
from minigemini.data.sources import source_names
from minigemini.model.modeling_minigemini import MiniGeminiForConditionalGeneration
from minigemini.model.processing_minigemini import MiniGeminiProcessor
from minigemini.training import provenance
from minigemini.training.lora import add_low_rank_layers
from minigemini.training.module_table import module_rows, table
from minigemini.training.modules import apply_plans, check_engine, settled
from minigemini.training.packed_attention import choose_attention
from minigemini.training.recipe import Recipe, load_recipe
from minigemini.training.trainer import MiniGeminiTrainer

console = Console(stderr=True)


def train(recipe_name: str | Path, overrides: Sequence[str] = (), resume: bool = False) -> Path:
    """Train one stage.

    Args:
        recipe_name: a YAML file, or a shipped recipe by name (``nano/align``).
        overrides: ``key.path=value`` strings that win over the recipe.
        resume: go on from the last ``checkpoint-*`` in the output folder; the run ends as if it had never stopped.

    Returns:
        The output folder: model and processor, ``recipe.yaml``, ``run.json`` and ``trainer_state.json`` (the losses).

    Raises:
        ValueError, FileNotFoundError: the recipe, the data or the model is not usable; nothing was trained.
    """
    logging.disable_progress_bar()  # one for each part and each process; ours counts steps
    recipe = load_recipe(recipe_name, overrides)
    output = Path(recipe.trainer["output_dir"])
    arguments = TrainingArguments(**arguments_of(recipe.trainer))
    check_processes(arguments)
    check_engine(recipe.modules, arguments)
    if arguments.device.type == "cpu":
        # accelerate imports DeepSpeed wherever it is installed, and DeepSpeed warns if it has to find out itself.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    if arguments.deepspeed:
        start_deepspeed()
    checkpoint = checkpoint_to_resume(output, arguments.resume_from_checkpoint, resume)
    set_seed(arguments.seed)

    processor = load_processor(recipe)
    mixture, validation = checked_mixtures(recipe, processor, arguments)
    model = load_model(recipe, arguments)
    plans = settled(recipe.modules, model, arguments)
    add_low_rank_layers(model, plans, recipe.init_from)
    frozen = apply_plans(model, plans)
    check_mining(recipe, processor)
    packing = recipe.data.packing
    if packing is not None:
        choose_attention(model.model.language_model, arguments.device.type)
    if arguments.should_save:
        console.print(table(module_rows(model, plans)))
        provenance.write(output, recipe, arguments.world_size)

    trainer = MiniGeminiTrainer(
        stage=recipe.stage,
        frozen=frozen,
        plans=plans,
        sources=source_names(recipe.data.sources),
        eval_collator=Collator(processor),
        model=model,
        args=arguments,
        train_dataset=mixture if packing is None else Packs(mixture, packing),
        eval_dataset=validation or None,
        data_collator=Collator(processor) if packing is None else PackCollator(processor),
        processing_class=processor,
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model()
    trainer.save_state()
    return output


def arguments_of(trainer: dict[str, Any]) -> dict[str, Any]:
    """The ``trainer:`` section as it is, but that DeepSpeed's settings may be ours (``train/deepspeed/zero3.json``), wherever they lie."""
    settings = trainer.get("deepspeed")
    if isinstance(settings, str):
        trainer = {**trainer, "deepspeed": shipped.resolve(settings)}
    # Their default hides a loss that is not a number behind the average of the last ones.
    return {"logging_nan_inf_filter": False, **trainer}


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


def checkpoint_to_resume(output: Path, named: str | None, resume: bool) -> str | bool | None:
    """What to give to ``Trainer.train``.

    Raises:
        ValueError: the folder holds checkpoints of an earlier run that this one would be mixed with.
    """
    if named is not None:
        return named
    if resume:
        return True
    if any(output.glob("checkpoint-*")):
        raise ValueError(
            f"{output} holds checkpoints of an earlier run: go on from them with --resume, "
            "remove them, or choose another trainer.output_dir"
        )
    return None


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
        if any(plan.train == "qlora" for plan in recipe.modules.values()):
            return load.load_model(recipe.init_from, dtype=torch.float32, bits=4, device=arguments.device)
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
    trained = {name for name, plan in recipe.modules.items() if plan.train != "frozen"}
    if "patch_info_mining" in trained and not processor.image_processor.do_high_res:
        raise ValueError(
            "modules: patch_info_mining is trained, but the processor makes no high-resolution pictures (do_high_res is false)"
        )


def checked_mixtures(
    recipe: Recipe, processor: MiniGeminiProcessor, arguments: TrainingArguments
) -> tuple[Mixture, dict[str, Mixture]]:
    """Run the check pass, each process a share of it: what is trained on, and the validation data by the names of its sources.

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
    held_out = source_names(recipe.data.validation)
    validation = {name: Mixture([source]) for name, source in zip(held_out, data.validation, strict=True)}
    for name, records in validation.items():
        if len(records) == 0:
            raise ValueError(f"data.validation: no record of {name} is left")
    return mixture, validation


def _gather(item: Any) -> list[Any]:
    """``item`` of every process, in order of rank."""
    if not torch.distributed.is_initialized():
        return [item]
    items: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(items, item)
    return items
