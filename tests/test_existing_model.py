"""A model that is missing or torn is said in our words before anything is loaded."""

import json
import shutil
import subprocess
import sys

import pytest

from minigemini import nano
from minigemini.cli import main
from minigemini.existing_model import check_exists


@pytest.fixture
def folder(tmp_path):
    """A whole model."""
    return shutil.copytree(nano.path("nano-base/language_model"), tmp_path / "model")


def test_shipped_models_are_whole():
    for name in ("nano", "nano-low-res", "nano-base/vision_tower", "nano-base/image_generator"):
        check_exists(str(nano.path(name)))


@pytest.mark.parametrize("name", ["./gen", "runs/mine/align", "/nowhere/at/all"])
def test_a_path_that_is_not_there(name):
    with pytest.raises(ValueError, match=f"^{name}: there is no such folder$"):
        nano.resolve(name)


def test_a_hub_id_without_network_is_said_at_once(tmp_path):
    code = "from minigemini import nano; nano.resolve('runs/nope')"
    for offline in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):  # the discard port: nobody listens
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"HF_HOME": str(tmp_path), "PYTHONPATH": ":".join(filter(None, sys.path)), **offline},
            capture_output=True,
            text=True,
            timeout=60,
        )
        last = done.stderr.splitlines()[-1]
        assert last.startswith("ValueError: runs/nope: there is no such folder, and the hub cannot be asked for it (")


def test_a_hub_id_in_the_cache_needs_no_network(tmp_path):
    repository = tmp_path / "models--somebody--something"
    (repository / "snapshots" / "a").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a")
    done = subprocess.run(
        [sys.executable, "-c", "from minigemini import nano; print(nano.resolve('somebody/something'))"],
        env={"HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "somebody/something\n"


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
def test_a_cut_file_is_named(folder, name):
    cut(folder / name)
    with pytest.raises(ValueError, match=f"model/{name}: torn"):
        check_exists(str(folder))


def test_an_empty_weights_file_is_named(folder):
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="model/model.safetensors: torn"):
        check_exists(str(folder))


def test_a_missing_shard_is_named(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(ValueError, match="model/model-00002-of-00002.safetensors: missing"):
        check_exists(str(folder))


def test_a_part_of_a_generator_is_looked_at(tmp_path):
    generator = shutil.copytree(nano.path("nano-base/image_generator"), tmp_path / "generator")
    weights = next((generator / "vae").glob("*.safetensors"))
    cut(weights)
    with pytest.raises(ValueError, match=f"vae/{weights.name}: torn"):
        check_exists(str(generator))


def test_what_is_no_model(tmp_path):
    with pytest.raises(ValueError, match="holds no model"):
        check_exists(str(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="this is a file"):
        check_exists(str(tmp_path / "file"))


def test_a_missing_generator_is_said_before_the_model_is_loaded(capsys, monkeypatch):
    loaded = []
    monkeypatch.setattr("minigemini.serving.load_session.load", loaded.append)
    assert main(["chat", "--generator", "./gen", "--prompt", "hi"]) == 1
    assert capsys.readouterr().err == "minigemini: ./gen: there is no such folder\n"
    assert not loaded
