"""Everything about a training run that can be known before it: ``minigemini train RECIPE --dry-run``.

Nothing is written but a temporary folder beside the output, which is removed.
"""

import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from accelerate.utils import is_deepspeed_available
from rich.console import Console
from rich.text import Text
from transformers import TrainingArguments, set_seed
from transformers.utils import logging

from minigemini import nano
from minigemini.checkpoints import adapter, load
from minigemini.checkpoints.assemble import assemble_config
from minigemini.checkpoints.resolution import configuration_at
from minigemini.data.check import PRINTED_PROBLEMS, CheckedData, CheckedSource, check
from minigemini.data.mixture import EpochSampler, Mixture, Order
from minigemini.data.packing import Packs, PackSampler
from minigemini.data.tokens import tokens_per_image
from minigemini.model.configuration_minigemini import MiniGeminiConfig
from minigemini.model.modeling_minigemini import MiniGeminiForConditionalGeneration
from minigemini.model.processing_minigemini import MiniGeminiProcessor
from minigemini.training.beginning import check_output, refuse_to_overwrite
from minigemini.training.checkpoints_on_disk import STATE
from minigemini.training.data_fits_model import check_data_fits
from minigemini.training.ema import check_ema
from minigemini.training.largest_micro_batch import assumed_micro_batch, largest_micro_batch
from minigemini.training.lora import add_low_rank_layers, check_base
from minigemini.training.memory_plan import (
    GIB,
    ModelSizes,
    gradient_bytes,
    model_sizes,
    moment_bytes,
    plan_rows,
    plan_table,
    verdict,
)
from minigemini.training.meta_step import step_bytes
from minigemini.training.module_table import module_rows, print_whole, table
from minigemini.training.modules import (
    Plans,
    apply_plans,
    check_engine,
    compute_blocks_twice,
    engine_of,
    hold_in_eval_mode,
    settled,
)
from minigemini.training.recipe import Recipe, load_recipe
from minigemini.training.run import arguments_of, check_mining, load_model, load_processor, make_trainer
from minigemini.training.services import check_services

EXAMPLE_TOKENS = 400  # of the example that is shown
BETWEEN_ALLOCATIONS = 0.3  # of the activations, on a CPU: what glibc cannot give back, measured on the nano
# What is of many processes, of another machine, or of a run that lasts: left out of the one step.
LEFT_OUT = {
    "deepspeed": None,
    "fsdp": None,
    "tf32": None,
    "report_to": "none",
    "push_to_hub": False,
    "save_strategy": "no",
    "eval_strategy": "no",
    "resume_from_checkpoint": None,
    "disable_tqdm": True,
    "dataloader_num_workers": 0,
    "dataloader_persistent_workers": False,
    "dataloader_prefetch_factor": None,
}
SERVICES = ("report_to", "push_to_hub")  # asked whether they are there, and nothing else


def dry_run(recipe_name: str | Path, overrides: Sequence[str], gpus: int, gpu_memory: float) -> None:
    """Print what training by the recipe would be, and do one step of it.

    Args:
        gpus: for how many the memory is planned.
        gpu_memory: of each, GiB.

    Raises:
        ValueError, FileNotFoundError: the recipe, the data or the model is not usable. What is known without the data is printed before.
    """
    logging.disable_progress_bar()
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    recipe = load_recipe(recipe_name, overrides)
    arguments = arguments_here(recipe, {})
    if arguments.device.type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # or DeepSpeed warns
    engine = engine_of(arguments_of(recipe.trainer))
    check_engine(recipe.modules, arguments, engine)
    check_ema(recipe.ema, recipe.modules, engine)
    check_output_and_services(recipe)
    set_seed(arguments.seed)
    processor = load_processor(recipe)
    check_base(recipe.init_from, recipe.modules, engine)
    check_mining(recipe, processor)
    data, unusable = checked(recipe, processor)
    mixture = Mixture(data.sources)
    if len(mixture):
        records, batch = largest_micro_batch(mixture, sampler_of(recipe, mixture, arguments), arguments)
    else:
        batch = assumed_micro_batch(arguments.train_batch_size, recipe.data)

    model, plans = planned_model(recipe, arguments)
    print_whole(console, table(module_rows(model, plans)))
    if len(mixture) and (warning := check_data_fits(model, mixture, recipe.data.max_length)):
        console.print(f"warning: {warning}")
    sizes = model_sizes(model, in_4_bit=any(plan.train == "qlora" for plan in plans.values()))
    activations = step_bytes(model.to(torch.bfloat16 if arguments.bf16 else torch.float32), batch)
    rows = plan_rows(sizes, activations, gpus, arguments.bf16, str(arguments.optim), averaged=recipe.ema is not None)
    seen = "the largest micro-batch" if len(mixture) else "no data: as if every micro-batch were"
    console.print(f"{seen}: {batch.samples} samples of {batch.length:,} tokens, {batch.images} images")
    print_whole(console, plan_table(rows, gpus, gpu_memory))
    console.print(verdict(rows, gpus, gpu_memory), markup=False)
    if unusable is not None:
        raise unusable

    console.print(f"\n{data.summary()}\n")
    console.print(example(mixture, records[0], processor))
    try_step(
        console,
        recipe,
        plans,
        Mixture(only(data.sources, records)),
        processor,
        own_memory(sizes, activations, arguments, averaged=recipe.ema is not None),
    )


def arguments_here(recipe: Recipe, changes: dict[str, Any]) -> TrainingArguments:
    """The recipe's, as one process of this machine can have them."""
    own = {key: value for key, value in arguments_of(recipe.trainer).items() if key not in LEFT_OUT}
    if not torch.cuda.is_available():
        own["use_cpu"] = True
    arguments = TrainingArguments(**{**own, **LEFT_OUT, **changes})
    assert arguments.device, "counts the GPUs"
    arguments._n_gpu = min(arguments._n_gpu, 1)  # or Trainer would use all that there are, by threads
    return arguments


def check_output_and_services(recipe: Recipe) -> None:
    """
    Raises:
        ValueError: the run could not write to its output folder, would overwrite what is there, or could not reach what it reports to.
    """
    output = Path(recipe.trainer["output_dir"])
    check_output(output)
    if not recipe.trainer.get("resume_from_checkpoint"):
        refuse_to_overwrite(output, finished=(output / STATE).is_file())
    check_services(arguments_here(recipe, {key: recipe.trainer[key] for key in SERVICES if key in recipe.trainer}))


def checked(recipe: Recipe, processor: MiniGeminiProcessor) -> tuple[CheckedData, Exception | None]:
    """What the check pass finds, and what stands against training on it."""
    try:
        data = check(recipe.data, processor)
    except FileNotFoundError as error:
        return CheckedData([CheckedSource(1.0)], []), error
    if data.problems and recipe.data.on_bad_record == "error":
        first = "\n".join(f"  {problem}" for problem in data.problems[:PRINTED_PROBLEMS])
        return data, ValueError(f"{len(data.problems)} bad records (`minigemini data check` lists all):\n{first}")
    if not any(len(source) for source in data.sources):
        return data, ValueError("no record is left to train on")
    return data, None


def sampler_of(recipe: Recipe, mixture: Mixture, arguments: TrainingArguments) -> EpochSampler | PackSampler:
    """As the run would have it in one process."""
    seed = arguments.seed if arguments.data_seed is None else arguments.data_seed
    if recipe.data.packing is not None:
        return PackSampler(Packs(mixture, recipe.data.packing), 1, arguments.gradient_accumulation_steps, seed)
    order: Order = arguments.train_sampling_strategy  # type: ignore[assignment]  # load_recipe has checked it
    return EpochSampler(mixture, order, arguments.train_batch_size * arguments.gradient_accumulation_steps, seed)


def planned_model(recipe: Recipe, arguments: TrainingArguments) -> tuple[Any, Plans]:
    """The model of the recipe on the meta device, ready to be trained there, and the plan of each module."""
    if isinstance(recipe.init_from, str):
        folder = nano.resolve(recipe.init_from)
        config = MiniGeminiConfig.from_pretrained(folder)
        if recipe.resolution is not None:
            config = configuration_at(folder, recipe.resolution)
    else:
        assert recipe.model is not None, "Recipe checks that parts come with it"
        config = assemble_config(recipe.init_from, recipe.model)
    config.dtype = torch.float32
    with torch.device("meta"):
        model: Any = MiniGeminiForConditionalGeneration(config)
    model.to(torch.float32)
    model.tie_weights()
    plans = settled(recipe.modules, model, arguments)
    with torch.device("meta"):
        add_low_rank_layers(model, plans, recipe.init_from)
    frozen = apply_plans(model, plans)
    if arguments.gradient_checkpointing:
        compute_blocks_twice(model, arguments.gradient_checkpointing_kwargs)
    model.train()
    hold_in_eval_mode(frozen)
    return model, plans


def own_memory(sizes: ModelSizes, activations: int, arguments: TrainingArguments, averaged: bool) -> dict[str, int]:
    """Bytes of a step in this process, by what they are for; the first is what the process has already."""
    if is_deepspeed_available():
        import deepspeed  # noqa: F401  # accelerate will, whether or not it is used
    return {
        "imports and data": psutil.Process().memory_info().rss,
        "weights": sizes.weight_bytes,
        "gradients": gradient_bytes(sizes),
        "optimizer": moment_bytes(str(arguments.optim)) * sizes.trained + 4 * sizes.trained_in_bf16,
        "average": 4 * sizes.trained if averaged else 0,
        "activations": activations,
        "between allocations": int(BETWEEN_ALLOCATIONS * activations) if arguments.device.type == "cpu" else 0,
    }


def example(mixture: Mixture, index: int, processor: MiniGeminiProcessor) -> Text:
    """A record as the model reads it, what it learns between brackets and in colour."""
    tokens = mixture.tokens(index)
    text = Text(f"{mixture.record(index).name}, {mixture.lengths[index]:,} tokens; what is learnt is in ⟦ ⟧:\n")
    ids, trained = tokens.ids[:EXAMPLE_TOKENS], tokens.trained[:EXAMPLE_TOKENS]
    borders = [0, *(np.flatnonzero(np.diff(trained)) + 1).tolist(), len(ids)]
    image = processor.image_token
    for start, end in zip(borders, borders[1:], strict=False):
        words = processor.tokenizer.decode(ids[start:end])
        words = words.replace(image, f"{image} x {tokens_per_image(processor)} ")
        text.append(*((f"⟦{words}⟧", "bold green") if trained[start] else (words, "dim")))
    if len(ids) < len(tokens.ids):
        text.append(f" ... {len(tokens.ids) - len(ids):,} more")
    return text.append("\n")


def only(sources: list[CheckedSource], records: list[int]) -> list[CheckedSource]:
    """The named records of a mixture of these sources, each once an epoch."""
    chosen, start = [], 0
    for source in sources:
        here = [record - start for record in sorted(set(records)) if start <= record < start + len(source)]
        chosen.append(replace(source.only(here), weight=1.0))
        start += len(source)
    return chosen


def try_step(
    console: Console,
    recipe: Recipe,
    plans: Plans,
    mixture: Mixture,
    processor: MiniGeminiProcessor,
    planned: dict[str, int],
) -> None:
    """One step on the largest micro-batch by the real Trainer, saved and loaded again; or the reason why not.

    Raises:
        ValueError: what was saved is not what comes back.
    """
    device = "GPU" if torch.cuda.is_available() else "CPU"
    if device == "GPU":
        planned = {name: size for name, size in planned.items() if name != "imports and data"}
    console.print(
        f"one step on this machine's {device}, planned: {sum(planned.values()) / GIB:.2f} GiB = "
        + " + ".join(f"{size / GIB:.2f} {name}" for name, size in planned.items())
    )
    free = torch.cuda.mem_get_info()[0] if device == "GPU" else psutil.virtual_memory().available
    needed = sum(size for name, size in planned.items() if name != "imports and data")
    if needed > free:
        console.print(f"not tried: it needs {needed / GIB:.1f} GiB, and {free / GIB:.1f} GiB are free")
        return
    folder = Path(tempfile.mkdtemp(prefix=".dry-run-", dir=existing_parent(Path(recipe.trainer["output_dir"]))))
    try:
        changes = {
            "output_dir": str(folder),
            "max_steps": 1,
            "gradient_accumulation_steps": 1,
            "train_sampling_strategy": "sequential",
            "logging_steps": 1,
        }
        arguments = arguments_here(recipe, changes)
        model = load_model(recipe, arguments)
        add_low_rank_layers(model, plans, recipe.init_from)
        trainer = make_trainer(recipe, arguments, processor, model, plans, apply_plans(model, plans), mixture, {})
        done = trainer.train()
        measured = torch.cuda.max_memory_allocated() if device == "GPU" else peak_rss()
        console.print(
            f"measured: {measured / GIB:.2f} GiB at its peak, loss {done.training_loss:.4f}, "
            f"{done.metrics['train_runtime']:.1f} s"
        )
        trainer.save_model()
        check_saved(model, folder)
        written = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        console.print(f"saved and loaded again, equal: {written / GIB:.2f} GiB on the disk, removed")
    finally:
        shutil.rmtree(folder)


def check_saved(model: Any, folder: Path) -> None:
    """
    Raises:
        ValueError: something that was trained differs from the model's when it is loaded from the folder.
    """
    saved = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}
    if adapter.is_adapter(str(folder)):  # loaded by its name it would be merged: read it back over zeros
        with torch.no_grad():
            for name in saved:
                model.get_parameter(name).zero_()
        adapter.load_weights(model, folder / adapter.WEIGHTS)
        loaded = dict(model.named_parameters())
    else:
        loaded = dict(load.load_model(str(folder), dtype=torch.float32, device="cpu").named_parameters())
    different = [name for name, weight in saved.items() if not torch.equal(weight.cpu().float(), loaded[name].cpu())]
    if different:
        raise ValueError(f"{len(different)} tensors come back from the disk changed, {different[0]} among them")


def existing_parent(output: Path) -> Path:
    """The nearest folder above the output that is there."""
    return next(parent for parent in output.absolute().parents if parent.is_dir())


def peak_rss() -> int:
    """Bytes; the most that this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts into ru_maxrss what the process that started this one held then
        return next(
            int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM:")
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
