"""A step of training: padded in random order, grouped by length, and packed; and whole runs next to TRL's SFTTrainer.

Every way learns from the same records in one optimizer step, cut into micro-batches by the package's own samplers and collators.
Seconds are of the processor (of all threads together), so that what else runs on the machine does not count.
"""

import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import Roofs
from PIL import Image
from report import Table, at_least, at_most
from side_by_side import Job, Step, ratio, side_by_side, synchronize
from torch import nn
from transformers import LlamaConfig, TrainingArguments, set_seed

from minigemini import MiniGeminiForConditionalGeneration, nano
from minigemini.checkpoints.load import load_processor
from minigemini.conversation import message
from minigemini.data.check import check, checked_source
from minigemini.data.collator import Collator, PackCollator
from minigemini.data.mixture import EpochSampler, Mixture
from minigemini.data.packing import Packs, PackSampler
from minigemini.data.records import Record
from minigemini.data.shard import Shard, columns_of
from minigemini.data.sources import DataRecipe, Source
from minigemini.data.tokens import Tokens, tokens_per_image
from minigemini.tabletop import training_data
from minigemini.training.modules import ModulePlan, apply_plans, settled
from minigemini.training.packed_attention import choose_attention
from minigemini.training.trainer import MiniGeminiTrainer

NANO, WIDE = "nano", "nano's towers, language model 512 wide"
BLANK = "blank.png"  # the picture that records have which say nothing
TABLETOP, LONG = "tabletop", "lengths of LLaVA-665K"
TRAINED = ("patch_info_mining", "multi_modal_projector", "language_model", "lm_head")
GROUPED, RANDOM, PACKED, TRL = "grouped by length", "random order", "packed", "TRL's SFTTrainer, random order"
WIDE_LLAMA: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 512,
    "intermediate_size": 1376,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
}
# model, data -> records, samples of a padded micro-batch (fifty of them, and about as many packs: few cannot be filled well),
# tokens of a pack: half of the padded ones' longest, or less
SIZES = {(NANO, TABLETOP): (1600, 32, 2048), (WIDE, TABLETOP): (800, 16, 1024), (WIDE, LONG): (200, 4, 4096)}


def new_model(kind: str) -> Any:
    model: Any = MiniGeminiForConditionalGeneration.from_pretrained(nano.path("nano"), dtype=torch.float32)
    if kind == WIDE:
        config = model.config
        config.text_config = LlamaConfig(**WIDE_LLAMA)
        model = MiniGeminiForConditionalGeneration(config)
    return model.train()


def records(data: str, number: int, processor: Any, folder: Path) -> Mixture:
    """Real ones of the tabletop; or one picture and words without sense, as long as in LLaVA-665K (a guess at its mixture)."""
    if data == TABLETOP:
        training_data.write(folder, 4 * number // 3)  # a quarter is for the first stage
        recipe = DataRecipe([Source(str(folder / "finetune.json"))], max_length=2048)
        (source,) = check(recipe, processor, show_progress=False).sources
        return Mixture([source])
    generator = np.random.default_rng(0)
    picture = tokens_per_image(processor)
    Image.new("RGB", (96, 96)).save(folder / BLANK)
    asked, tokens = [], []
    for n in range(number):
        mean, deviation, images = ((1288, 600, 0), (775, 150, 1), (695, 90, 1))[
            generator.choice(3, p=(0.06, 0.36, 0.58))
        ]
        length = int(
            np.clip(generator.gamma((mean / deviation) ** 2, deviation**2 / mean), max(64, images * picture + 32), 2048)
        )
        ids = generator.integers(20, 200, length - images * (picture - 1)).astype(np.int32)
        ids[1 : 1 + images] = processor.image_token_id
        trained = np.arange(len(ids)) >= len(ids) - length // 6
        asked.append(Record(str(n), (message("user", "", [str(folder / BLANK)] * images), message("assistant", ""))))
        tokens.append(Tokens(ids, trained))
    shard = Shard(columns_of(list(enumerate(asked)), tokens, picture))
    return Mixture([checked_source(1.0, [shard], max_length=2048)[0]])


def micro_batches(way: str, mixture: Mixture, size: int, pack: int) -> list[list[int]]:
    if way == PACKED:
        return [list(each) for each in PackSampler(Packs(mixture, pack), 1, 1, seed=0) if each != (-1,)]
    order = list(EpochSampler(mixture, "random" if way == RANDOM else "group_by_length", size, seed=0))
    return [order[start : start + size] for start in range(0, len(order), size)]


def build(kind: str, data: str, way: str, number: int, size: int, pack: int, device: str) -> Step:
    clock = partial(seconds, device)
    processor = load_processor("nano")
    folder = tempfile.TemporaryDirectory()
    mixture = records(data, number, processor, Path(folder.name))
    set_seed(0)
    model = new_model(kind).to(device)
    apply_plans(model, settled({name: ModulePlan(train="full") for name in TRAINED}, model, arguments(folder.name, 1)))
    if way == PACKED:
        choose_attention(model.model.language_model, device, half=False)
    for tower in (model.model.vision_tower, model.model.high_res_vision_tower):
        tower.eval()
    spent = dict.fromkeys(("image encoder", "language model"), 0.0)
    count(spent, "image encoder", model.model.vision_tower, model.model.multi_modal_projector, clock)
    count(spent, "language model", model.model.language_model, model.model.language_model, clock)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    collator, packs = Collator(processor), PackCollator(processor)
    batches = micro_batches(way, mixture, size, pack)

    def step() -> dict[str, float]:
        spent.update(dict.fromkeys(spent, 0.0))
        parts = dict.fromkeys(("data", "forward", "backward"), 0.0)
        computed, largest = 0, 0
        began = clock()
        for indices in batches:
            start = clock()
            examples = [mixture[index] for index in indices]
            batch = packs([examples]) if way == PACKED else collator(examples)
            inputs = {key: value.to(device) for key, value in batch.items() if key not in ("names", "sources")}
            read = clock()
            loss = model(**inputs, use_cache=False, num_items_in_batch=torch.tensor(1000.0)).loss
            told = clock()
            loss.backward()
            learnt = clock()
            for part, took in zip(parts, (read - start, told - read, learnt - told), strict=True):
                parts[part] += took
            computed += inputs["input_ids"].numel()
            largest = max(largest, inputs["input_ids"].numel())
        start = clock()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        ended = clock()
        head = parts.pop("forward") - sum(spent.values())
        real = int(mixture.lengths.sum())
        sizes = {"real": real, "computed": computed, "largest": largest, "micro-batches": len(batches)}
        sizes["images"] = int(mixture.images.sum())
        return {**parts, **spent, "head and loss": head, "optimizer": ended - start, "work": ended - began, **sizes}

    step.folder = folder  # type: ignore[attr-defined]  # lives as long
    return step


def seconds(device: str) -> float:
    if device == "cuda":
        synchronize(device)
        return time.perf_counter()
    return time.process_time()


def count(spent: dict[str, float], part: str, first: nn.Module, last: nn.Module, clock: Callable[[], float]) -> None:
    """Add to ``spent`` what passes between the beginning of one module and the end of another."""
    began = [0.0]
    first.register_forward_pre_hook(lambda *_: began.__setitem__(0, clock()))

    def end(*_: Any) -> None:
        spent[part] += clock() - began[0]

    last.register_forward_hook(end)


def arguments(folder: str, size: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=size,
        num_train_epochs=1,
        report_to="none",
        use_cpu=True,
        save_strategy="no",
        logging_steps=1000,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def build_run(kind: str, way: str, number: int, size: int, pack: int) -> Step:
    """A whole epoch by a Trainer, ours or TRL's, a step for each micro-batch."""
    processor = load_processor("nano")
    folder = tempfile.TemporaryDirectory()
    mixture = records(TABLETOP, number, processor, Path(folder.name))
    model = new_model(kind)
    plans = settled({name: ModulePlan(train="full") for name in TRAINED}, model, arguments(folder.name, size))
    frozen = apply_plans(model, plans)
    if way == PACKED:
        choose_attention(model.model.language_model, "cpu", half=False)

    def trainer() -> Any:
        if way == TRL:
            return trl_trainer(model, processor, mixture, folder.name, size)
        settings = arguments(folder.name, 1 if way == PACKED else size)
        settings.train_sampling_strategy = "random" if way == PACKED else "group_by_length"
        return MiniGeminiTrainer(
            stage="speed",
            sources=["tabletop"],
            frozen=frozen,
            plans=plans,
            model=model,
            args=settings,
            train_dataset=Packs(mixture, pack) if way == PACKED else mixture,
            data_collator=PackCollator(processor) if way == PACKED else Collator(processor),
            processing_class=processor,
        )

    def step() -> dict[str, float]:
        made = trainer()
        began = time.process_time()
        made.train()
        return {
            "work": time.process_time() - began,
            "real": int(mixture.lengths.sum()),
            "steps": made.state.global_step,
        }

    step.folder = folder  # type: ignore[attr-defined]
    return step


def trl_trainer(model: Any, processor: Any, mixture: Mixture, folder: str, size: int) -> Any:
    """TRL packs and joins no data with pictures ("not supported for vision datasets"), so this is its plain path."""
    import datasets
    from trl import SFTConfig, SFTTrainer

    rows = []
    for raw in json.loads((Path(folder) / "finetune.json").read_text())[: len(mixture)]:
        messages = []
        for turn in raw["conversations"]:
            text, *after = turn["value"].split("<image>")
            parts = [{"type": "text", "text": text}] if text else []
            for piece in after:
                parts.append({"type": "image", "text": None})
                parts += [{"type": "text", "text": piece.removeprefix("\n")}] if piece.removeprefix("\n") else []
            messages.append({"role": {"human": "user", "gpt": "assistant"}[turn["from"]], "content": parts})
        paths = raw.get("image", [])
        paths = [paths] if isinstance(paths, str) else paths
        rows.append({"messages": messages, "images": [str(Path(folder) / path) for path in paths]})
    data = datasets.Dataset.from_list(rows).cast_column("images", [datasets.Image()])
    settings = SFTConfig(
        **{
            **{key: value for key, value in arguments(folder, size).to_dict().items() if key in OURS_AND_THEIRS},
            "bf16": False,
            "gradient_checkpointing": False,
            "max_length": None,
            "assistant_only_loss": True,
        }
    )
    return SFTTrainer(model=model, args=settings, train_dataset=data, processing_class=processor)


OURS_AND_THEIRS = (
    "output_dir",
    "per_device_train_batch_size",
    "num_train_epochs",
    "report_to",
    "use_cpu",
    "save_strategy",
    "logging_steps",
    "disable_tqdm",
    "dataloader_pin_memory",
)


def run(device: str, toy: bool, roofs: Roofs) -> list[Table]:
    return [ways_to_batch(device, toy), next_to_trl(toy)]


def ways_to_batch(device: str, toy: bool) -> Table:
    rows: list[dict[str, Any]] = []
    for (kind, data), (number, size, pack) in SIZES.items():
        if toy:
            number, size = 8, 2
            if kind == WIDE:
                continue
        jobs = [Job(way, build, (kind, data, way, number, size, pack, device)) for way in (GROUPED, RANDOM, PACKED)]
        measured = side_by_side(f"train step, {kind}, {data}", jobs, device, budget=0 if toy else 30)
        base = measured[GROUPED]
        for way, found in measured.items():
            work, real, largest = found.median("work"), found.median("real"), found.median("largest")
            assert work is not None
            assert real is not None
            faster, share = ratio(base.median("work"), work), ratio(largest, base.median("largest"))
            packed = way == PACKED
            rows.append(
                {
                    "model": kind,
                    "records": f"{number}, {data}",
                    "way": f"{way}, {f'{pack} tokens' if packed else size} a micro-batch",
                    "samples / s": number / work,
                    "real tokens / s": real / work,
                    "images / s": (found.median("images") or 0) / work,
                    "of grouped's": faster,
                    "target": at_least(0.97, faster) if packed else "",
                    "padding": 1 - (real / (found.median("computed") or 1)),
                    "largest micro-batch": largest,
                    "of grouped's ": share,
                    "target ": at_most(0.5, share) if packed else "",
                    **{f"{part} s": found.median(part) for part in PARTS},
                    "peak GB": found.peak_gb,
                    "runs": found.runs,
                }
            )
    if device == "cpu":
        rows.append(dict.fromkeys(rows[0], "") | {"model": "7B shapes, one GPU", "way": "unmeasured: no GPU here"})
    return Table(
        "One optimizer step, float32, mining, projector, language model and head trained (processor seconds)", rows
    )


PARTS = ("data", "image encoder", "language model", "head and loss", "backward", "optimizer")


def next_to_trl(toy: bool) -> Table:
    rows: list[dict[str, Any]] = []
    try:
        import trl
    except ImportError:
        return Table("Next to TRL", [{"way": TRL, "real tokens / s": "unmeasured: trl and datasets are not installed"}])
    for kind in (NANO, WIDE):
        number, size, pack = SIZES[kind, TABLETOP]
        if toy:
            number, size = 8, 2
            if kind == WIDE:
                continue
        jobs = [Job(way, build_run, (kind, way, number, size, pack)) for way in (TRL, GROUPED, PACKED)]
        measured = side_by_side(f"next to TRL, {kind}", jobs, "cpu", budget=0 if toy else 30)
        for way, found in measured.items():
            work = found.median("work")
            faster = ratio(measured[TRL].median("work"), work)
            rows.append(
                {
                    "model": kind,
                    "way": f"{way}, {f'{pack} tokens' if way == PACKED else size} a step",
                    "real tokens / s": ratio(found.median("real"), work),
                    "times TRL's": faster,
                    "target": "" if way == TRL else at_least(1.2, faster),
                    "steps": found.median("steps"),
                    "peak GB": found.peak_gb,
                    "runs": found.runs,
                }
            )
    return Table(
        f"An epoch of tabletop records by a whole Trainer, next to TRL {trl.__version__} (processor seconds)", rows
    )
