"""`minigemini convert` itself: nothing lost, nothing guessed, nothing half done."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from released import OPENAI, TOWERS, copied
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from shared import RECORDED, needs_recorded

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.checkpoints.convert_mgm.architecture import our_name
from minigemini.checkpoints.convert_mgm.convert import convert
from minigemini.cli import main

pytestmark = needs_recorded

STANDARD = "llama_std/MGM-7B-tiny"


@pytest.fixture
def source(tmp_path) -> Path:
    return copied(STANDARD, tmp_path / "source")


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def rewrite(folder: Path, change: Any) -> None:
    """Save the weights of `folder` once more in one file, after `change(weights)`."""
    weights = weights_in(folder)
    change(weights)
    for file in [*folder.glob("*.safetensors"), folder / "model.safetensors.index.json"]:
        file.unlink(missing_ok=True)
    save_file(weights, folder / "model.safetensors")


def edit_config(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def test_every_tensor_arrives_unchanged(source, tmp_path):
    report = convert(str(source), tmp_path / "out", **TOWERS)
    before, after = weights_in(source), weights_in(tmp_path / "out")
    assert {our_name(name) for name in before} == after.keys()
    for name, tensor in before.items():
        assert torch.equal(after[our_name(name)], tensor), name
    assert (report.tensors_in_source, report.tensors_placed, report.tensors_in_target) == (189, 189, 189)
    assert report.parameters == sum(tensor.numel() for tensor in before.values())
    written = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert written["tensors_placed"] == 189
    assert written["files_not_read"] == ["mm_projector.bin"]
    assert "tokenizer_model_max_length" in written["config_keys_without_meaning"]
    readable = (tmp_path / "out" / "conversion.md").read_text()
    assert "189 of 189 tensors placed" in readable
    assert "Drop path" in readable
    assert not list(tmp_path.glob("*.partial"))


def test_it_loads_without_a_word_about_missing_weights(source, tmp_path):
    convert(str(source), tmp_path / "out", **TOWERS)
    model, info = MiniGeminiForConditionalGeneration.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info.values())
    assert model.config.image_token_id == model.config.text_config.vocab_size == 512
    assert model.generation_config.eos_token_id == [2]
    processor = MiniGeminiProcessor.from_pretrained(tmp_path / "out")
    assert processor.image_token_id == 512
    assert processor.tokenizer.padding_side == "left"
    with pytest.raises(ValueError, match="no images were given"):
        model(torch.tensor([[1, 512, 5]]))


def test_pickled_shards_give_the_same_bytes(source, tmp_path):
    convert(str(source), tmp_path / "out", **TOWERS)
    index = json.loads((source / "model.safetensors.index.json").read_text())
    for file in sorted(source.glob("model-*.safetensors")):
        torch.save(load_file(file), source / pickled_name(file.name))
        file.unlink()
    (source / "model.safetensors.index.json").unlink()
    index["weight_map"] = {name: pickled_name(file) for name, file in index["weight_map"].items()}
    (source / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    convert(str(source), tmp_path / "pickled", **TOWERS)
    one, other = weights_in(tmp_path / "out"), weights_in(tmp_path / "pickled")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def pickled_name(shard: str) -> str:
    return shard.replace("model-", "pytorch_model-").replace(".safetensors", ".bin")


@pytest.mark.parametrize("zipped", [True, False])
def test_one_pickled_file(source, tmp_path, zipped):
    """Also of before torch 1.6, which cannot be mapped into memory."""
    weights = weights_in(source)
    for file in [*source.glob("*.safetensors"), source / "model.safetensors.index.json"]:
        file.unlink()
    torch.save(weights, source / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    report = convert(str(source), tmp_path / "out", **TOWERS)
    assert list(report.source_files) == ["pytorch_model.bin"]
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert torch.equal(weights_in(tmp_path / "out")["lm_head.weight"], weights["lm_head.weight"])


def test_one_file_of_the_official_training(tmp_path):
    """An unsharded checkpoint, which the original itself cannot load."""
    source = copied("train_llama/mgm-stage2", tmp_path / "source")
    report = convert(str(source), tmp_path / "out", **TOWERS)
    assert report.tensors_in_source == report.tensors_placed == 189
    MiniGeminiForConditionalGeneration.from_pretrained(tmp_path / "out")


def test_code_in_a_pickle_is_not_run(source, tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harmed"),)

    for file in [*source.glob("*.safetensors"), source / "model.safetensors.index.json"]:
        file.unlink()
    torch.save({"model.norm.weight": Harmful()}, source / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin cannot be read as tensors alone"):
        convert(str(source), tmp_path / "out", **TOWERS)
    assert not (tmp_path / "harmed").exists()
    torch.save({"model.norm.weight": 3}, source / "pytorch_model.bin")
    with pytest.raises(ValueError, match="something else than tensors by name"):
        convert(str(source), tmp_path / "out", **TOWERS)


def test_a_tensor_without_a_place(source, tmp_path):
    rewrite(source, lambda weights: weights.update({"model.vision_resampler.weight": torch.ones(2)}))
    with pytest.raises(ValueError, match=r"1 tensors have no place: model\.vision_resampler\.weight"):
        convert(str(source), tmp_path / "out", **TOWERS)
    assert not list(tmp_path.glob("out*"))


def test_a_missing_tensor(source, tmp_path):
    rewrite(source, lambda weights: weights.pop("model.vlm_uni_aux_projector.1.bias"))
    with pytest.raises(ValueError, match=r"1 tensors are missing: model\.patch_info_mining\.key_projection\.bias"):
        convert(str(source), tmp_path / "out", **TOWERS)


def test_a_tensor_of_another_shape(source, tmp_path):
    rewrite(source, lambda weights: weights.update({"lm_head.weight": torch.ones(511, 64)}))
    with pytest.raises(
        ValueError, match=r"another shape: lm_head\.weight is \[511, 64\], lm_head\.weight is \[512, 64\]"
    ):
        convert(str(source), tmp_path / "out", **TOWERS)


def test_tables_are_dropped_and_said_to_be(source, tmp_path):
    names = [
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.vision_tower.vision_tower.vision_model.embeddings.position_ids",
    ]
    rewrite(source, lambda weights: weights.update({names[0]: torch.ones(8), names[1]: torch.arange(17)[None]}))
    report = convert(str(source), tmp_path / "out", **TOWERS)
    assert sorted(report.dropped) == names
    assert report.tensors_in_source == report.tensors_placed + 2
    assert "counts 0, 1, 2" in (tmp_path / "out" / "conversion.md").read_text()


def test_a_tied_head(tmp_path):
    """Gemma's: saved or not, it is the embeddings; if it is not, dropping it would lose it."""
    source = copied("gemma_std/MGM-2B-tiny", tmp_path / "source")
    assert "lm_head.weight" not in weights_in(source)
    assert convert(str(source), tmp_path / "without", **TOWERS).dropped == {}
    rewrite(source, lambda weights: weights.update({"lm_head.weight": weights["model.embed_tokens.weight"].clone()}))
    report = convert(str(source), tmp_path / "with", **TOWERS)
    assert list(report.dropped) == ["lm_head.weight"]
    assert report.stops_at == ["<eos>", "<end_of_turn>"]
    rewrite(source, lambda weights: weights["lm_head.weight"].mul_(2))
    with pytest.raises(ValueError, match="tied to the embeddings"):
        convert(str(source), tmp_path / "other", **TOWERS)


def test_types_of_weights_are_kept(source, tmp_path):
    def half(weights: dict[str, torch.Tensor]) -> None:
        for name in weights:
            weights[name] = weights[name].to(torch.bfloat16)

    rewrite(source, half)
    edit_config(source, torch_dtype="bfloat16")
    convert(str(source), tmp_path / "out", **TOWERS)
    before, after = weights_in(source), weights_in(tmp_path / "out")
    assert {tensor.dtype for tensor in after.values()} == {torch.bfloat16}
    assert all(torch.equal(after[our_name(name)], tensor) for name, tensor in before.items())
    assert MiniGeminiForConditionalGeneration.from_pretrained(tmp_path / "out").dtype == torch.bfloat16


def test_it_goes_on_where_it_was_killed(source, tmp_path):
    out, partial = tmp_path / "out", tmp_path / "out.partial"

    def killed(written: int, total: int) -> None:
        if written > 0.6 * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(str(source), out, **TOWERS, progress=killed)
    assert not out.exists()
    first = partial / "model-00001-of-00002.safetensors"
    assert [file.name for file in partial.glob("*.safetensors")] == [first.name]
    made = first.stat().st_mtime_ns, first.stat().st_ino
    told = []
    convert(str(source), out, **TOWERS, progress=lambda written, total: told.append(written / total))
    again = (out / first.name).stat()
    assert (again.st_mtime_ns, again.st_ino) == made
    assert told == sorted(told)
    assert told[-1] == 1
    assert {our_name(name) for name in weights_in(source)} == weights_in(out).keys()
    assert not list(out.glob("*.writing"))


def test_what_is_half_done_of_another_conversion(source, tmp_path):
    (tmp_path / "out.partial").mkdir()
    with pytest.raises(ValueError, match="of another conversion"):
        convert(str(source), tmp_path / "out", **TOWERS)


def test_it_writes_into_nothing_that_is_there(source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="out exists already"):
        convert(str(source), tmp_path / "out", **TOWERS)


def test_a_missing_shard(source, tmp_path):
    (source / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model-00002-of-00002\.safetensors is missing"):
        convert(str(source), tmp_path / "out", **TOWERS)


def test_a_cut_shard(source, tmp_path):
    shard = source / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model-00002-of-00002\.safetensors is not a whole safetensors file"):
        convert(str(source), tmp_path / "out", **TOWERS)


def test_an_index_that_does_not_agree(source, tmp_path):
    file = source / "model.safetensors.index.json"
    index = json.loads(file.read_text())
    index["weight_map"]["lm_head.weight"] = "model-00001-of-00002.safetensors"
    file.write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"does not agree with the shards on 1 tensors, first 'lm_head\.weight'"):
        convert(str(source), tmp_path / "out", **TOWERS)


@pytest.mark.parametrize(
    ("part", "option", "prefix"),
    [
        ("vision_tower", "--vision-tower", "model.vision_tower.vision_tower."),
        ("high_res_vision_tower", "--high-res-vision-tower", "model.vision_tower_aux."),
    ],
)
def test_towers_that_are_not_there(source, tmp_path, part, option, prefix):
    """Of no released size, their configuration cannot be known; without tensors of them, nothing can."""
    others = {key: value for key, value in TOWERS.items() if key != part}
    with pytest.raises(ValueError, match=f"of no released tower .* with {option}"):
        convert(str(source), tmp_path / "out", **others)
    rewrite(source, lambda weights: [weights.pop(name) for name in list(weights) if name.startswith(prefix)])
    with pytest.raises(ValueError, match=f"holds no tensors of it: .* with {option}"):
        convert(str(source), tmp_path / "out", **others)


def test_towers_where_the_checkpoint_names_them(source, tmp_path, monkeypatch):
    """Relative to the working directory, as the original wants it."""
    monkeypatch.chdir(OPENAI.parents[1])
    report = convert(str(source), tmp_path / "out")
    assert report.vision_tower == "model_zoo/OpenAI/clip-vit-large-patch14-336"


def test_weights_of_the_low_resolution_tower_from_its_own_folder(source, tmp_path):
    prefix = "model.vision_tower.vision_tower."
    tower = {name: tensor for name, tensor in weights_in(source).items() if name.startswith(prefix)}
    rewrite(source, lambda weights: [weights.pop(name) for name in tower])
    report = convert(str(source), tmp_path / "out", **TOWERS)
    assert report.tensors_from_towers == len(tower)
    assert report.tensors_in_target == 189
    after = weights_in(tmp_path / "out")
    assert all(torch.equal(after[our_name(name)], tensor) for name, tensor in tower.items())
    MiniGeminiForConditionalGeneration.from_pretrained(tmp_path / "out")


def test_a_tower_that_does_not_fit(source, tmp_path):
    other = shutil.copytree(TOWERS["vision_tower"], tmp_path / "clip", copy_function=shutil.copyfile)
    edit_config(other, image_size=28)
    with pytest.raises(ValueError, match="its image_size is 28, but the checkpoint's tower has 56"):
        convert(str(source), tmp_path / "out", str(other), TOWERS["high_res_vision_tower"])


def test_lora_is_refused(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="holds LoRA adapters"):
        convert(str(tmp_path), tmp_path / "out")


def test_the_first_stage_is_refused(tmp_path):
    source = copied("train_llama/stage1", tmp_path / "source")
    with pytest.raises(ValueError, match="mm_projector.bin holds projector, mining and towers but no language model"):
        convert(str(source), tmp_path / "out", **TOWERS)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"model_type": "llava"}, "its model_type is 'llava'"),
        ({"model_type": "minigemini"}, "is converted already"),
        ({"mm_projector_type": "linear"}, "mm_projector_type = 'linear' is not supported"),
        ({"mm_vision_select_feature": "cls_patch"}, "mm_vision_select_feature = 'cls_patch'"),
        ({"mm_use_im_start_end": True}, "mm_use_im_start_end = True"),
        ({"mm_vision_tower_aux": None}, "no mm_vision_tower_aux"),
        ({"image_grid": 1, "image_global": True}, "image_global needs image_grid > 1"),
        ({"image_size_aux": 100}, "does not fit the low-resolution tower"),
    ],
)
def test_what_is_not_a_released_kind(source, tmp_path, values, reason):
    edit_config(source, **values)
    with pytest.raises(ValueError, match=reason):
        convert(str(source), tmp_path / "out", **TOWERS)


def test_neither_folder_nor_hub_id(tmp_path):
    with pytest.raises(ValueError, match="no such folder, and no repository"):
        convert(str(tmp_path / "nothing" / "at" / "all"), tmp_path / "out")


def test_crop_instead_of_pad(source, tmp_path):
    edit_config(source, image_aspect_ratio="square")
    convert(str(source), tmp_path / "out", **TOWERS)
    process = MiniGeminiProcessor.from_pretrained(tmp_path / "out").image_processor
    expected = load_file(RECORDED / "preprocess" / "cli_crop_grid1.safetensors")
    for file in sorted((RECORDED / "preprocess" / "images").glob("*.png")):
        out = process(Image.open(file), return_tensors="pt")
        torch.testing.assert_close(out["high_res_pixel_values"], expected[f"{file.name}/images_aux"], atol=1e-6, rtol=0)
        torch.testing.assert_close(out["pixel_values"], expected[f"{file.name}/images"], atol=2e-6, rtol=0)


def test_no_pictures_and_empty_ones(source, tmp_path):
    convert(str(source), tmp_path / "out", **TOWERS)
    processor = MiniGeminiProcessor.from_pretrained(tmp_path / "out")
    asked = [{"role": "user", "content": "Is it night?"}]
    text = processor.apply_chat_template(asked, add_generation_prompt=True)
    for images in (None, []):
        assert set(processor(text=text, images=images)) == {"input_ids", "attention_mask"}
    with pytest.raises(ValueError, match="the picture is empty: 0 x 5 pixels"):
        processor(text="<image>", images=[Image.new("RGB", (0, 5))])


def test_a_hub_id(source, tmp_path, monkeypatch):
    """What the hub's cache holds is converted without a network."""
    snapshot = tmp_path / "cache" / "models--someone--MGM-tiny" / "snapshots" / ("a" * 40)
    shutil.copytree(source, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    report = convert("someone/MGM-tiny", tmp_path / "out", **TOWERS)
    assert (report.source, report.tensors_placed) == ("someone/MGM-tiny", 189)
    with pytest.raises(ValueError, match="someone/else: no such folder, and no repository"):
        convert("someone/else", tmp_path / "other")


def test_command(source, tmp_path, capsys):
    towers = ["--vision-tower", TOWERS["vision_tower"], "--high-res-vision-tower", TOWERS["high_res_vision_tower"]]
    assert main(["convert", str(source), str(tmp_path / "out"), *towers]) == 0
    assert "189 of 189 tensors placed, 0 dropped; all 189 of the model filled" in capsys.readouterr().out
    assert main(["convert", str(source), str(tmp_path / "out"), *towers]) == 1
    assert "exists already" in capsys.readouterr().err
    with safe_open(tmp_path / "out" / "model-00001-of-00002.safetensors", "pt") as tensors:
        assert tensors.metadata() == {"format": "pt"}
