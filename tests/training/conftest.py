"""A recipe on tiny parts and a small data set, to be trained by the real command in well under a second of computing."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import yaml
from PIL import Image

WORDS = ["red", "blue", "green", "circle", "square", "what", "is", "it", "a", "picture", "of"]


def write_data(folder: Path, records: int, images: bool | str = True, seed: int = 0) -> Path:
    """Records of all kinds: one image, two images, text alone, several turns. ``images=False``: text alone only."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    content = []
    for index in range(records):
        count = 0 if not images or index % 4 == 3 else 2 if index % 4 == 2 else 1
        paths = []
        for number in range(count):
            size = tuple(rng.integers(20, 80, 2))
            name = f"{index}-{number}.png"
            Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
            paths.append(name)
        turns = [{"from": "human", "value": "<image>\n" * count + said(rng)}, {"from": "gpt", "value": said(rng)}]
        if index % 3 == 0:
            turns += [{"from": "human", "value": said(rng)}, {"from": "gpt", "value": said(rng)}]
        content.append({"id": index, "conversations": turns} | ({"image": paths} if paths else {}))
    (folder / "data.json").write_text(json.dumps(content))
    return folder / "data.json"


def said(rng: np.random.Generator) -> str:
    return " ".join(rng.choice(WORDS, rng.integers(2, 7)))


@pytest.fixture
def align(tmp_path, tiny_parts) -> Path:
    """A recipe file for the first stage, 16 records, 4 steps an epoch."""
    recipe = {
        "stage": "align",
        "init_from": tiny_parts,
        "model": {"high_res_image_size": tiny.HIGH_RES_SIZE},
        "trainable": ["patch_info_mining", "multi_modal_projector"],
        "data": {"sources": [{"path": str(write_data(tmp_path / "data", 16))}], "max_length": 200},
        "trainer": {
            "output_dir": str(tmp_path / "align"),
            "num_train_epochs": 1,
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-2,
            "logging_steps": 1,
            "save_strategy": "no",
            "use_cpu": True,
            "dataloader_pin_memory": False,
        },
    }
    file = tmp_path / "align.yaml"
    file.write_text(yaml.safe_dump(recipe))
    return file


@pytest.fixture
def finetune(tmp_path, align) -> Path:
    """A recipe file for the second stage, from the checkpoint of the first."""
    recipe = yaml.safe_load(align.read_text())
    del recipe["model"]
    recipe |= {"stage": "finetune", "init_from": str(tmp_path / "align")}
    recipe["trainable"] += ["language_model", "lm_head"]
    recipe["learning_rates"] = {"multi_modal_projector": 2e-2}
    recipe["trainer"]["output_dir"] = str(tmp_path / "finetune")
    file = tmp_path / "finetune.yaml"
    file.write_text(yaml.safe_dump(recipe))
    return file
