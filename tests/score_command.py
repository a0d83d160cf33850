"""Lines of predictions, and `minigemini eval score` as the tests call it."""

import json

from minigemini.cli import main


def line(id, prediction, reference, kind="", **more):
    """Of predictions."""
    return {"id": str(id), "kind": kind, "prediction": prediction, "reference": reference, **more}


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
