"""predictions.jsonl: appended while a run goes on, so that an interrupted run continues; sorted when it is complete.

Beside it lies ``settings.json``: everything that all predictions depend on; what one of them alone depends on (prompt, pictures, way
of decoding) is the ``key`` of its line, a digest of each. A run with other settings or with another example of the same id is refused, by
the name of what differs; predictions of two models or two prompts never end up in one file.

Of several processes each appends to a file of its own, predictions.N.jsonl; the first one gathers them at the end, and at the
start what an interrupted run left behind, by however many processes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minigemini.evaluation.running.share import ALONE, Share

NAME = "predictions.jsonl"
RowKey = Mapping[str, str]
"""What one line depends on, by name, as digests."""


class PredictionFile:
    """The predictions of one run, in ``folder/predictions.jsonl``.

    Args:
        folder: made if it does not exist.
        keys: of all examples of the run, by their ids, in the order the finished file has.
        settings: plain JSON; equal settings and keys must give equal predictions.
        share: of this process, where several answer. Each must make the same calls.

    Raises:
        ValueError: the folder holds predictions made with other settings, or a line that is none of this run.
    """

    def __init__(
        self, folder: Path, keys: Mapping[str, RowKey], settings: dict[str, Any], share: Share = ALONE
    ) -> None:
        self.path = folder / NAME
        self.keys = dict(keys)
        self.share = share
        if share.first:
            folder.mkdir(parents=True, exist_ok=True)
            self._open(
                folder / "settings.json", json.loads(json.dumps(settings))
            )  # as it is read back: tuples are lists
        share.wait()
        self.lines = _read(self.path, self.keys)
        share.wait()  # nobody appends while another still reads
        self.own = self.path if share.first else folder / f"predictions.{share.number}.jsonl"

    def _open(self, path: Path, settings: dict[str, Any]) -> None:
        files = [self.path, *self._others()]
        lines = [line for file in files if file.is_file() for line in _read(file, self.keys).values()]
        if path.is_file():
            _refuse_other_settings(path.parent, json.loads(path.read_text(encoding="utf-8")), settings)
        elif lines:
            raise ValueError(f"{path}: not there, so nothing says how the predictions beside it were made")
        _write(path, json.dumps(settings, indent=1) + "\n")
        self.path.touch()
        self._gather()

    def _others(self) -> list[Path]:
        return sorted(self.path.parent.glob("predictions.*.jsonl"))

    def _gather(self) -> None:
        """What other processes wrote goes into the one file, and what was torn off when a process was killed out of it."""
        lines = _read(self.path, self.keys)
        others = self._others()
        for other in others:
            lines |= _read(other, self.keys)
        _write(self.path, "".join(map(to_json, lines.values())))
        for other in others:
            other.unlink()

    def __contains__(self, id: str) -> bool:
        return id in self.lines

    def append(self, lines: Sequence[dict[str, Any]]) -> None:
        """Adds finished lines. Those that are there already stay as they are (a batch that was half written)."""
        new = [{**line, "key": self.keys[line["id"]]} for line in lines if line["id"] not in self.lines]
        with self.own.open("a", encoding="utf-8") as file:
            file.writelines(to_json(line) for line in new)
        self.lines.update((line["id"], line) for line in new)

    def finish(self) -> list[dict[str, Any]]:
        """All lines in the order of the examples, when every process is done.

        The file is brought into this order too: an interrupted run leaves the same bytes as one that was not.
        """
        self.share.wait()
        if self.share.first:
            self._gather()
            lines = _read(self.path, self.keys)
            missing = [id for id in self.keys if id not in lines]
            assert not missing, f"{len(missing)} predictions are missing, the first is {missing[0]!r}"
            _write(self.path, "".join(to_json(lines[id]) for id in self.keys))
        self.share.wait()
        self.lines = _read(self.path, self.keys)
        return list(self.lines.values())


def _read(path: Path, keys: Mapping[str, RowKey]) -> dict[str, dict[str, Any]]:
    """The lines by their ids. A last line that was torn when a process was killed is none: its example is answered again."""
    lines: dict[str, dict[str, Any]] = {}
    whole = path.read_bytes().rpartition(b"\n")[0].decode("utf-8")  # it may be torn within a character
    for number, raw in enumerate(whole.split("\n") if whole else [], start=1):
        try:
            line = json.loads(raw)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error})") from None
        if line["id"] not in keys or line["id"] in lines:
            raise ValueError(
                f"{path}, line {number}: id {line['id']!r} is unknown (are there fewer rows now?) or there twice"
            )
        key = keys[line["id"]]
        differing = sorted(name for name in key.keys() | line["key"].keys() if key.get(name) != line["key"].get(name))
        if differing:
            raise ValueError(
                f"{path}, line {number}: of the example {line['id']!r} {', '.join(differing)} "
                f"{'is' if len(differing) == 1 else 'are'} not what it was when it was answered. "
                "Choose another output folder, or delete this one."
            )
        lines[line["id"]] = line
    return lines


def _write(path: Path, text: str) -> None:
    """At once or not at all: whoever is killed here leaves the old file."""
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def to_json(line: dict[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


def _refuse_other_settings(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    old, new = _flat(old), _flat(new)
    differing = [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
    differing.sort(key=lambda key: (key.count("."), key))  # weights before the many fields of a configuration
    if differing:
        pairs = {key: f"{old.get(key)!r} there, {new.get(key)!r} now" for key in differing}
        what = "; ".join(f"{key}: {pair}" if len(pair) < 200 else key for key, pair in pairs.items())
        raise ValueError(
            f"{folder} holds predictions made with other settings ({what}). "
            "Choose another output folder, or delete this one."
        )


def _flat(settings: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Nested fields under their dotted names."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{path}{key}.") if isinstance(value, dict) and value else {f"{path}{key}": value}
    return found
