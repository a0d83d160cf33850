"""The chat as a user meets it: a process of its own, on a pseudo-terminal or a pipe."""

import fcntl
import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time

import pytest
from PIL import Image

from minigemini.conversation import find_prompts
from minigemini.generation.generation_record import read_record
from minigemini.serving.terminal import printable

CTRL_C, CTRL_D = "\x03", "\x04"
PATIENCE = 600  # seconds: a busy machine takes minutes to import torch


@pytest.fixture
def command(tiny_checkpoint, tiny_generator_folder):
    return [
        *(sys.executable, "-m", "minigemini", "chat", str(tiny_checkpoint)),
        *("--generator", str(tiny_generator_folder)),
    ]


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (60, 40), "red").save(tmp_path / "red.png")
    return tmp_path / "red.png"


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "100"}


class Terminal:
    """A person at a terminal: types, and waits for words to appear."""

    def __init__(self, command, folder):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=environment(),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C reaches it
        )
        os.close(slave)
        self.seen = ""
        self.read_to = 0

    def wait_for(self, words):
        until = time.monotonic() + PATIENCE
        while words not in self.seen[self.read_to :]:
            ready, _, _ = select.select([self.master], [], [], 1)
            if ready:
                try:
                    data = os.read(self.master, 65536)
                except OSError:  # the other side has closed it
                    data = b""
                if not data:
                    raise AssertionError(f"ended without {words!r}:\n{self.seen}")
                text = data.decode(errors="replace")
                if "\x1b[6n" in text:  # where is the cursor? prompt_toolkit wants to know
                    os.write(self.master, b"\x1b[1;1R")
                self.seen = plain(self.seen + text)
            assert time.monotonic() < until, f"no {words!r} in:\n{self.seen}"
        found = self.seen.index(words, self.read_to) + len(words)
        between, self.read_to = self.seen[self.read_to : found], found
        return between

    def type(self, text):
        os.write(self.master, text.encode())

    def say(self, line):
        """Type a line when it is asked for."""
        self.wait_for(PROMPT)
        self.type(line + "\r")

    def end(self):
        until = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < until:
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.seen = plain(self.seen + os.read(self.master, 65536).decode(errors="replace"))
                except OSError:
                    break
        return self.process.wait(PATIENCE)


PROMPT = "\N{BLACK RIGHT-POINTING TRIANGLE}"


def plain(text):
    """Without what moves the cursor and colours the text; PROMPT where a line is asked for."""
    text = text.replace("\x1b[?2004h", PROMPT)  # prompt_toolkit: pasted text is welcome from now on
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_a_conversation_at_a_terminal(command, picture, tmp_path):
    terminal = Terminal(command, tmp_path)
    try:
        terminal.wait_for("Say something, or /help.")
        terminal.say("/help")
        terminal.wait_for("Ctrl-C stops an answer, Ctrl-D leaves.")

        terminal.say("/image missing.png")
        terminal.wait_for("! missing.png: no such file")
        (tmp_path / "broken.png").write_bytes(picture.read_bytes()[:60])
        terminal.say("/image broken.png")
        terminal.wait_for("! broken.png: ")
        terminal.say(f"/image {picture}")
        terminal.wait_for("60x40, goes with your next message")
        terminal.say("what is it?")

        terminal.say("/draw")
        terminal.wait_for("What shall I draw?")
        terminal.say("a red circle")
        terminal.wait_for("drawing: ")
        shown = terminal.wait_for("48x48, seed 0")
        assert "[drawing-1.png]" in shown
        assert "20/20" in shown  # the bar
        assert "/s" in shown
        terminal.say("/draw the same in blue")
        terminal.wait_for("[drawing-2.png] 48x48, seed 0")
        assert read_record(tmp_path / "drawing-2.png").parents

        terminal.say("/save")
        terminal.wait_for("saved: conversation-1/conversation.html")
        assert len(list((tmp_path / "conversation-1" / "pictures").glob("*.png"))) == 3
        terminal.say("/reset")
        terminal.wait_for("A new conversation.")
        terminal.say("/save again")
        terminal.wait_for("! nothing was said yet")
        terminal.say("/nonsense")
        terminal.wait_for("There is no command /nonsense")

        terminal.wait_for(PROMPT)
        terminal.type(CTRL_C)  # nothing to stop
        terminal.wait_for("Ctrl-D leaves.")
        terminal.say("/draw a circle")
        terminal.wait_for("drawing: ")
        terminal.type(CTRL_C)
        assert "drawing-3.png" not in terminal.wait_for("(stopped)")
        terminal.say("/help")  # the program goes on
        terminal.wait_for("Ctrl-D leaves.")
        terminal.wait_for(PROMPT)
        terminal.type(CTRL_D)
        assert terminal.end() == 0
    finally:
        terminal.process.kill()
        os.close(terminal.master)
    assert not (tmp_path / "drawing-3.png").exists()


def test_lines_from_a_pipe(command, tmp_path):
    lines = "hello\n/image missing.png\n/draw a red circle\n"
    ended = subprocess.run(
        [*command, "--out", "pictures"], input=lines, capture_output=True, text=True, cwd=tmp_path, env=environment()
    )
    assert ended.returncode == 0, ended.stderr
    assert "! missing.png: no such file" in ended.stdout
    assert "[pictures/drawing-1.png]" in ended.stdout
    assert "\x1b" not in ended.stdout
    assert read_record(tmp_path / "pictures" / "drawing-1.png").seed == 0


def test_bytes_that_are_no_utf_8(command, tmp_path):
    """From a pipe and on the command line: replaced, said, and answered; the next line too."""
    ended = subprocess.run(
        command,
        input=b"caf\xe9\n/nothing\n",
        capture_output=True,
        cwd=tmp_path,
        env={**environment(), "LC_ALL": "C.UTF-8"},
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count(b"(bytes that are no UTF-8 were replaced)") == 1
    assert b"There is no command /nothing" in ended.stdout
    ended = subprocess.run(
        [*command, "--prompt", b"caf\xe9"],
        capture_output=True,
        cwd=tmp_path,
        env={**environment(), "LC_ALL": "C.UTF-8"},
    )
    assert ended.returncode == 0, ended.stderr
    assert b"minigemini: bytes of the prompt that are no UTF-8 were replaced\n" in ended.stderr


def test_one_answer_as_json(command, picture, tmp_path):
    ended = subprocess.run(
        [*command, "--image", str(picture), "--prompt", "draw <image>", "--draw", "always", "--json", "--seed", "5"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)  # and nothing else
    (image,) = found["images"]
    assert image["file"] == "drawing-1.png"
    assert image["record"]["seed"] == 5
    assert read_record(tmp_path / image["file"]).prompt == image["record"]["prompt"]
    assert [span.prompt for span in find_prompts(found["answer"])] == [image["record"]["prompt"]]
    assert "<h>" not in found["text"]
    assert any("< image>" in notice for notice in found["notices"])


@pytest.mark.parametrize("arguments", [["--image", "missing.png"], ["--generator", "nano-nothing"]])
def test_what_goes_wrong_ends_with_an_error_and_prints_no_answer(command, tmp_path, arguments):
    ended = subprocess.run(
        [*command, *arguments, "--prompt", "hello", "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**environment(), "HF_HUB_OFFLINE": "1"},
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert arguments[1] in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_steers_a_terminal_is_not_printed():
    assert printable("a\x1b[2Jb\r\x07\ncé\t漢") == "a\ufffd[2Jb\ufffd\ufffd\ncé\t漢"
