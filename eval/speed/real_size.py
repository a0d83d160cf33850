"""Training at published sizes on one GPU: random weights, a real photograph at 768 pixels, lengths of LLaVA-665K, by the whole Trainer."""

import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from encoder import config_of
from generation import VICUNA_7B
from machine import Roofs
from PIL import Image
from report import Table, at_least
from side_by_side import ratio, say
from skimage import data as photographs
from train_step import BLANK, GROUPED, LONG, PACKED, records
from transformers import GemmaConfig, LlamaConfig, TrainingArguments

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.checkpoints.load import load_processor
from minigemini.data.collator import Collator, PackCollator
from minigemini.data.packing import Packs
from minigemini.training.largest_micro_batch import largest_micro_batch
from minigemini.training.lora import add_low_rank_layers
from minigemini.training.memory_plan import GIB, model_sizes, plan_rows
from minigemini.training.meta_step import step_bytes
from minigemini.training.modules import ModulePlan, Plans, apply_plans, settled
from minigemini.training.packed_attention import choose_attention
from minigemini.training.trainer import MiniGeminiTrainer

GEMMA_2B: dict[str, Any] = {
    "vocab_size": 256000,
    "hidden_size": 2048,
    "intermediate_size": 16384,
    "num_hidden_layers": 18,
    "num_attention_heads": 8,
    "num_key_value_heads": 1,
    "head_dim": 256,
}
FULL, LORA = "2B (Gemma's shape), full", "7B (Vicuna's shape), LoRA r=64"
HALF = ModulePlan(train="frozen", dtype="bfloat16")
TRAINED = {
    FULL: ModulePlan(train="full"),
    LORA: ModulePlan(train="lora", rank=64, targets="attention+mlp", dtype="bfloat16"),
}
MICRO_BATCH = 8192  # tokens of a pack
PADDED = 8  # samples of a micro-batch that is none
STEPS, WARM_UP = 12, 4
RECORDS = 400


def new_model(kind: str, device: str) -> Any:
    config: Any = config_of(toy=False)
    config.text_config = GemmaConfig(**GEMMA_2B) if kind == FULL else LlamaConfig(**VICUNA_7B)
    config.image_token_id = load_processor("nano").image_token_id
    with torch.device(device):
        return MiniGeminiForConditionalGeneration(config).train()


def real_processor() -> Any:
    """The nano's words, and pictures of the released sizes."""
    processor: Any = load_processor("nano")
    pictures = processor.image_processor
    pictures.size, pictures.high_res_size, processor.patch_size = {"height": 336, "width": 336}, 768, 14
    return processor


def plans_of(kind: str, model: Any, checkpointing: bool, arguments: TrainingArguments) -> Plans:
    plans = {
        "vision_tower": HALF,
        "high_res_vision_tower": HALF,
        "patch_info_mining": ModulePlan(train="full"),
        "multi_modal_projector": ModulePlan(train="full"),
        "language_model": replace(TRAINED[kind], gradient_checkpointing=checkpointing),
    }
    if kind == LORA:
        plans["lm_head"] = HALF
    return settled(plans, model, arguments)


def arguments_of(way: str, folder: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=1 if way == PACKED else PADDED,
        train_sampling_strategy="random" if way == PACKED else "group_by_length",
        max_steps=STEPS,
        learning_rate=1e-5,
        bf16=True,
        tf32=True,
        dataloader_num_workers=12,
        save_strategy="no",
        report_to="none",
        logging_steps=1,
        disable_tqdm=True,
    )


def measured(kind: str, way: str, checkpointing: bool) -> dict[str, float]:
    """What the Trainer logs when it has warmed up (medians), and memory as it was and as it was planned."""
    folder = tempfile.TemporaryDirectory()
    processor = real_processor()
    mixture = records(LONG, RECORDS, processor, Path(folder.name))
    # every record shows this one
    Image.fromarray(photographs.coffee()).resize((1024, 768)).save(Path(folder.name) / BLANK)
    arguments = arguments_of(way, folder.name)

    def prepared(device: str) -> tuple[Any, Plans, list[Any]]:
        model = new_model(kind, device)
        plans = plans_of(kind, model, checkpointing, arguments)
        add_low_rank_layers(model, plans, "random weights")
        return model, plans, apply_plans(model, plans)

    model, plans, frozen = prepared("cuda")
    if way == PACKED:
        choose_attention(model.model.language_model, "cuda", half=True)
    trainer = MiniGeminiTrainer(
        stage="speed",
        sources=["speed"],
        frozen=frozen,
        plans=plans,
        model=model,
        args=arguments,
        train_dataset=Packs(mixture, MICRO_BATCH) if way == PACKED else mixture,
        data_collator=PackCollator(processor) if way == PACKED else Collator(processor),
        processing_class=processor,
    )
    trainer.train()
    held = torch.cuda.max_memory_allocated() / GIB
    lines = [line for line in trainer.state.log_history if "tokens_per_second" in line][WARM_UP:]

    sampler: Any = trainer._get_train_sampler()
    _, largest = largest_micro_batch(mixture, sampler, arguments)
    twin, _, _ = prepared("meta")
    sizes = model_sizes(twin)
    plan = plan_rows(
        sizes, step_bytes(twin.to(torch.bfloat16), largest), 1, True, str(arguments.optim), averaged=False
    )[0]
    told = ("tokens_per_second", "images_per_second", "model_flops_utilisation", "padding", "data_wait")
    return {name: median(line[name] for line in lines) for name in told} | {"held": held, "plan": plan.total / GIB}


CASES = (  # what, way, are the language model's blocks computed twice
    (FULL, PACKED, False),
    (LORA, PACKED, True),
    (FULL, PACKED, True),
    (FULL, GROUPED, True),
    (LORA, GROUPED, True),
)


def run(device: str, toy: bool, roofs: Roofs) -> list[Table]:
    title = f"One GPU, bfloat16, one micro-batch a step ({MICRO_BATCH} tokens packed, {PADDED} samples grouped)"
    if device == "cpu" or toy:
        return [Table(title, [{"model": f"{FULL}; {LORA}", "way": "unmeasured: no GPU here"}])]
    rows: list[dict[str, Any]] = []
    for kind, way, checkpointing in CASES:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:  # of its own, so that its memory is its own
            try:
                found = process.submit(measured, kind, way, checkpointing).result()
            except torch.OutOfMemoryError as error:
                say(f"{kind}, {way}, {checkpointing}: {error}")
                found = {}
        say(f"{kind}, {way}, {checkpointing}: {found}")
        used, held, plan = (found.get(name) for name in ("model_flops_utilisation", "held", "plan"))
        rows.append(
            {
                "model": kind,
                "way": f"{way}{', blocks computed twice' if checkpointing else ''}",
                "real tokens / s": found.get("tokens_per_second"),
                "images / s": found.get("images_per_second"),
                "MFU": used,
                "target": at_least(0.45, used) if way == PACKED else "",
                "padding": found.get("padding"),
                "waiting for data": found.get("data_wait"),
                "peak GiB": held or "out of memory",
                "planned GiB": plan,
                "plan / peak": ratio(plan, held),
            }
        )
    return [Table(title, rows)]
