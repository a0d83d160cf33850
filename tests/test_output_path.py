"""What is to be written is looked at while the arguments are read; a reader that goes away loses nothing."""

import subprocess
import sys

import pytest

from minigemini.cli import main


@pytest.mark.parametrize(
    "command",
    [
        ["chat", "--prompt", "hi", "--out"],
        ["eval", "smoke", "--out"],
        ["eval", "ablate", "smoke", "--out"],
        ["eval", "draw-decision", "--out"],
        ["convert", "somewhere"],
        ["data", "tabletop"],
    ],
)
@pytest.mark.parametrize("inside", ["", "/inside/of"])
def test_a_file_where_a_folder_is_needed(command, inside, tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as exit:
        main([*command, f"{tmp_path}/file{inside}"])
    assert exit.value.code == 2
    assert f"{tmp_path}/file is a file, and a folder is needed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["draw-again", "a.png", "--out"],
        ["eval", "report", "run", "--out"],
        ["eval", "score", "mme", "file", "--json"],
        ["eval", "diff", "a", "b", "--json"],
        ["data", "check", "a.json", "--list"],
    ],
)
def test_a_folder_where_a_file_is_needed(command, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit:
        main([*command, str(tmp_path)])
    assert exit.value.code == 2
    assert f"{tmp_path} is a folder, and a file is to be written" in capsys.readouterr().err


def test_a_reader_that_goes_away(tmp_path):
    """Its end of the pipe is closed before a word is said."""
    code = (
        "import sys; from minigemini import cli\n"
        "def run(parsed): print('x' * 100_000); return 0\n"
        "cli.run_data_tabletop = run\n"
        "sys.exit(cli.main(['data', 'tabletop', 'out']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141
