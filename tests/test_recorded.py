"""The recordings that are packed in tests/recorded/: their size, and how they are packed."""

import tarfile
from pathlib import Path

import pytest
import shared
import torch
from recorded.pack import PROMPTS, contents, original, pack, sample
from safetensors.torch import load, save_file


@pytest.fixture
def recordings(tmp_path) -> Path:
    folder = tmp_path / "parity"
    (folder / "gemma_std").mkdir(parents=True)
    (folder / "README.md").write_text("About all.")
    (folder / "gemma_std" / "tokenizer.model").write_bytes(b"\x15work/in \x0dwork/out")
    tensors = {"in.images": torch.randn(3, 4), "gen.scores": torch.zeros(2), "out.logits": torch.tensor([0.1, -0.0])}
    save_file(tensors, folder / "gemma_std" / "case_single.safetensors")
    return folder


def test_they_are_small():
    """Every clone carries them, and history every version of them."""
    assert sum(file.stat().st_size for file in shared.PACKED.rglob("*") if file.is_file()) < 12e6


def test_the_same_recordings_give_the_same_bytes(recordings, tmp_path):
    pack(recordings, original, tmp_path / "one.tar.xz")
    for file in recordings.rglob("*"):
        file.touch()
    pack(recordings, original, tmp_path / "two.tar.xz")
    assert (tmp_path / "one.tar.xz").read_bytes() == (tmp_path / "two.tar.xz").read_bytes()
    with tarfile.open(tmp_path / "one.tar.xz") as archive:
        assert archive.getnames() == ["gemma_std/case_single.safetensors", "gemma_std/tokenizer.model"]


def test_tensors_are_left_out_and_not_changed(recordings):
    packed = load(dict(contents(recordings, original))["gemma_std/case_single.safetensors"])
    whole = load((recordings / "gemma_std" / "case_single.safetensors").read_bytes())
    assert packed.keys() == {"in.images", "out.logits"}
    for name, tensor in packed.items():
        assert tensor.numpy().tobytes() == whole[name].numpy().tobytes()


def test_cut_paths_are_as_long_as_they_are_said_to_be(recordings):
    assert dict(contents(recordings, original))["gemma_std/tokenizer.model"] == (
        b"\x15............work/in \x0d............work/out"
    )


def test_what_may_not_be_passed_on():
    for name in ("mme_lavin/OCR.txt", "scienceqa_llava/rows.jsonl", "pope/README.md"):
        assert sample(name, b"text") == b""
    rows = b'{"benchmark": "mme"}\n{"benchmark": "gqa"}\n'
    assert sample("llava_eval_prompts/prompts.jsonl", rows) == b'{"benchmark": "gqa"}\n'


@shared.needs_fixtures
def test_nothing_withheld_is_packed():
    folders = {path.name for path in shared.FIXTURES.iterdir()}
    assert not folders & {"mme_lavin", "scienceqa_llava"}
    assert {row["benchmark"] for row in shared.read_rows("llava_eval_prompts/prompts.jsonl")} == PROMPTS


@shared.needs_recorded
@shared.needs_fixtures
@pytest.mark.parametrize("folder", [shared.RECORDED, shared.FIXTURES], ids=["original", "samples"])
def test_the_readme_names_every_case(folder):
    readme = (shared.PACKED / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in folder.iterdir() if f"\n| {path.name} |" not in readme] == []
