"""Pages of answers to held-out records: what is on them, and that the training is the same with and without."""

import json
import re
import shutil
from html import unescape
from pathlib import Path

import pytest
import torch
import yaml
from small_run import finetune_recipe, write_data

from minigemini.checkpoints.load import load
from minigemini.conversation import find_prompts, message
from minigemini.data.check import checked_source
from minigemini.data.records import Record, read_records
from minigemini.data.shard import Shard, columns_of
from minigemini.engine.local import LocalEngine
from minigemini.engine.request import Decoding, Request
from minigemini.generation.image_generator import ImageGenerator
from minigemini.media import data_uri, open_image
from minigemini.training.run import train
from minigemini.training.samples import Samples, chosen_records

EVERY_2 = "samples={every: 2, records: 3}"
TOKENS = 24  # of the longest answer


@pytest.fixture
def watched(align, tmp_path, tiny_parts, monkeypatch) -> Path:
    """4 steps, dropout in the language model, and five held-out records; what stands in the first one looks like markup."""
    monkeypatch.setattr("minigemini.training.samples.LONGEST_ANSWER", TOKENS)
    shutil.copytree(tiny_parts["language_model"], tmp_path / "language_model")
    config = tmp_path / "language_model" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"attention_dropout": 0.5}))
    file = write_data(tmp_path / "held_out", 5, seed=1)
    records = json.loads(file.read_text())
    records[0]["conversations"][-1]["value"] = "draw <h>a <b>red</b> circle</h>"
    file.write_text(json.dumps(records))
    recipe = yaml.safe_load(align.read_text())
    recipe["init_from"]["language_model"] = str(tmp_path / "language_model")
    recipe["modules"] |= {"language_model": {"train": "full"}, "lm_head": {"train": "full"}}
    recipe["data"]["validation"] = [{"path": str(file)}]
    align.write_text(yaml.safe_dump(recipe))
    return align


def said(page: Path, kind: str) -> list[str]:
    """The words of the last paragraph in each block of a kind."""
    blocks = re.findall(rf'<div class="{kind}(?: same)?"><h2>.*?</div>', page.read_text(encoding="utf-8"), re.DOTALL)
    return [unescape(re.findall(r"<p [^>]*>(.*?)</p>", block, re.DOTALL)[-1]) for block in blocks]


def answers_alone(folder: Path, records: list[Record]) -> list[str]:
    """What the finished model answers to each record by itself."""
    engine = LocalEngine(*load(str(folder), dtype=torch.float32, device="cpu"))
    decoding = Decoding(max_new_tokens=TOKENS)
    texts = [engine.answer([Request(record.messages[:-1], decoding)])[0].text.strip() for record in records]
    return [text or "no words" for text in texts]


def test_a_page_has_pictures_questions_and_the_answers_of_the_model_as_it_is(watched, tmp_path):
    output = train(watched, [EVERY_2, "trainer.eval_strategy=steps", "trainer.eval_steps=4"])
    assert sorted(file.name for file in (output / "samples").iterdir()) == ["index.html", "step-2.html", "step-4.html"]
    page = output / "samples" / "step-4.html"
    text = page.read_text(encoding="utf-8")
    records = [read_records(tmp_path / "held_out" / "data.json")[number] for number in (0, 1, 3)]
    assert said(page, "truth") == [record.messages[-1].text for record in records]
    assert "<b>" not in text
    assert "&lt;h&gt;a &lt;b&gt;red" in text
    assert said(page, "answer") == answers_alone(output, records)
    assert re.findall(r'src="(.*?)"', text) == [data_uri(open_image(path)) for one in records for path in one.images]
    for record in records:
        assert all(message.text in text for message in record.messages[:-1])
    history = json.loads((output / "trainer_state.json").read_text())["log_history"]
    (loss,) = [f"{entry['eval_data_loss']:.4f}" for entry in history if "eval_data_loss" in entry]
    assert f"validation loss: data {loss}" in text
    assert "not computed at this step" in (output / "samples" / "step-2.html").read_text()
    index = (output / "samples" / "index.html").read_text()
    assert f'<a href="step-4.html">4</a></td><td>{loss}</td>' in index
    assert '<a href="step-2.html">2</a></td><td></td>' in index


def test_the_run_ends_the_same_with_and_without_samples(watched, tmp_path):
    without = train(watched, [f"trainer.output_dir={tmp_path / 'without'}"])
    assert not (without / "samples").exists()
    output = train(watched, ["samples.every=1"])
    assert (output / "model.safetensors").read_bytes() == (without / "model.safetensors").read_bytes()
    # What is only looked at makes no other run of it.
    assert train(watched, ["samples.every=3"], resume="auto") == output


def test_a_run_that_is_gone_on_with_drops_pages_of_later_steps(watched):
    stopped = ["trainer.save_strategy=steps", "trainer.save_steps=2", "trainer.max_steps=4"]
    output = train(watched, [*stopped, "samples.every=3"])
    shutil.rmtree(output / "checkpoint-4")
    (output / "trainer_state.json").unlink()
    train(watched, [*stopped, "samples.every=5"], resume=True)
    assert sorted(file.name for file in (output / "samples").iterdir()) == ["index.html", "step-4.html"]


def test_packed_low_rank_training_with_recomputed_blocks_answers_too(align, watched, tmp_path):
    base = train(watched)
    recipe = finetune_recipe(base, tmp_path / "data" / "data.json", tmp_path / "lora")
    recipe["modules"] |= {"language_model": {"train": "lora", "rank": 2}, "lm_head": {"train": "frozen"}}
    recipe["data"] |= {"validation": [{"path": str(tmp_path / "held_out" / "data.json")}], "packing": 400}
    recipe["trainer"] |= {"per_device_train_batch_size": 1, "gradient_checkpointing": True, "bf16": True}
    (tmp_path / "lora.yaml").write_text(yaml.safe_dump(recipe))
    output = train(tmp_path / "lora.yaml", ["samples={every: 100}"])
    (page,) = (output / "samples").glob("step-*.html")  # of the last step
    assert len(said(page, "answer")) == 5


def test_prompts_are_drawn_where_a_generator_is_named(watched, tmp_path):
    turns = [{"from": "human", "value": "draw a red circle <GEN>"}, {"from": "gpt", "value": "<h>a red circle</h>"}]
    (tmp_path / "wish.json").write_text(json.dumps([{"id": "0", "conversations": turns}]))
    recipe = finetune_recipe("nano", tmp_path / "data" / "data.json", tmp_path / "drawn")
    recipe["modules"] = {"multi_modal_projector": {"train": "full"}}
    recipe["data"] |= {"validation": [{"path": str(tmp_path / "wish.json")}], "max_length": 512}
    recipe["trainer"]["max_steps"] = 2
    (tmp_path / "nano.yaml").write_text(yaml.safe_dump(recipe))
    output = train(tmp_path / "nano.yaml", ["samples={every: 1, generator: nano}"])
    page = output / "samples" / "step-2.html"
    (prompt,) = find_prompts(said(page, "answer")[0])
    picture, _ = ImageGenerator.from_pretrained("nano", "cpu").draw(prompt.prompt, seed=0)
    assert re.findall(r'src="(.*?)"', page.read_text(encoding="utf-8")) == [data_uri(picture)]
    without = train(tmp_path / "nano.yaml", [f"trainer.output_dir={tmp_path / 'not_drawn'}"])
    assert (output / "model.safetensors").read_bytes() == (without / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["samples={every: 2}", "data.validation=[]"], "samples: .* name their file in data.validation"),
        (["samples={every: 0}"], "samples: every must be at least 1, got 0"),
        (["samples={every: 2, records: 0}"], "samples: records must be at least 1, got 0"),
        (["samples={every: 2, generator: ./nowhere}"], "samples.generator: .*nowhere"),
        (["samples={records: 2}"], "samples.*every"),
        (["samples={every: 2}", "trainer.fsdp=true"], "samples: one process writes .* FSDP2 none has the whole"),
        (["samples={every: 2}", "trainer.deepspeed=train/deepspeed/zero3.json"], "samples: one process writes"),
    ],
)
def test_what_cannot_be_shown_is_said_before_the_data_is_read(watched, overrides, words, monkeypatch):
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "")  # TrainingArguments sets it; so it is gone after the test
    with pytest.raises(ValueError, match=words):
        train(watched, ["data.sources=[{path: nowhere.json}]", *overrides])


@pytest.mark.parametrize(("number", "names"), [(1, "a0"), (3, "a0 a4 b0"), (5, "a0 a2 a5 b0 b1"), (99, None)])
def test_each_source_has_its_share(number, names):
    sources = [
        [Record(f"{source}{place}", (message("user", "a"),)) for place in range(size)]
        for source, size in (("a", 8), ("b", 2))
    ]
    shards = [Shard(columns_of(list(enumerate(records)), [], 1)) for records in sources]
    held_out = [checked_source(1.0, [shard], 9)[0] for shard in shards]
    chosen = [record.name for record in chosen_records(Samples(1, number), held_out)]
    assert chosen == (names.split() if names else [record.name for records in sources for record in records])
