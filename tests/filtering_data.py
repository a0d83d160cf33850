"""Small data for the tests of filters."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image


def noise(file: Path, seed: int, size: tuple[int, int] = (64, 48)) -> None:
    """A picture like no other: coloured blocks."""
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size).save(file)


def captioned(folder: Path, number: int, caption: str, size: tuple[int, int] = (64, 48)) -> dict[str, Any]:
    """A record, and its picture ``NUMBER.png``."""
    noise(folder / f"{number}.png", number, size)
    turns = [{"from": "human", "value": "<image>\ndescribe"}, {"from": "gpt", "value": caption}]
    return {"id": number, "image": f"{number}.png", "conversations": turns}


def rules_file(folder: Path, rules: list[Any]) -> Path:
    file = folder / "rules.yaml"
    file.write_text(yaml.safe_dump({"filters": rules}))
    return file


def lines(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()]
