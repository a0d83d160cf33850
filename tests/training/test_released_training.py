"""Released checkpoints in training: the recorded steps of the original's two stages taken once more, and `minigemini train` on
converted ones."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from released import converted
from safetensors.torch import load_file
from shared import RECORDED, needs_recorded
from small_run import finetune_recipe, losses, write_data

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.checkpoints.chat_template import read_template
from minigemini.checkpoints.convert_mgm.architecture import our_name
from minigemini.data.records import read_records
from minigemini.data.tokens import assert_same_as_processor, tokenise
from minigemini.training.run import train
from minigemini.training.whole_graph import keep_graph_whole

pytestmark = needs_recorded

IMAGE_TOKENS = 16


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> Path:
    return converted("train_llama/mgm-stage2", tmp_path_factory.mktemp("official") / "out")


def at_the_start(folder: Path, recorded: dict[str, torch.Tensor]) -> Any:
    """The model before its first step: the plain language model, the towers, and the recorded new parts."""
    model: Any = MiniGeminiForConditionalGeneration.from_pretrained(folder)
    weights = {}
    for shard in sorted((RECORDED / "train_llama" / "base_llm").glob("*.safetensors")):
        weights |= load_file(shard)
    weights |= {name.removeprefix("init."): tensor for name, tensor in recorded.items() if name.startswith("init.")}
    _, unexpected = model.load_state_dict({our_name(name): tensor for name, tensor in weights.items()}, strict=False)
    assert not unexpected
    keep_graph_whole(model)  # the original's black pictures do it: Adam goes on, with a gradient of zero
    return model.requires_grad_(False).train()


def batch_of(step: dict[str, torch.Tensor], image_token_id: int) -> dict[str, torch.Tensor]:
    """A recorded batch in our form; its samples of text bring a black picture, ours none."""
    rows: dict[str, list[torch.Tensor]] = {"input_ids": [], "labels": [], "attention_mask": []}
    shown = []
    for number, (ids, labels, kept) in enumerate(
        zip(step["input_ids"], step["labels"], step["attention_mask"].bool(), strict=True)
    ):
        ids, labels = ids[kept], labels[kept]
        repeats = torch.where(ids == -200, IMAGE_TOKENS, 1)
        shown += [number] * int((ids == -200).sum())
        rows["input_ids"].append(ids.masked_fill(ids == -200, image_token_id).repeat_interleave(repeats))
        rows["labels"].append(labels.masked_fill(ids == -200, -100).repeat_interleave(repeats))
        rows["attention_mask"].append(torch.ones_like(rows["input_ids"][-1]))
    padding = {"input_ids": 0, "labels": -100, "attention_mask": 0}
    batch = {key: torch.nn.utils.rnn.pad_sequence(rows[key], True, value) for key, value in padding.items()}
    if shown:
        batch |= {"pixel_values": step["images"][shown], "high_res_pixel_values": step["images_aux"][shown]}
    return batch


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_recorded_steps(official, stage):
    recorded = load_file(RECORDED / "train_llama" / f"{stage}.safetensors")
    manifest = json.loads((RECORDED / "train_llama" / "MANIFEST.json").read_text())[stage]
    model = at_the_start(official, recorded)
    trained = [model.get_parameter(our_name(name)).requires_grad_() for name in manifest["trainable"]]
    new = [
        p for name, p in zip(manifest["trainable"], trained, strict=True) if "mm_projector" in name or "vlm_uni" in name
    ]
    rest = [p for p in trained if not any(p is other for other in new)]
    factor = 2 if stage == "stage2" else 1  # --lr_multi model.mm_projector:2,model.vlm_uni:2
    groups: list[Any] = [{"params": rest, "factor": 1}, {"params": new, "factor": factor}]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], weight_decay=0.0)
    for number, expected in enumerate(manifest["steps"]):
        step = {
            key: recorded[f"step{number}.{key}"]
            for key in ("input_ids", "labels", "attention_mask", "images", "images_aux")
        }
        loss = model(**batch_of(step, model.config.image_token_id)).loss
        assert abs(loss.item() - expected["loss"]) < 1e-4 * expected["loss"], f"step {number}"
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
        assert abs(norm.item() - expected["grad_norm_before_clip"]) < 1e-3 * expected["grad_norm_before_clip"]
        for group in optimizer.param_groups:
            group["lr"] = expected["lr"] * group["factor"]
        optimizer.step()
        optimizer.zero_grad()
    for name in manifest["trainable"]:
        ours, theirs = model.get_parameter(our_name(name)).detach(), recorded[f"final.{name}"]
        if "aux_projector" in name and name.endswith("bias"):
            continue  # no effect: Adam walks by the rounding noise of its gradient
        assert (ours - theirs).norm() < 1e-2 * theirs.norm(), name


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_tokens_of_the_recorded_batches(official, stage):
    """From the original's data file to the ids and labels that it trained on."""
    processor: Any = MiniGeminiProcessor.from_pretrained(official)
    if stage == "stage1":
        processor.chat_template = read_template("plain")
    recorded = load_file(RECORDED / "train_llama" / f"{stage}.safetensors")
    seen = set()
    for number in range(4):
        for ids, labels in zip(recorded[f"step{number}.input_ids"], recorded[f"step{number}.labels"], strict=True):
            kept = ids != 0
            seen.add((tuple(ids[kept].tolist()), tuple(labels[kept].tolist())))
    made = set()
    for record in read_records(RECORDED / "train_llama" / f"{stage}_data.json", RECORDED / "preprocess" / "images"):
        tokens = tokenise(record, processor)  # type: ignore[arg-type]
        assert_same_as_processor(record, tokens, processor)  # type: ignore[arg-type]
        ids = [-200 if token == processor.image_token_id else token for token in tokens.ids.tolist()]
        made.add((tuple(ids), tuple(i if t else -100 for i, t in zip(ids, tokens.trained.tolist(), strict=True))))
    assert seen <= made


def test_fine_tuning(tmp_path):
    """A converted HD checkpoint goes on learning by the real command: several pictures, text alone, two questions."""
    folder = converted("llama_hd_global/MGM-7B-HD-tiny", tmp_path / "hd")
    data = write_data(tmp_path / "data", 8)
    recipe = finetune_recipe(folder, data, tmp_path / "trained")
    recipe["data"]["max_length"] = 400
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    trained = train(tmp_path / "recipe.yaml", ["trainer.num_train_epochs=4", "trainer.learning_rate=0.003"])
    curve = losses(trained)
    assert curve[-1] < curve[0]
    model, info = MiniGeminiForConditionalGeneration.from_pretrained(trained, output_loading_info=True)
    assert not any(info.values())
    assert model.config.image_token_id == model.config.text_config.vocab_size
    assert MiniGeminiProcessor.from_pretrained(trained).chat_template.endswith(read_template("v1"))
