"""Train one of the nano's two vision towers from nothing.

python train/nano_base/towers.py low build/nano_base/language_model build/nano_base/vision_tower
python train/nano_base/towers.py high build/nano_base/language_model build/nano_base/high_res_vision_tower

Both learn from crowded tables, one training signal per cell: open_clip's contrastive loss between every cell and the phrase for what
lies in it ("small red circle top left" for the low-resolution tower, "small red circle K7" for the high-resolution one: tags make
nearly all phrases of a batch different, so they must be read), plus a linear read-out of the attributes from the features that the
language model will get (the last but one layer of the CLIP ViT; the last stage of the ConvNeXt). Tags are asked of the high-resolution
tower only, places of the low-resolution one only: mining adds to its tokens, so what these know of their place stays.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from open_clip.loss import ClipLoss
from open_clip.transformer import TextTransformer
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from minigemini.tabletop.conversations import some_picture
from minigemini.tabletop.language import noun
from minigemini.tabletop.picture import SIZE
from minigemini.tabletop.scene import (
    ALL_PAIRS,
    CELLS,
    COLOURS,
    HELD_OUT_PAIRS,
    SHAPES,
    SIZES,
    TAG_CHARACTERS,
    TRAINED_PAIRS,
    Scene,
)

MEAN = (0.48145466, 0.4578275, 0.40821073)  # OpenAI CLIP's, as the released models use
STD = (0.26862954, 0.26130258, 0.27577711)
LOW_SIZE, PATCH = 42, 14
CONVNEXT: dict[str, Any] = {"depths": [1, 1, 3, 1], "dims": [32, 64, 128, 256], "drop_path_rate": 0.0}
WORDS = 6
HEADS = {"size": len(SIZES), "colour": len(COLOURS), "shape": len(SHAPES), "present": 2}
LOW_HEADS = HEADS | {"place": len(CELLS)}  # the one tower whose tokens know their place: a ConvNeXt's do not
HIGH_HEADS = HEADS | {"first": len(TAG_CHARACTERS), "second": len(TAG_CHARACTERS), "tagged": 2}


class LowResTower(nn.Module):
    """CLIP ViT 42/14: nine tokens, one a cell."""

    def __init__(self) -> None:
        super().__init__()
        config = CLIPVisionConfig(
            hidden_size=128, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4,
            image_size=LOW_SIZE, patch_size=PATCH, projection_dim=64,
        )  # fmt: skip
        self.tower = CLIPVisionModel(config)
        self.width = 128

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        low = F.interpolate(pixels, size=LOW_SIZE, mode="bilinear", align_corners=False)
        out = self.tower(low, output_hidden_states=True)
        return out.hidden_states[-2][:, 1:], out.last_hidden_state[:, 1:]

    @torch.no_grad()
    def save(self, folder: Path) -> None:
        # Brought to unit size, so that what mining adds is not drowned. All layers read the residual stream through a LayerNorm, so
        # scaling everything that is written to it scales the features and changes nothing else.
        scenes = [(p.scene, p.image()) for p in (some_picture(random.Random(i), 4) for i in range(64))]
        size_now = self.eval()(pixels_of(scenes))[0].square().mean().sqrt()
        for name, parameter in self.tower.named_parameters():
            if any(part in name for part in ("pre_layrnorm", "out_proj", "mlp.fc2")):
                parameter.div_(size_now)
        self.tower.half().save_pretrained(folder)
        size = {"height": LOW_SIZE, "width": LOW_SIZE}
        CLIPImageProcessor(
            size={"shortest_edge": LOW_SIZE}, crop_size=size, image_mean=list(MEAN), image_std=list(STD)
        ).save_pretrained(folder)


class HighResTower(nn.Module):
    """A small ConvNeXt at 96 px: its last stage has stride 32, one position a cell."""

    def __init__(self) -> None:
        super().__init__()
        self.tower: Any = timm.create_model("convnext_atto", num_classes=0, **CONVNEXT)
        self.width = CONVNEXT["dims"][-1]

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.tower.stages(self.tower.stem(pixels.contiguous(memory_format=torch.channels_last)))
        cells = features.flatten(2).transpose(1, 2)
        return cells, cells

    def save(self, folder: Path) -> None:
        config = {
            "architecture": "convnext_atto",
            "num_classes": 0,
            "num_features": self.width,
            "model_args": CONVNEXT,
            "pretrained_cfg": {"input_size": [3, SIZE, SIZE], "mean": MEAN, "std": STD, "interpolation": "bicubic"},
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2))
        state = {k: v.half().contiguous() for k, v in self.tower.state_dict().items()}
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


class Readout(nn.Module):
    """What is asked of every cell: a linear layer per attribute, and the projection of the contrastive loss."""

    def __init__(self, width: int, heads: dict[str, int]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, n) for name, n in heads.items()})
        self.projection = nn.Linear(width, 64, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def attributes(self, cells: Tensor) -> dict[str, Tensor]:
        cells = self.norm(cells)
        return {name: head(cells) for name, head in self.heads.items()}


def pixels_of(scenes: list[tuple[Scene, Image.Image]]) -> Tensor:
    stack = [
        np.asarray(p if p.size == (SIZE, SIZE) else p.resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for _, p in scenes
    ]
    pixels = torch.from_numpy(np.stack(stack)).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def targets_of(scenes: list[tuple[Scene, Image.Image]]) -> dict[str, Tensor]:
    """Per cell the class of every attribute, -100 where there is nothing to say: [N, 9]."""
    targets = {name: torch.full((len(scenes), 9), -100) for name in LOW_HEADS | HIGH_HEADS}
    targets["present"].fill_(0)
    targets["place"].copy_(torch.arange(9))
    for row, (scene, _) in enumerate(scenes):
        for thing in scene.things:
            targets["present"][row, thing.cell] = 1
            targets["size"][row, thing.cell] = SIZES.index(thing.size)
            targets["colour"][row, thing.cell] = COLOURS.index(thing.colour)
            targets["shape"][row, thing.cell] = SHAPES.index(thing.shape)
            targets["tagged"][row, thing.cell] = int(bool(thing.tag))
            if thing.tag:
                targets["first"][row, thing.cell] = TAG_CHARACTERS.index(thing.tag[0])
                targets["second"][row, thing.cell] = TAG_CHARACTERS.index(thing.tag[1])
    return targets


def one_cell_per_phrase(scenes: list[tuple[Scene, Image.Image]], high: bool) -> tuple[list[int], list[str]]:
    """Cells (index into N*9) with phrases that are all different, so that the contrastive loss has no false negatives."""
    found: dict[str, int] = {}
    for row, (scene, _) in enumerate(scenes):
        for thing in scene.things:
            phrase = f" {noun(thing)} {thing.tag if high else CELLS[thing.cell]}".rstrip()
            found.setdefault(phrase, row * 9 + thing.cell)
    return list(found.values()), list(found)


@torch.no_grad()
def accuracies(tower: nn.Module, readout: Readout) -> dict[str, float]:
    tower.eval()
    found = {}
    for name, pairs in (("", TRAINED_PAIRS), (" held out", tuple(HELD_OUT_PAIRS))):
        rng = random.Random(1)
        pictures = [some_picture(rng, rng.randint(1, 5), pairs) for _ in range(300)]
        scenes = [(p.scene, p.image()) for p in pictures]
        targets = targets_of(scenes)
        for head, logits in readout.attributes(tower(pixels_of(scenes))[0]).items():
            known = targets[head] != -100
            found[head + name] = round((logits.argmax(-1) == targets[head])[known].float().mean().item(), 3)
    tower.train()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tower", choices=("low", "high"))
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=None, help="default: 4000 for low, 1800 for high")
    parser.add_argument("--images", type=int, default=32, help="per step, six to nine things on each")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    rng = random.Random(0)
    high = arguments.tower == "high"
    steps = arguments.steps or (1800 if high else 4000)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer)
    tower = HighResTower() if high else LowResTower()
    readout = Readout(tower.width, HIGH_HEADS if high else LOW_HEADS)
    text_tower = TextTransformer(
        context_length=WORDS, vocab_size=len(tokenizer), width=64, heads=4, layers=2, output_dim=64, pool_type="last"
    )
    parts = nn.ModuleList([tower, readout, text_tower])
    print(f"{sum(p.numel() for p in tower.parameters()):,} parameters, {len(ALL_PAIRS)} pairs", flush=True)
    contrast = ClipLoss()
    optimizer = torch.optim.AdamW(parts.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps, pct_start=0.1)
    started, history, first = time.time(), [], 0
    checkpoint = arguments.folder / "training_state.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        parts.load_state_dict(state["parts"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first = state["step"]
        rng = random.Random(first)
    for step in range(first, steps):
        pictures = [some_picture(rng, rng.randint(5, 9)) for _ in range(arguments.images)]
        scenes = [(p.scene, p.image()) for p in pictures]
        targets = targets_of(scenes)
        cells, to_contrast = tower(pixels_of(scenes))
        loss = torch.zeros(())
        for name, logits in readout.attributes(cells).items():
            loss = loss + F.cross_entropy(logits.flatten(0, 1), targets[name].flatten())
        chosen, phrases = one_cell_per_phrase(scenes, high)
        ids = tokenizer(phrases, add_special_tokens=False, padding="max_length", max_length=WORDS, return_tensors="pt")
        seen = F.normalize(readout.projection(to_contrast.flatten(0, 1)[chosen]), dim=-1)
        said = F.normalize(text_tower(ids["input_ids"]), dim=-1)
        loss = loss + contrast(seen, said, readout.logit_scale.exp().clamp(max=100))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            rate = (step + 1 - first) / (time.time() - started)
            print(
                f"step {step + 1} loss {loss.item():.3f} {rate:.2f} steps/s {(steps - step - 1) / rate / 60:.1f} min left",
                flush=True,
            )
        if (step + 1) % 500 == 0 or step + 1 == steps:
            found = accuracies(tower, readout)
            print(step + 1, found, flush=True)
            history.append({"step": step + 1, "seconds": round(time.time() - started), "accuracy": found})
            torch.save(
                {
                    "parts": parts.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(),
                    "step": step + 1,
                },
                checkpoint,
            )
    tower.save(arguments.folder)
    (arguments.folder / "history.json").write_text(json.dumps(history, indent=1))


if __name__ == "__main__":
    main()
