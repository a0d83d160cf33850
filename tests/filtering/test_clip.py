"""A CLIP of open_clip, tiny and random: its cosines are those of the library, whatever the batch, and in the whole command too."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
from filtering_data import captioned, lines, rules_file
from PIL import Image
from safetensors.torch import save_file

from minigemini.cli import main
from minigemini.data.records import parse_record
from minigemini.filtering.clip_similarity import ClipSimilarity
from minigemini.filtering.sample import Sample

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    model = open_clip.CLIP(
        CONFIG["embed_dim"],
        open_clip.CLIPVisionCfg(**CONFIG["vision_cfg"]),
        open_clip.CLIPTextCfg(**CONFIG["text_cfg"]),
    )
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": preprocess}))
    return folder


def records(folder: Path) -> list[dict]:
    found = [captioned(folder, number, f"{number} hats on a shelf") for number in range(5)]
    found[1]["conversations"] = [{"from": "human", "value": "hello"}, {"from": "gpt", "value": "hello, no picture"}]
    del found[1]["image"]
    found[3]["conversations"][1]["value"] = "hats and hats and " * 10
    (folder / "4.png").write_bytes(b"torn")
    return found


def test_it_is_the_cosine_of_open_clip(tmp_path, clip):
    samples = [Sample(parse_record(raw, str(n), tmp_path)) for n, raw in enumerate(records(tmp_path))]
    measured = ClipSimilarity(model=str(clip), min=0.0).load()(samples)
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{clip}")
    model.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{clip}")
    for number in (0, 2, 3):
        picture = preprocess(Image.open(tmp_path / f"{number}.png"))[None]
        with torch.inference_mode():
            seen = torch.nn.functional.normalize(model.encode_image(picture), dim=-1)
            read = torch.nn.functional.normalize(model.encode_text(tokenizer([samples[number].answers])), dim=-1)
        assert measured[number].value == pytest.approx(float(seen @ read.T), abs=1e-5)
    assert len({round(measured[number].value, 4) for number in (0, 2, 3)}) == 3
    assert measured[1].value is None
    assert not measured[1].failed
    assert measured[4].failed
    assert [measured[number].note for number in (0, 3)] == ["", "read no more than 16 tokens"]


def test_in_the_whole_command_and_asked_once(tmp_path, clip, monkeypatch):
    (tmp_path / "data.json").write_text(json.dumps(records(tmp_path)))
    rules = [{"rule": "length", "min": 5}, {"rule": "clip_similarity", "model": str(clip), "min": -1.0}]
    out = tmp_path / "out"
    command = ["data", "filter", str(rules_file(tmp_path, rules)), str(tmp_path / "data.json"), "--out", str(out)]
    assert main(command) == 0
    gone = [(line["rule"], line["value"]) for line in lines(out / "dropped.jsonl")]
    assert gone == [("filters.0 length", 3.0), ("filters.1 clip_similarity", None)]
    monkeypatch.setattr(ClipSimilarity, "load", lambda self: pytest.fail("it was asked already"))
    assert main([*command, "filters.1.min=1"]) == 0
    assert lines(out / "kept.jsonl") == []


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"model": "ViT-B-32"}, "weights in `pretrained`, or they would be random"),
        ({"model": ".", "pretrained": "openai"}, "brings its weights"),
    ],
)
def test_weights_are_told_once(settings, wrong):
    with pytest.raises(ValueError, match=wrong):
        ClipSimilarity(min=0.2, **settings)


def test_a_folder_without_a_clip_is_named(tmp_path):
    with pytest.raises(ValueError, match="no CLIP can be loaded from there"):
        ClipSimilarity(model=str(tmp_path), min=0.2).load()
