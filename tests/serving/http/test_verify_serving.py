"""``minigemini verify-serving`` on real processes: the same checkpoint, another under its name, another name, no server."""

import shutil
import socket

import pytest
import torch
from safetensors.torch import load_file, save_file
from serving_process import serving

from minigemini import nano
from minigemini.cli import main
from minigemini.conversation import message
from minigemini.engine.local import Answer
from minigemini.serving.asked_server import Reply
from minigemini.serving.verify_serving import Compared, verify_serving


@pytest.fixture(scope="module")
def perturbed(tmp_path_factory):
    """The nano with another projector, under its name."""
    folder = tmp_path_factory.mktemp("perturbed") / "nano"
    shutil.copytree(nano.path("nano"), folder)
    weights = load_file(folder / "model.safetensors")
    names = [name for name in weights if "multi_modal_projector" in name and name.endswith("weight")]
    for name in names:
        weights[name] *= 0.1
    assert names
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def address():
    with serving("-m", "minigemini", "serve", "--port", "0") as server:
        yield server.address


def test_our_server_answers_as_the_checkpoint(address, capsys):
    assert main(["verify-serving", address]) == 0
    captured = capsys.readouterr()
    assert "all 77 are the same" in captured.out
    assert "differ" not in captured.out
    rows = {row[:-3]: row[-3:] for line in captured.out.splitlines() if (row := tuple(line.split()))[-1:] == ("7",)}
    assert rows[("two", "pictures")] == rows[("tag",)] == rows[("no", "picture")] == ("7", "7", "7")
    assert "asking nano" in captured.err


def test_other_weights_under_the_same_name_are_found_out(perturbed, capsys):
    with serving("-m", "minigemini", "serve", str(perturbed), "--port", "0") as server:
        assert main(["verify-serving", f"{server.address}/v1/"]) == 1
    out = capsys.readouterr().out
    different = int(out.rpartition(" of 77 differ")[0].split()[-1])
    assert out.count("    checkpoint: ") == out.count("    server:     ") == different > 5
    (no_picture,) = (line.split() for line in out.splitlines() if line.startswith("no picture"))
    assert no_picture == ["no", "picture", "7", "7", "7"]  # the projector is not in it


def test_another_model_is_named(address, capsys):
    assert main(["verify-serving", address, "--model", "nano-low-res"]) == 1
    err = capsys.readouterr().err
    assert "has 'nano', not 'nano-low-res'" in err
    assert "--served-as" in err
    assert main(["verify-serving", address, "--served-as", "other"]) == 1
    assert "HTTP 404" in capsys.readouterr().err


def test_a_conversation_that_the_server_refuses_is_a_difference(address, capsys):
    questions = {"long": [[message("user", "a mug and " * 400)]], "short": [[message("user", "hello")]]}
    assert verify_serving(address, "nano", questions, max_new_tokens=1) == 1
    out = capsys.readouterr().out
    assert "server:     refused: HTTP 400" in out
    assert "start anew" in out
    assert "1 of 2 differ" in out
    assert max(map(len, out.splitlines())) < 500  # what was asked is shown shortened


def test_no_server_is_said_before_the_model_is_loaded(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert main(["verify-serving", f"http://127.0.0.1:{port}", "--model", "nano"]) == 1
    assert "cannot be reached" in capsys.readouterr().err
    assert main(["verify-serving", "localhost:8000"]) == 1
    assert "is no URL of a server" in capsys.readouterr().err
    assert main(["verify-serving", "http://localhost:8000", "--model", "nano-xl"]) == 1
    assert "nano-xl" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("own", "served", "same"),
    [(" red \ufffd", "red", True), (" red", "red", True), ("red", "re", False), ("a \ufffd b", "a b", False)],
)
def test_only_blanks_around_and_half_a_character_at_the_end_make_no_difference(own, served, same):
    answer = Answer(own, "stop", torch.tensor([1]), prompt_tokens=3)
    assert Compared("kind", [message("user", "q")], answer, Reply(served, 3)).same_text is same
