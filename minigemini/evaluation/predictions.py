"""predictions.jsonl: appended while a run goes on, so that an interrupted run continues; sorted when it is complete.

Beside it lies ``settings.json``: everything the predictions depend on. A run with other settings is refused, by the
name of the field that differs; predictions of two models or two prompts never end up in one file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class PredictionFile:
    """The predictions of one run, in ``folder/predictions.jsonl``.

    Args:
        folder: made if it does not exist.
        ids: of all examples of the run, in the order the finished file has.
        settings: plain JSON; equal settings must give equal predictions.

    Raises:
        ValueError: the folder holds predictions made with other settings, or a line that is none of this run.
    """

    def __init__(self, folder: Path, ids: Sequence[str], settings: dict[str, Any]) -> None:
        assert len(set(ids)) == len(ids), "example ids are not unique"
        self.path = folder / "predictions.jsonl"
        self.ids = list(ids)
        self.lines: dict[str, dict[str, Any]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        settings_path = folder / "settings.json"
        settings = json.loads(json.dumps(settings))  # as it will be read back: tuples are lists
        if self.path.exists():
            _refuse_other_settings(folder, json.loads(settings_path.read_text()), settings)
            self._read()
        else:
            settings_path.write_text(json.dumps(settings, indent=1) + "\n")

    def _read(self) -> None:
        text = self.path.read_text()
        whole, _, torn = text.rpartition("\n")
        known = set(self.ids)
        for number, raw in enumerate(whole.split("\n") if whole else [], start=1):
            try:
                line = json.loads(raw)
            except json.JSONDecodeError as error:
                raise ValueError(f"{self.path}, line {number}: not JSON ({error})") from None
            if line["id"] not in known or line["id"] in self.lines:
                raise ValueError(f"{self.path}, line {number}: id {line['id']!r} is unknown or there twice")
            self.lines[line["id"]] = line
        if torn:  # killed while writing; that example is answered again
            self.path.write_text(whole + "\n" if whole else "")

    def __contains__(self, id: str) -> bool:
        return id in self.lines

    def append(self, lines: Sequence[dict[str, Any]]) -> None:
        """Adds finished lines. Those that are there already stay as they are (a batch that was half written)."""
        new = [line for line in lines if line["id"] not in self.lines]
        with self.path.open("a") as file:
            file.writelines(to_json(line) for line in new)
        self.lines.update((line["id"], line) for line in new)

    def finish(self) -> list[dict[str, Any]]:
        """All lines in the order of the examples.

        The file is brought into this order too: an interrupted run leaves the same bytes as one that was not.
        """
        missing = [id for id in self.ids if id not in self.lines]
        assert not missing, f"{len(missing)} predictions are missing, the first is {missing[0]!r}"
        lines = [self.lines[id] for id in self.ids]
        sorted_file = self.path.with_suffix(".sorted")
        sorted_file.write_text("".join(map(to_json, lines)))
        sorted_file.replace(self.path)
        return lines


def to_json(line: dict[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


def _refuse_other_settings(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    differing = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if differing:
        pairs = {key: f"{old.get(key)!r} there, {new.get(key)!r} now" for key in differing}
        what = "; ".join(f"{key}: {pair}" if len(pair) < 200 else key for key, pair in pairs.items())
        raise ValueError(
            f"{folder} holds predictions made with other settings ({what}). "
            "Choose another output folder, or delete this one."
        )
