"""What commands take by name: a path wins, then a shipped name."""

from pathlib import Path

from minigemini import shipped
from minigemini.training.run import arguments_of


def test_names_are_those_of_yaml_files_at_any_depth(tmp_path):
    (tmp_path / "nano").mkdir()
    for file in ("b.yaml", "nano/a.yaml", "nano/README.md"):
        (tmp_path / file).touch()
    assert shipped.names(tmp_path) == ["b", "nano/a"]
    assert shipped.named("nano/a", tmp_path) == tmp_path / "nano" / "a.yaml"
    assert shipped.named(str(tmp_path / "nano" / "README.md"), tmp_path / "gone") == tmp_path / "nano" / "README.md"
    assert shipped.named("nano", tmp_path) is None
    assert shipped.named(str(tmp_path / "b"), tmp_path) is None  # no half of a path


def test_settings_of_deepspeed_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "train/deepspeed/zero3.json"
    found = arguments_of({"deepspeed": name})["deepspeed"]
    assert Path(found).is_absolute()
    assert '"stage": 3' in Path(found).read_text()
    assert arguments_of({"deepspeed": {"stage": 3}})["deepspeed"] == {"stage": 3}
    assert arguments_of({"deepspeed": "mine.json"})["deepspeed"] == "mine.json"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("{}")
    assert arguments_of({"deepspeed": name})["deepspeed"] == name
