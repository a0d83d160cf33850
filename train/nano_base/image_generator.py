"""Train the nano's image generator from nothing and save it as a stock diffusers pipeline.

python train/nano_base/image_generator.py autoencoder build/nano_base/language_model build/nano_base/image_generator
python train/nano_base/image_generator.py diffusion build/nano_base/language_model build/nano_base/image_generator

A latent diffusion model for 48 x 48 pixels: an AutoencoderKL that makes 4 x 12 x 12 latents (one cell of the table is 4 x 4 of them),
a PixArt transformer with one token per cell, and a small T5 encoder for the prompt, trained together with it. v-prediction, 10 % of
the prompts dropped for classifier-free guidance, an exponential moving average of the weights is what is saved.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel
from muon import Muon
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase, T5Config, T5EncoderModel

from minigemini.tabletop.drawing import edit, first_drawing
from minigemini.tabletop.language import drawing_prompt
from minigemini.tabletop.oracle import matches
from minigemini.tabletop.picture import DRAWING_SIZE, render
from minigemini.tabletop.scene import HELD_OUT_PAIRS, TRAINED_PAIRS, Scene, random_scene

PROMPT_TOKENS = 48


def random_drawing(rng: random.Random, held_out: bool = False) -> Scene:
    """A scene as the language model's prompts describe them: one to four things in any order of mention."""
    if rng.random() < 0.7:
        scene = random_scene(rng, rng.randint(1, 4), TRAINED_PAIRS, tags=0, jitter=False)
    else:  # as they come out of instructions: things alike, in neighbouring places
        drawing = first_drawing(rng)
        for _ in range(rng.randint(0, 3)):
            drawing = edit(rng, drawing)
        scene = drawing.scene
    if held_out:  # one thing becomes one that was never trained on
        colour, shape = rng.choice(sorted(HELD_OUT_PAIRS))
        first = scene.things[0]
        scene = Scene((type(first)(first.size, colour, shape, first.cell), *scene.things[1:]))
    return scene


def pixels_of(scenes: list[Scene]) -> Tensor:
    """[N, 3, 48, 48] in -1..1"""
    stack = np.stack([np.asarray(render(scene, DRAWING_SIZE)) for scene in scenes])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 127.5 - 1


def log(step: int, steps: int, started: float, first: int, words: str) -> None:
    rate = (step + 1 - first) / (time.time() - started)
    print(f"step {step + 1} {words} {rate:.2f} steps/s {(steps - step - 1) / rate / 60:.1f} min left", flush=True)


def train_autoencoder(folder: Path) -> None:
    rng = random.Random(0)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(12, 24, 48),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=DRAWING_SIZE,
        force_upcast=False,
        mid_block_add_attention=False,
    )
    print(f"{sum(p.numel() for p in vae.parameters()):,} parameters", flush=True)
    table = pixels_of([Scene()])[:, :, :1, :1]
    started = time.time()
    # Most of a picture is table, which must not drown the things: their pixels weigh ten times as much. In the second phase those
    # around them do too, else it costs little to fill the corners of a small cross.
    for rim, steps, peak in ((0, 1400, 2e-3), (2, 400, 1e-3)):
        optimizer = torch.optim.AdamW(vae.parameters(), lr=peak, weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peak, total_steps=steps, pct_start=0.1)
        for step in range(steps):
            scenes = [random_scene(rng, rng.randint(5, 9), TRAINED_PAIRS, tags=0, jitter=False) for _ in range(16)]
            pixels = pixels_of(scenes)
            latents = vae.encode(pixels).latent_dist
            again = vae.decode(latents.sample()).sample
            things = ((pixels - table).abs().amax(dim=1, keepdim=True) > 0.05).float()
            weight = 1 + 9 * F.max_pool2d(things, 2 * rim + 1, stride=1, padding=rim)
            error = (weight * ((again - pixels).abs() + (again - pixels).square())).mean()
            loss = error + 1e-5 * latents.kl().mean() / latents.mean[0].numel()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if (step + 1) % 100 == 0:
                log(step, steps, started, 0, f"error {error.item():.4f}")
    vae.eval()
    with torch.no_grad():
        rng = random.Random(1)
        latents = vae.encode(pixels_of([random_drawing(rng) for _ in range(512)])).latent_dist.mean
        vae.register_to_config(scaling_factor=float(1 / latents.std()))
        scenes = [random_drawing(rng, held_out=i % 2 == 0) for i in range(200)]
        again = vae.decode(vae.encode(pixels_of(scenes)).latent_dist.mode()).sample
        right = [matches(picture, scene) for picture, scene in zip(to_images(again), scenes, strict=True)]
    found = {"trained": np.mean(right[1::2]).item(), "held out": np.mean(right[::2]).item()}
    print(f"scaling factor {vae.config.scaling_factor:.4f}, read back by the oracle: {found}", flush=True)
    vae.save_pretrained(folder / "vae")
    (folder / "history_autoencoder.json").write_text(json.dumps({"seconds": time.time() - started, "oracle": found}))


def to_images(pixels: Tensor) -> list[Image.Image]:
    array = ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(picture) for picture in array]


def accuracies(pipeline: PixArtSigmaPipeline, count: int) -> dict[str, float]:
    """Share of drawings that the strict oracle accepts, for prompts of trained pairs and with one held-out pair."""
    found = {}
    for name in ("trained", "held out"):
        rng = random.Random(2)
        scenes = [random_drawing(rng, held_out=name == "held out") for _ in range(count)]
        pictures = pipeline(
            [drawing_prompt(scene) for scene in scenes],
            num_inference_steps=20, guidance_scale=4.0, height=DRAWING_SIZE, width=DRAWING_SIZE, clean_caption=False,
            use_resolution_binning=False, max_sequence_length=PROMPT_TOKENS, generator=torch.Generator().manual_seed(0),
        ).images  # fmt: skip
        found[name] = round(float(np.mean([matches(p, s) for p, s in zip(pictures, scenes, strict=True)])), 3)
    return found


def prompt_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.padding_side = "right"
    tokenizer.model_max_length = PROMPT_TOKENS
    tokenizer.chat_template = None
    return tokenizer


def train_diffusion(language_model: Path, folder: Path, steps: int, batch: int) -> None:
    tokenizer = prompt_tokenizer(language_model)
    vae = AutoencoderKL.from_pretrained(folder / "vae").eval()
    text_encoder = T5EncoderModel(
        T5Config(
            vocab_size=len(tokenizer), d_model=64, d_kv=16, d_ff=192, num_layers=2, num_heads=4, dropout_rate=0.0,
            relative_attention_num_buckets=32, relative_attention_max_distance=64, feed_forward_proj="gated-gelu",
            pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, is_encoder_decoder=False,
        )
    )  # fmt: skip
    transformer = PixArtTransformer2DModel(
        num_attention_heads=4, attention_head_dim=32, in_channels=4, out_channels=4, num_layers=4,
        cross_attention_dim=128, caption_channels=64, sample_size=12, patch_size=4, interpolation_scale=1,
        use_additional_conditions=False,
    )  # fmt: skip
    noise_scheduler = DPMSolverMultistepScheduler(prediction_type="v_prediction", beta_schedule="linear")
    signal = noise_scheduler.alphas_cumprod.sqrt()
    noise_level = (1 - noise_scheduler.alphas_cumprod).sqrt()
    parts = torch.nn.ModuleList([text_encoder, transformer])
    print(f"{sum(p.numel() for p in parts.parameters()):,} parameters", flush=True)
    matrices = [p for name, p in parts.named_parameters() if p.ndim == 2 and "block" in name and "bias" not in name]
    others = [p for p in parts.parameters() if not any(p is matrix for matrix in matrices)]
    optimizers = [Muon(matrices, lr=3e-3), torch.optim.AdamW(others, lr=1.5e-3, weight_decay=0.0)]
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(o, lambda step: min((step + 1) / 100, 0.01 + 1.25 * (1 - step / steps), 1))
        for o in optimizers
    ]
    ema: Any = torch.optim.swa_utils.AveragedModel(
        parts, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998)
    )
    rng = random.Random(0)
    scenes = [random_drawing(rng) for _ in range(16_000)]
    with torch.no_grad():
        chunks = [vae.encode(pixels_of(scenes[i : i + 200])).latent_dist for i in range(0, len(scenes), 200)]
        means = torch.cat([c.mean for c in chunks]) * vae.config.scaling_factor
        stds = torch.cat([c.std for c in chunks]) * vae.config.scaling_factor
    prompts = tokenizer([drawing_prompt(s) for s in scenes], padding=True, return_tensors="pt")
    nothing = tokenizer([""], padding="max_length", max_length=prompts["input_ids"].shape[1], return_tensors="pt")
    started, history, first = time.time(), [], 0
    checkpoint = folder / "training_state.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        parts.load_state_dict(state["parts"])
        ema.load_state_dict(state["ema"])
        for optimizer, schedule, saved in zip(optimizers, schedules, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved[0])
            schedule.load_state_dict(saved[1])
        first = state["step"]
    torch.manual_seed(first)

    def pipeline() -> PixArtSigmaPipeline:
        averaged_text, averaged_transformer = ema.module
        pipe = PixArtSigmaPipeline(
            tokenizer=tokenizer, text_encoder=averaged_text.eval(), vae=vae, transformer=averaged_transformer.eval(),
            scheduler=noise_scheduler,
        )  # fmt: skip
        pipe.set_progress_bar_config(disable=True)
        return pipe

    for step in range(first, steps):
        rows = torch.randint(len(scenes), (batch,))
        ids, mask = prompts["input_ids"][rows], prompts["attention_mask"][rows]
        dropped = torch.rand(batch) < 0.1
        ids = torch.where(dropped[:, None], nothing["input_ids"], ids)
        mask = torch.where(dropped[:, None], nothing["attention_mask"], mask)
        longest = max(1, int(mask.sum(dim=1).max()))
        ids, mask = ids[:, :longest], mask[:, :longest]
        latents = means[rows] + stds[rows] * torch.randn_like(means[rows])
        noise = torch.randn_like(latents)
        times = torch.randint(0, 1000, (batch,))
        a, s = signal[times].view(-1, 1, 1, 1), noise_level[times].view(-1, 1, 1, 1)
        words = text_encoder(ids, attention_mask=mask).last_hidden_state
        predicted = transformer(
            a * latents + s * noise, encoder_hidden_states=words, encoder_attention_mask=mask, timestep=times,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample  # fmt: skip
        loss = F.mse_loss(predicted, a * noise - s * latents)
        parts.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        ema.update_parameters(parts)
        if (step + 1) % 100 == 0:
            log(step, steps, started, first, f"loss {loss.item():.4f}")
        if (step + 1) % 500 == 0 or step + 1 == steps:
            found = accuracies(pipeline(), 300 if step + 1 == steps else 100)
            print(step + 1, found, flush=True)
            history.append({"step": step + 1, "seconds": round(time.time() - started), "oracle": found})
            torch.save(
                {
                    "parts": parts.state_dict(),
                    "ema": ema.state_dict(),
                    "optimizers": [
                        (o.state_dict(), s.state_dict()) for o, s in zip(optimizers, schedules, strict=True)
                    ],
                    "step": step + 1,
                },
                checkpoint,
            )
    pipe = pipeline()
    pipe.to(torch.float16)
    pipe.save_pretrained(folder)
    (folder / "history.json").write_text(json.dumps(history, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=("autoencoder", "diffusion"))
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=None, help="of diffusion (default: 3000)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.part == "autoencoder":
        train_autoencoder(arguments.folder)
    else:
        train_diffusion(arguments.tokenizer, arguments.folder, arguments.steps or 3000, batch=128)


if __name__ == "__main__":
    main()
