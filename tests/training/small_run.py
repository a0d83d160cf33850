"""Recipes on tiny parts and a small data set, to be trained by the real command in well under a second of computing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import tiny
from PIL import Image

WORDS = ["red", "blue", "green", "circle", "square", "what", "is", "it", "a", "picture", "of"]


def write_data(folder: Path, records: int, seed: int = 0) -> Path:
    """Records of all kinds, in turn: one image, two images, text alone; every third with a second question."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    content = []
    for index in range(records):
        paths = []
        for number in range((1, 1, 2, 0)[index % 4]):
            height, width = rng.integers(20, 80, 2)
            paths.append(f"{index}-{number}.png")
            Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / paths[-1])
        turns = [
            {"from": "human", "value": "<image>\n" * len(paths) + some_words(rng)},
            {"from": "gpt", "value": some_words(rng)},
        ]
        if index % 3 == 0:
            turns += [{"from": "human", "value": some_words(rng)}, {"from": "gpt", "value": some_words(rng)}]
        content.append({"id": index, "conversations": turns} | ({"image": paths} if paths else {}))
    (folder / "data.json").write_text(json.dumps(content))
    return folder / "data.json"


def some_words(rng: np.random.Generator) -> str:
    return " ".join(rng.choice(WORDS, rng.integers(2, 7)))


def align_recipe(parts: dict[str, str], data: Path, output: Path) -> dict[str, Any]:
    """The first stage: batches of 4, one epoch."""
    return {
        "stage": "align",
        "init_from": parts,
        "model": {"high_res_image_size": tiny.HIGH_RES_SIZE},
        "modules": {"patch_info_mining": {"train": "full"}, "multi_modal_projector": {"train": "full"}},
        "data": {"sources": [{"path": str(data)}], "max_length": 200},
        "trainer": {
            "output_dir": str(output),
            "num_train_epochs": 1,
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-2,
            "logging_steps": 1,
            "save_strategy": "no",
            "use_cpu": True,
            "dataloader_pin_memory": False,
        },
    }


def finetune_recipe(checkpoint: Path, data: Path, output: Path) -> dict[str, Any]:
    """The second stage, from the checkpoint of the first."""
    recipe = align_recipe({}, data, output)
    del recipe["model"]
    recipe |= {"stage": "finetune", "init_from": str(checkpoint)}
    recipe["modules"] |= {
        "multi_modal_projector": {"train": "full", "learning_rate": 2e-2},
        "language_model": {"train": "full"},
        "lm_head": {"train": "full"},
    }
    return recipe


def losses(folder: Path) -> list[float]:
    state = json.loads((folder / "trainer_state.json").read_text())
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]
