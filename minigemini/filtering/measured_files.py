"""What has been measured, kept in a folder: a JSON file for each rule and part of the data.

A file's name is a digest of all that its values depend on: what the part holds, the state of its pictures, and the rule without its
thresholds. So another threshold measures nothing again, and whoever was killed goes on.
"""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL

from minigemini.data.prepare import digest_of
from minigemini.data.readers import Part
from minigemini.data.records import BadRecord, Record
from minigemini.data.shard import picture_paths, state
from minigemini.filtering.rule import Rule

FORMAT = 1  # another one, and all is measured anew
THRESHOLDS = ("min", "max")


def key_of(part: Part, image_folder: str | None, records: Sequence[Record | BadRecord]) -> str:
    """Of a part as it is now."""
    paths = picture_paths([record for record in records if isinstance(record, Record)])
    states = [[path, *state(path)] for path in paths]
    return digest_of([FORMAT, PIL.__version__, image_folder, part.file, part.first, part.digest, states])


def file_of(folder: Path, key: str, rule: Rule) -> Path:
    return folder / f"{digest_of([key, type(rule).__name__, settings_of(rule)])}.json"


def settings_of(rule: Rule) -> list[Any]:
    """All of a rule but its thresholds; of what is a file or a folder, its state too."""
    settings = [[name, value] for name, value in dataclasses.asdict(rule).items() if name not in THRESHOLDS]
    paths = [*paths_in([value for _, value in settings]), *rule.depends_on()]
    return [*settings, *([path, states_of(Path(path))] for path in paths)]


def paths_in(values: Any) -> list[str]:
    if isinstance(values, list | tuple):
        return [path for value in values for path in paths_in(value)]
    if isinstance(values, dict):
        return paths_in(list(values.values()))
    return [values] if isinstance(values, str) and os.path.exists(values) else []


def states_of(path: Path) -> list[Any]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [[str(file), *state(file)] for file in files]


def write_json(content: Any, file: Path) -> None:
    """Beside its place and renamed, so that a file of that name is whole."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_text(json.dumps(content), encoding="utf-8")
    beside.replace(file)


def read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))
