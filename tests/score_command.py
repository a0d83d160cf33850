"""`minigemini eval score` as the tests of its formats call it."""

import json

from minigemini.cli import main


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def scored(tmp_path, *arguments):
    """What `minigemini eval score` writes."""
    out = tmp_path / "out" / "score.json"
    assert main(["eval", "score", *map(str, arguments), "--json", str(out)]) == 0
    return json.loads(out.read_text(encoding="utf-8"))


def refusal(capsys, *arguments):
    """The one line by which it refuses."""
    assert main(["eval", "score", *map(str, arguments)]) == 1
    return capsys.readouterr().err
