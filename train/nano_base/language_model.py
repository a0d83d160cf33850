"""Train the nano's language model from nothing, on words alone.

python train/nano_base/tokenizer.py build/nano_base/words
python train/nano_base/language_model.py build/nano_base/words
python train/nano_base/language_model.py build/nano_base/language_model --after build/nano_base/words --steps 7000 --peak-lr 2e-3

A Llama-type model (4 layers x 128) learns to describe, answer and write drawing prompts about scenes it is told of, never
shown. A scene is told either in words or as *pooled phrases*: nine embeddings in reading order, each the sum of the embeddings
of the words for one cell ("small red circle K7 top left"), at the places where a picture's tokens will later stand. So the model
has learned to bind attributes to places before the align stage, which then only has to map what the towers see to such sums.
The loss is on the answers alone. The second round speaks of all colour-shape pairs, also of those that no picture will ever show: words
know them, and whether eyes can use that is what the held-out questions ask.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from muon import Muon
from torch import Tensor
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from minigemini.tabletop.conversations import Conversation, describing, drawing, looking, random_conversation
from minigemini.tabletop.language import describe, noun
from minigemini.tabletop.questions import BENCHMARKED, MOST_THINGS
from minigemini.tabletop.scene import ALL_PAIRS, CELLS, TRAINED_PAIRS, Scene

NOISE = 0.1  # of the pooled phrases, relative to their size: what towers see is never exact
TOKENS_PER_BATCH = 4096


def new_model(tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=8,
        initializer_range=0.05,  # the usual 0.02 is for widths in the thousands
        max_position_embeddings=1024,
        # Slow rotations leave room to match words that are far apart.
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    # Mimetic initialisation (Trockman and Kolter, 2023): keys start equal to queries and outputs as transposed values, so that a word
    # attends to where it occurs again, in a pooled phrase too, and passes on what it finds.
    for layer in model.model.layers:
        attention = layer.self_attn
        torch.nn.init.normal_(attention.q_proj.weight, std=config.hidden_size**-0.5)
        torch.nn.init.normal_(attention.v_proj.weight, std=config.hidden_size**-0.5)
        attention.k_proj.weight.data.copy_(attention.q_proj.weight)
        attention.o_proj.weight.data.copy_(0.5 * attention.v_proj.weight.T)
    return model


class Encoder:
    """Conversations -> token ids, labels, and for every pooled cell the ids of its words."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer: Any = tokenizer
        self.image_id: int = tokenizer.convert_tokens_to_ids("<image>")  # type: ignore[assignment]  # one token, one id
        self.pieces: dict[str, list[int]] = {}

    def ids(self, text: str) -> list[int]:
        if len(self.pieces) > 200_000:
            self.pieces.clear()
        if text not in self.pieces:
            self.pieces[text] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self.pieces[text]

    def cells(self, scene: Scene) -> list[list[int]]:
        words = [f" nothing {place}" for place in CELLS]
        for thing in scene.things:
            words[thing.cell] = f" {noun(thing)} {thing.tag} {CELLS[thing.cell]}"
        return [self.ids(cell.replace("  ", " ")) for cell in words]

    def encode(self, conversation: Conversation, in_words: bool) -> tuple[list[int], list[int], list[list[int]]]:
        ids, labels, pooled = [self.tokenizer.bos_token_id], [-100], []
        for turn in conversation:
            asked = self.ids("USER:")[:]
            for picture in turn.pictures:
                if in_words:
                    if not picture.drawn:
                        asked += self.ids(" the picture shows " + describe(picture.scene) + ".")
                else:
                    asked += [self.image_id] * len(CELLS)
                    pooled += self.cells(picture.scene)
            asked += self.ids(f" {turn.text}") + self.ids(" ASSISTANT:")
            answer = self.ids(f" {turn.answer}") + [self.tokenizer.eos_token_id]
            ids += asked + answer
            labels += [-100] * len(asked) + answer
        return ids, labels, pooled


def batches(
    encoder: Encoder, rng: random.Random, progress: list[float], second_round: bool
) -> Iterator[dict[str, Tensor]]:
    """Endless batches of about TOKENS_PER_BATCH tokens, alike in length. Scenes grow with ``progress[0]`` (0..1)."""
    pairs = ALL_PAIRS if second_round else TRAINED_PAIRS
    while True:
        pool = []
        for _ in range(1024):
            done = 1.0 if second_round else progress[0]
            if done < 0.06:  # first what one word means, on one or two things
                things = 1 if done < 0.02 else rng.randint(1, 3)
                make = rng.choice((describing, looking, looking, looking))
                conversation = make(rng, things)
            elif second_round and (way := rng.random()) < 0.4:  # what is learnt last: to change drawings, and to count
                conversation = (
                    drawing(rng, pairs) if way < 0.3 else looking(rng, rng.randint(2, 6), 8, ("count",), pairs)
                )
            else:
                conversation = random_conversation(rng, MOST_THINGS if done > 0.2 else 4, pairs)
            pool.append(encoder.encode(conversation, in_words=done > 0.06 and rng.random() < 0.2))
        pool.sort(key=lambda row: len(row[0]))
        groups: list[list[tuple[list[int], list[int], list[list[int]]]]] = [[]]
        for row in pool:
            if (len(groups[-1]) + 1) * len(row[0]) > TOKENS_PER_BATCH:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        for group in groups:
            yield collate(group, encoder)


def collate(rows: list[tuple[list[int], list[int], list[list[int]]]], encoder: Encoder) -> dict[str, Tensor]:
    width = max(len(row[0]) for row in rows)
    pad = encoder.tokenizer.pad_token_id
    cells = [cell for row in rows for cell in row[2]]
    longest = max((len(cell) for cell in cells), default=1)
    return {
        "input_ids": torch.tensor([row[0] + [pad] * (width - len(row[0])) for row in rows]),
        "labels": torch.tensor([row[1] + [-100] * (width - len(row[1])) for row in rows]),
        "cells": torch.tensor([cell + [pad] * (longest - len(cell)) for cell in cells]).view(-1, longest),
    }


def embed(model: LlamaForCausalLM, batch: dict[str, Tensor], image_id: int, pad_id: int, noise: float) -> Tensor:
    """Word embeddings [B, T, D], with the pooled phrases at the image places."""
    table = model.get_input_embeddings()
    embeds = table(batch["input_ids"])
    if batch["cells"].numel():
        words = table(batch["cells"]) * (batch["cells"] != pad_id)[..., None]
        pooled = words.sum(dim=1) / 2
        pooled = pooled + noise * pooled.detach().pow(2).mean().sqrt() * torch.randn_like(pooled)
        places = (batch["input_ids"] == image_id)[..., None].expand_as(embeds)
        embeds = embeds.masked_scatter(places, pooled)
    return embeds


@torch.no_grad()
def accuracies(model: LlamaForCausalLM, encoder: Encoder) -> dict[str, float]:
    """Share of answers that are right in every token, teacher forced, one question a scene; by kind and for edits."""
    rng = random.Random(1)
    sets: dict[str, list[Conversation]] = defaultdict(list)
    while any(len(sets[kind]) < 200 for kind in BENCHMARKED):
        for kind in BENCHMARKED:
            asked = looking(rng, rng.randint(2, 5), turns=1, kinds=(kind,))
            if len(sets[kind]) < 200 and not asked[0].text.lower().startswith(("describe", "what do you see?")):
                sets[kind].append(asked)
    sets["describe"] = [describing(rng, rng.randint(2, 5)) for _ in range(200)]
    for _ in range(600):
        conversation = drawing(rng)
        edits = sum(turn.answer.startswith("<h>") for turn in conversation) - 1
        if 0 <= edits <= 3:
            sets[f"edit {edits}"].append(conversation[: edits + 1])
    found = {}
    pad = encoder.tokenizer.pad_token_id
    for kind, conversations in sets.items():
        rows = []
        for conversation in conversations:
            ids, labels, pooled = encoder.encode(conversation, in_words=False)
            last = len(encoder.ids(f" {conversation[-1].answer}")) + 1
            rows.append((ids, [-100] * (len(ids) - last) + labels[-last:], pooled))
        batch = collate(rows, encoder)
        logits = model(inputs_embeds=embed(model, batch, encoder.image_id, pad, 0.0)).logits[:, :-1]
        target = batch["labels"][:, 1:]
        right = ((logits.argmax(-1) == target) | (target == -100)).all(dim=1)
        found[kind] = round(right.float().mean().item(), 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where the tokenizer is and the model goes")
    parser.add_argument("--after", type=Path, help="the folder of the first round, for the second")
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--peak-lr", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    tokenizer: Any = AutoTokenizer.from_pretrained(arguments.after or arguments.folder)
    tokenizer.save_pretrained(arguments.folder)
    encoder = Encoder(tokenizer)
    model = LlamaForCausalLM.from_pretrained(arguments.after) if arguments.after else new_model(tokenizer)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "layers" in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "layers" not in n]
    optimizers = [
        Muon(matrices, lr=2 * arguments.peak_lr),
        torch.optim.AdamW(others, lr=arguments.peak_lr, weight_decay=0.0),
    ]
    warmup = 100
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: min((step + 1) / warmup, 0.02 + 0.98 * min(1, 1.25 * (1 - step / arguments.steps))),
        )
        for optimizer in optimizers
    ]
    checkpoint = arguments.folder / "training_state.pt"
    first, history = 0, []
    rng = random.Random(0)
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for schedule, saved in zip(schedules, state["schedules"], strict=True):
            schedule.load_state_dict(saved)
        first = state["step"]
        rng = random.Random(first)
    progress = [first / arguments.steps]
    stream = batches(encoder, rng, progress, second_round=bool(arguments.after))
    started = time.time()
    for step in range(first, arguments.steps):
        progress[0] = step / arguments.steps
        batch = next(stream)
        embeds = embed(model, batch, encoder.image_id, tokenizer.pad_token_id, NOISE)
        hidden = model.model(inputs_embeds=embeds).last_hidden_state[:, :-1]
        learned = batch["labels"][:, 1:] != -100
        logits = model.lm_head(hidden[learned])  # the vocabulary only where there is something to learn
        loss = torch.nn.functional.cross_entropy(logits, batch["labels"][:, 1:][learned])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        model.zero_grad(set_to_none=True)
        if (step + 1) % 50 == 0:
            rate = (step + 1 - first) / (time.time() - started)
            left = (arguments.steps - step - 1) / rate / 60
            print(
                f"step {step + 1} loss {loss.item():.3f} {rate:.2f} steps/s {left:.1f} min left",
                flush=True,
            )
        if (step + 1) % 200 == 0 or step + 1 == arguments.steps:
            state = {
                "model": model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                "schedules": [schedule.state_dict() for schedule in schedules],
            }
            torch.save(state | {"step": step + 1}, checkpoint)
            found = accuracies(model, encoder)
            print(step + 1, found, flush=True)
            history.append({"step": step + 1, "seconds": round(time.time() - started), "accuracy": found})
    model.save_pretrained(arguments.folder)
    (arguments.folder / "history.json").write_text(json.dumps(history, indent=1))


if __name__ == "__main__":
    main()
