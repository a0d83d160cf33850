"""Low-rank layers: beside which layers, what is saved, loaded by its name alone, merged; and what cannot be."""

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import yaml
from small_run import align_recipe, finetune_recipe, losses, write_data
from transformers import LlamaConfig, MixtralConfig, TrainingArguments

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.checkpoints import adapter
from minigemini.checkpoints.load import load, load_model
from minigemini.cli import main
from minigemini.model.configuration_minigemini import MiniGeminiHighResVisionConfig
from minigemini.model.high_res_vision_tower import MiniGeminiHighResVisionModel
from minigemini.training.dry_run import dry_run
from minigemini.training.lora import linear_layers, linear_share, low_rank_targets
from minigemini.training.modules import FROZEN, ModulePlan, apply_plans, modules_by_name
from minigemini.training.room import weight_bytes
from minigemini.training.run import train

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
LORA = {"train": "lora", "rank": 4, "learning_rate": 5e-2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_parts) -> Path:
    """``base``, trained with ``base.yaml``, and ``lora.yaml``, a recipe on it for ``lora``."""
    folder = tmp_path_factory.mktemp("runs")
    data = write_data(folder / "data", 16)
    train(written(folder / "base.yaml", align_recipe(tiny_parts, data, folder / "base")))
    recipe = finetune_recipe(folder / "base", data, folder / "lora")
    recipe["modules"] = {"patch_info_mining": {"train": "full"}, "language_model": LORA}
    written(folder / "lora.yaml", recipe)
    return folder


@pytest.fixture(scope="module")
def lora(runs) -> Path:
    """The adapter of ``lora.yaml``."""
    return train(runs / "lora.yaml", ["trainer.save_strategy=steps", "trainer.save_steps=2"])


def written(file: Path, recipe: dict[str, Any]) -> Path:
    file.write_text(yaml.safe_dump(recipe))
    return file


def logits(model: Any) -> torch.Tensor:
    torch.manual_seed(1)
    ids = torch.cat([torch.arange(10, 30), torch.full((tiny.IMAGE_TOKENS,), model.config.image_token_id)])[None]
    high_res = torch.randn(1, 3, tiny.HIGH_RES_SIZE, tiny.HIGH_RES_SIZE)
    with torch.no_grad():
        return model(input_ids=ids, pixel_values=torch.randn(1, 3, 28, 28), high_res_pixel_values=high_res).logits


def beside_its_base(folder: Path) -> Any:
    """The adapter as peft itself loads it, not merged."""
    from peft import PeftModel

    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    return PeftModel.from_pretrained(load_model(base), folder).eval()


LANGUAGE_MODEL = {
    "attention": {f"self_attn.{name}_proj" for name in "qkvo"},
    "mlp": {f"mlp.{name}_proj" for name in ("gate", "up", "down")},
}
VISION_TOWER = {
    "attention": {f"self_attn.{name}_proj" for name in ("q", "k", "v", "out")},
    "mlp": {"mlp.fc1", "mlp.fc2"},
}


@pytest.mark.parametrize("targets", ["attention", "mlp", "attention+mlp", None])
def test_exactly_the_layers_of_the_named_module(tiny_parts, targets):
    model = tiny.new_model(tiny_parts)
    plan = ModulePlan("lora", rank=2, targets=targets)
    kinds = targets.split("+") if targets else ["attention", "mlp"]
    for name, prefix, layers, names in (
        ("language_model", "model.language_model.layers", 2, LANGUAGE_MODEL),
        ("vision_tower", "model.vision_tower.encoder.layers", 3, VISION_TOWER),
    ):
        expected = {f"{prefix}.{layer}.{leaf}" for layer in range(layers) for kind in kinds for leaf in names[kind]}
        assert set(low_rank_targets(model, name, plan)) == expected
    if targets in ("mlp", None):
        assert set(low_rank_targets(model, "multi_modal_projector", plan)) == {
            f"model.multi_modal_projector.linear_{number}" for number in (1, 2)
        }
    assert low_rank_targets(model, "lm_head", ModulePlan("lora", rank=2)) == ["lm_head"]


def test_layers_of_a_convnext():
    """Those of the released models have linear MLPs; in the small ones they are convolutions, which are no target."""
    arguments = {"dims": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
    linear = MiniGeminiHighResVisionModel(
        MiniGeminiHighResVisionConfig(architecture="convnext_large", model_args=arguments, image_size=64)
    )
    blocks = ("0.blocks.0", "1.blocks.0", "2.blocks.0", "2.blocks.1", "3.blocks.0")
    expected = [f"stages.{block}.mlp.fc{number}" for block in blocks for number in (1, 2)]
    assert linear_layers("high_res_vision_tower", linear, "mlp") == expected
    assert linear_layers("high_res_vision_tower", linear, "attention") == []


@pytest.mark.parametrize(
    ("module", "targets", "words"),
    [
        ("patch_info_mining", None, "modules.patch_info_mining: no attention and no mlp layer"),
        ("multi_modal_projector", "attention+mlp", "modules.multi_modal_projector: no attention layer"),
        ("high_res_vision_tower", None, "modules.high_res_vision_tower: no attention and no mlp layer"),
    ],
)
def test_where_there_is_no_such_layer_it_is_said(tiny_parts, module, targets, words):
    with pytest.raises(ValueError, match=words):
        low_rank_targets(tiny.new_model(tiny_parts), module, ModulePlan("lora", rank=2, targets=targets))


def test_what_is_saved_is_what_was_trained(lora, runs):
    config = json.loads((lora / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(runs / "base")
    assert config["modules_to_save"] == ["model.patch_info_mining"]
    assert config["target_modules"] == sorted(
        low_rank_targets(load_model(str(runs / "base")), "language_model", ModulePlan("lora", rank=4))
    ), "exact names, none that could reach a tower"
    assert (config["r"], config["lora_alpha"]) == (4, 8)
    assert not (lora / "model.safetensors").exists()
    base, model = load_model(str(runs / "base")), load_model(str(lora))
    before, after = modules_by_name(base), modules_by_name(model)
    moved = {
        name
        for name in before
        for (path, old), (_, new) in zip(before[name].named_parameters(), after[name].named_parameters(), strict=True)
        if not torch.equal(old, new)
    }
    assert moved == {"patch_info_mining", "language_model"}
    assert losses(lora)[-1] < losses(lora)[0]


def test_it_loads_by_its_name_as_peft_loads_it(lora, runs):
    model, processor = load(str(lora))
    assert not list(adapter.low_rank_layers(model)), "merged"
    assert processor.chat_template
    expected = logits(beside_its_base(lora))
    torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=0)
    assert (expected - logits(load_model(str(runs / "base")))).abs().max() > 1e-2


@pytest.mark.parametrize(
    "override",
    [
        "modules.language_model={train: dora, rank: 2, alpha: 2, targets: attention, learning_rate: 5e-2}",
        "modules={vision_tower: {train: lora, rank: 2}, lm_head: {train: lora, rank: 4},"
        " multi_modal_projector: {train: lora, rank: 2, alpha: 1}}",
    ],
)
def test_merge_by_the_command(runs, tmp_path, override, capsys):
    folder = train(runs / "lora.yaml", [override, f"trainer.output_dir={tmp_path / 'lora'}"])
    assert main(["merge", str(folder), str(tmp_path / "merged")]) == 0
    assert f"merged into {runs / 'base'}" in capsys.readouterr().out
    merged = MiniGeminiForConditionalGeneration.from_pretrained(tmp_path / "merged")
    assert merged.dtype == torch.float32
    torch.testing.assert_close(logits(merged), logits(beside_its_base(folder)), atol=1e-5, rtol=0)
    assert main(["merge", str(folder), str(tmp_path / "merged")]) == 1
    assert main(["merge", str(tmp_path / "merged"), str(tmp_path / "again")]) == 1
    assert "not an adapter" in capsys.readouterr().err


def test_an_adapter_of_another_resolution_than_its_base(runs, tmp_path):
    resolution = f"resolution={{high_res_image_size: {2 * tiny.HIGH_RES_SIZE}, image_grid: 2, image_global: true}}"
    few = ["trainer.max_steps=1", f"trainer.output_dir={tmp_path / 'lora'}"]
    folder = train(runs / "lora.yaml", [resolution, *few])
    config = load_model(str(folder)).config
    assert (config.high_res_vision_config.image_size, config.image_grid) == (2 * tiny.HIGH_RES_SIZE, 2)
    assert config.image_global
    assert main(["merge", str(folder), str(tmp_path / "merged")]) == 0
    assert MiniGeminiForConditionalGeneration.from_pretrained(tmp_path / "merged").config.image_grid == 2


def test_a_tied_head_that_is_trained_beside_low_rank_layers(runs, tmp_path):
    """That of the nano."""
    plans = "modules={language_model: {train: full}, vision_tower: {train: lora, rank: 2}}"
    few = ["init_from=nano", "data.max_length=600", "trainer.max_steps=1", f"trainer.output_dir={tmp_path / 'lora'}"]
    folder = train(runs / "lora.yaml", [plans, *few])
    model, ids = load_model(str(folder)), torch.arange(10, 30)[None]
    assert model.lm_head.weight is model.get_input_embeddings().weight
    with torch.no_grad():
        expected = beside_its_base(folder)(input_ids=ids).logits
        torch.testing.assert_close(model(input_ids=ids).logits, expected, atol=1e-5, rtol=1e-5)
        assert (expected - load_model("nano")(input_ids=ids).logits).abs().max() > 1e-2


def test_a_resumed_run_is_the_uninterrupted_one(lora, runs, tmp_path):
    cut = ["trainer.save_strategy=steps", "trainer.save_steps=2", f"trainer.output_dir={tmp_path / 'cut'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minigemini.training.trainer.Progress.on_step_end", interrupt_at_step_3)
        with pytest.raises(KeyboardInterrupt):
            train(runs / "lora.yaml", cut)
    resumed = train(runs / "lora.yaml", cut, resume=True)
    assert (resumed / adapter.WEIGHTS).read_bytes() == (lora / adapter.WEIGHTS).read_bytes()
    assert losses(resumed) == losses(lora)


def interrupt_at_step_3(self, args, state, control, **kwargs):
    if state.global_step == 3:
        raise KeyboardInterrupt


def test_chat_with_it_and_train_on_from_it(lora, runs, tmp_path, capsys):
    assert main(["chat", str(lora), "--prompt", "what is it"]) == 0
    folder = train(runs / "lora.yaml", [f"init_from={lora}", f"trainer.output_dir={tmp_path / 'second'}"])
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == str(lora)
    torch.testing.assert_close(logits(load_model(str(folder))), logits(beside_its_base(folder)), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match=f"{folder} is an adapter of {lora}, which is one itself"):
        load_model(str(folder), bits=4)
    whole = [f"init_from={lora}", "modules={language_model: {train: full}}", f"trainer.output_dir={tmp_path / 'whole'}"]
    assert not adapter.is_adapter(str(train(runs / "lora.yaml", whole)))


def test_a_base_in_bfloat16_and_blocks_that_are_computed_twice(runs, tmp_path):
    options = [
        "modules.language_model={train: lora, rank: 4, learning_rate: 5e-2, dtype: bfloat16, gradient_checkpointing: true}",
        "modules.vision_tower={train: frozen, dtype: bfloat16}",
        "trainer.bf16=true",
    ]
    folder = train(runs / "lora.yaml", [*options, f"trainer.output_dir={tmp_path / 'lora'}"])
    assert losses(folder)[-1] < losses(folder)[0]
    torch.testing.assert_close(logits(load_model(str(folder))), logits(beside_its_base(folder)), atol=1e-5, rtol=0)


def test_what_is_trained_is_not_loaded_in_the_type_of_what_is_frozen(runs, tmp_path):
    plans = "modules={multi_modal_projector: {train: full}, vision_tower: {train: frozen, dtype: bfloat16}}"
    folder = train(runs / "lora.yaml", [plans, "trainer.bf16=true", f"trainer.output_dir={tmp_path / 'full'}"])
    model = MiniGeminiForConditionalGeneration.from_pretrained(folder, dtype="auto")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_moments_in_8_bit(runs, tmp_path):
    options = ["trainer.optim=adamw_bnb_8bit", "trainer.num_train_epochs=2", f"trainer.output_dir={tmp_path / 'lora'}"]
    folder = train(runs / "lora.yaml", options)
    assert losses(folder)[-1] < losses(folder)[0]


def test_layers_in_4_bit(runs, tmp_path, capsys):
    options = [
        "modules.language_model.train=qlora",
        f"trainer.output_dir={tmp_path / 'qlora'}",
        "trainer.num_train_epochs=4",
    ]
    folder = train(runs / "lora.yaml", options)
    assert losses(folder)[-1] < losses(folder)[0]
    torch.testing.assert_close(logits(load_model(str(folder))), logits(beside_its_base(folder)), atol=1e-5, rtol=0)
    beside = load_model(str(folder), bits=4)
    assert list(adapter.low_rank_layers(beside)), "not merged into weights in 4 bit"
    base = load_model(str(runs / "base"), bits=4)
    base.save_pretrained(tmp_path / "few_bits")
    config = json.loads((folder / adapter.CONFIG).read_text())
    (folder / adapter.CONFIG).write_text(json.dumps(config | {"base_model_name_or_path": str(tmp_path / "few_bits")}))
    assert main(["merge", str(folder), str(tmp_path / "merged")]) == 1
    assert "stored in few bits. Merged into them, most of what the adapter learnt" in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()


def test_a_base_that_is_gone_is_named(lora, tmp_path, capsys):
    folder = tmp_path / "lora"
    folder.mkdir()
    for file in lora.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / adapter.CONFIG).read_text())
    (folder / adapter.CONFIG).write_text(json.dumps(config | {"base_model_name_or_path": str(tmp_path / "gone")}))
    assert main(["chat", str(folder), "--prompt", "what"]) == 1
    assert f"{folder} is an adapter of {tmp_path / 'gone'}, which is not there" in capsys.readouterr().err


def test_tensors_that_do_not_fit_are_named(lora, tmp_path):
    from safetensors.torch import load_file, save_file

    model = load_model(json.loads((lora / adapter.CONFIG).read_text())["base_model_name_or_path"])
    adapter.attach(model, str(lora), adapter.read_config(str(lora)))
    tensors = load_file(lora / adapter.WEIGHTS)
    name = next(name for name in tensors if "lora_A" in name)
    for changed, words in (
        ({key: tensor for key, tensor in tensors.items() if key != name}, "is not in it"),
        (tensors | {"base_model.model.model.other.weight": tensors[name].clone()}, "other.weight is not in the model"),
        (tensors | {name: tensors[name][:2].contiguous()}, r"is \[2, \d+\], and \[4, \d+\] in the model"),
    ):
        save_file(changed, tmp_path / "changed.safetensors")
        with pytest.raises(ValueError, match=rf"changed.safetensors: .*{words}"):
            adapter.load_weights(model, tmp_path / "changed.safetensors")


def test_room_for_an_adapter_is_asked_for_not_for_its_base(lora, runs):
    model = load_model(str(runs / "base"))
    adapter.attach(model, str(lora), adapter.read_config(str(lora)))
    apply_plans(model, dict.fromkeys(modules_by_name(model), FROZEN) | {"language_model": ModulePlan("lora", rank=4)})
    adapter_bytes = 4 * sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    alone = TrainingArguments(output_dir="nowhere", use_cpu=True)
    with_fsdp = TrainingArguments(output_dir="nowhere", use_cpu=True, fsdp=True)
    assert weight_bytes(model, alone) == adapter_bytes > 0
    assert weight_bytes(model, with_fsdp) > 4 * adapter_bytes
    model._hf_peft_config_loaded = False
    assert weight_bytes(model, alone) > 4 * adapter_bytes


def test_tied_matrices_are_not_adapted(tiny_parts):
    from peft import LoraConfig

    for target in ("lm_head", "model.language_model.embed_tokens"):
        model = tiny.new_model(tiny_parts)
        model.lm_head.weight = model.model.language_model.embed_tokens.weight
        with pytest.raises(ValueError, match="share their weights in this model: it could not be merged"):
            adapter.add_layers(model, LoraConfig(target_modules=[target]))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("modules.language_model.rank=0", "needs a rank, 1 or more"),
        ("modules.patch_info_mining.rank=4", "patch_info_mining: rank does nothing for a module with train: full"),
        ("modules.patch_info_mining={train: lora, rank: 4}", "patch_info_mining: no attention and no mlp layer"),
        ("modules.multi_modal_projector={train: dora, rank: 4}", "an adapter is of one kind, dora or not"),
        ("modules.multi_modal_projector={train: qlora, rank: 4}", "qlora is for language_model"),
        ("modules.lm_head={train: lora, rank: 4, targets: mlp}", "targets does nothing for the head"),
        ("modules.vision_tower={train: frozen, dtype: bfloat16}", "computes in mixed precision only; set trainer.bf16"),
        ("modules.vision_tower={train: frozen, gradient_checkpointing: true}", "it is frozen, and no gradient passes"),
        ("modules.patch_info_mining.gradient_checkpointing=true", "does nothing, it has no blocks"),
        ("trainer.gradient_checkpointing_kwargs={use_reentrant: true}", "would compute frozen towers as if"),
    ],
)
def test_what_cannot_be_is_said(runs, tmp_path, override, words):
    with pytest.raises(ValueError, match=words):
        train(runs / "lora.yaml", [override, f"trainer.output_dir={tmp_path / 'out'}"])


def test_an_adapter_is_not_merged_in_slices(lora, runs, tmp_path):
    options = ["trainer.deepspeed=train/deepspeed/zero3.json", f"trainer.output_dir={tmp_path / 'out'}"]
    with pytest.raises(ValueError, match=r"lora is an adapter, and ZeRO-3 .* merge it first \(minigemini merge\)"):
        dry_run(runs / "lora.yaml", [*options, f"init_from={lora}"], gpus=8, gpu_memory=80)


def test_experts_do_not_become_4_bit(runs, tmp_path):
    base, experts = tmp_path / "experts", MixtralConfig(num_local_experts=8, **SMALL)
    shutil.copytree(runs / "base", base)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"text_config": experts.to_dict()}))
    options = [f"init_from={base}", f"trainer.output_dir={tmp_path / 'out'}", "data.sources=[{path: nowhere.json}]"]
    words = r"they are \d+% of this language model \(mixtral\)"
    with pytest.raises(ValueError, match=words):
        train(runs / "lora.yaml", [*options, "modules.language_model.train=qlora"])
    assert linear_share(MixtralConfig(num_local_experts=8, **SMALL)) < 0.3
    assert linear_share(LlamaConfig(**SMALL)) > 0.9


def test_what_an_adapter_needs_is_said_before_the_data_is_read(runs, tmp_path, monkeypatch):
    options = [f"trainer.output_dir={tmp_path / 'out'}", "data.sources=[{path: nowhere.json}]"]
    with pytest.raises(ValueError, match="language_model would be an adapter.*`init_from` are parts"):
        train(runs / "base.yaml", ["modules.language_model={train: lora, rank: 4}", *options])
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match="LoRA needs peft, which is not installed"):
        train(runs / "lora.yaml", options)


def test_the_commands_of_the_readme(tmp_path, monkeypatch):
    """On the nano, whose head is tied and whose weights are in 16 bit."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    commands = [shlex.split(line, comments=True)[1:] for line in readme.splitlines() if "runs/mine/lora" in line]
    monkeypatch.chdir(tmp_path)
    assert main(["data", "tabletop", "data/tabletop", "--conversations", "12"]) == 0
    for command in commands:
        few = ["trainer.max_steps=2", "trainer.per_device_train_batch_size=4", "trainer.use_cpu=true"]
        words = few if command[0] == "train" else ["--prompt", "What is this?"] if command[0] == "chat" else []
        assert main([*command, *words]) == 0, command
    merged = MiniGeminiForConditionalGeneration.from_pretrained("runs/mine/merged")
    assert merged.dtype == torch.float32
    beside = beside_its_base(Path("runs/mine/lora"))
    ids = torch.arange(10, 30)[None]
    with torch.no_grad():
        torch.testing.assert_close(merged(input_ids=ids).logits, beside(input_ids=ids).logits, atol=1e-5, rtol=1e-5)
