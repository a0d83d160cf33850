"""Put trained weights into the package, in half precision.

python train/nano_base/ship.py base build/nano_base
python train/nano_base/ship.py nano runs/ship/nano/finetune
python train/nano_base/ship.py nano-low-res runs/ship/low-res/finetune
"""

import json
import re
import shutil
import sys
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from transformers import AutoTokenizer, CLIPVisionModel, LlamaForCausalLM

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.nano import NAMES, WEIGHTS

CARDS = Path(__file__).parent / "model_cards"


def ship_base(build: Path, target: Path) -> None:
    words = target / "language_model"
    LlamaForCausalLM.from_pretrained(build / "language_model", dtype=torch.float16).save_pretrained(words)
    AutoTokenizer.from_pretrained(build / "language_model").save_pretrained(words)
    low = target / "vision_tower"
    CLIPVisionModel.from_pretrained(build / "vision_tower", dtype=torch.float16).save_pretrained(low)
    shutil.copy(build / "vision_tower" / "preprocessor_config.json", low)
    high = target / "high_res_vision_tower"
    high.mkdir()
    for file in ("config.json", "model.safetensors"):
        shutil.copy(build / "high_res_vision_tower" / file, high)
    DiffusionPipeline.from_pretrained(build / "image_generator", torch_dtype=torch.float16).save_pretrained(
        target / "image_generator"
    )


def ship_model(checkpoint: Path, target: Path) -> None:
    model = MiniGeminiForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float16)
    model.save_pretrained(target)
    MiniGeminiProcessor.from_pretrained(checkpoint).save_pretrained(target)


def forget_paths(folder: Path) -> None:
    """Configurations remember the folder they were loaded from, which nobody else has."""
    for file in folder.rglob("*.json"):
        text = file.read_text()
        file.write_text(re.sub(r'^ *"_name_or_path": ".*",\n', "", text, flags=re.MULTILINE))
        json.loads(file.read_text())
    for file in folder.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)  # safetensors writes for its owner alone


def main(name: str, source: Path) -> None:
    name = "nano-base" if name == "base" else name
    if name not in NAMES:
        raise SystemExit(f"{name} is not one of {', '.join(NAMES)}")
    target = WEIGHTS / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if name == "nano-base":
        ship_base(source, target)
    else:
        ship_model(source, target)
    shutil.copy(CARDS / f"{name}.md", target / "README.md")
    forget_paths(target)
    files = [file for file in target.rglob("*") if file.is_file()]
    print(f"{name}: {len(files)} files, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB in {target}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
