"""``minigemini data filter``: the records that every rule lets pass, and a line for each that one does not.

The folder that is written holds

- ``kept.jsonl``      the kept records as they were, in order
- ``dropped.jsonl``   record, rule, value, threshold and note of every other
- ``filter.json``     how many were read, dropped by each rule, and kept; and the rules
- ``pictures/``       of kept records whose pictures lay inside of the data file
- ``measured/``       what was measured; may be deleted, and is then measured again

All but the last are there only when they are whole.
"""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table

from minigemini.data import readers
from minigemini.data.prepare import digest_of
from minigemini.filtering.judge import BAD_RECORD, Judge
from minigemini.filtering.measure import MeasuredPart
from minigemini.filtering.measured_files import read_json, settings_of, write_json
from minigemini.filtering.rules import NamedRule
from minigemini.progress import progress_bar

AS_THEY_ARE = ("JSON list", "JSON Lines")  # formats whose records name their pictures by paths


@dataclass(frozen=True)
class Filtered:
    """
    Attributes:
        dropped: by rule, in order; what is no record first.
    """

    read: int
    dropped: dict[str, int]
    kept: int

    def __post_init__(self) -> None:
        assert self.read == self.kept + sum(self.dropped.values())


def apply_rules(
    parts: Sequence[MeasuredPart], rules: Sequence[NamedRule], out: Path, show_progress: bool = True
) -> Filtered:
    """Write what is kept and what is not into ``out``; where that is done already, nothing.

    Raises:
        ValueError: every record is dropped, or a rule has no model.
        OSError: no room.
    """
    note, kept_file, log_file = out / "filter.json", out / "kept.jsonl", out / "dropped.jsonl"
    all_of_it = digest_of([[part.key for part in parts], rules_as_json(rules)])
    if note.is_file() and kept_file.is_file() and (known := read_json(note))["digest"] == all_of_it:
        return Filtered(known["read"], known["dropped"], known["kept"])
    note.unlink(missing_ok=True)  # it would speak of another filtering
    counts = {BAD_RECORD: 0, **{named.name: 0 for named in rules}}
    judge = Judge(rules, parts)
    total = sum(part.records for part in parts)
    kept_beside, log_beside = out / ".kept.jsonl", out / ".dropped.jsonl"
    with (
        kept_beside.open("w", encoding="utf-8") as kept,
        log_beside.open("w", encoding="utf-8") as log,
        progress_bar(show_progress) as bar,
    ):
        shown = bar.add_task("filtering", total=total)
        for part in parts:
            dropped = judge.dropped(part)
            for row, raw in enumerate(readers.read(part.part)):
                if row in dropped:
                    print(json.dumps(dataclasses.asdict(dropped[row]), ensure_ascii=True), file=log)
                else:
                    assert isinstance(raw, dict)
                    print(json.dumps(written(raw, part, out)), file=kept)
            for name, number in Counter(one.rule for one in dropped.values()).items():
                counts[name] += number
            bar.advance(shown, part.records)
    found = Filtered(total, counts, total - sum(counts.values()))
    log_beside.replace(log_file)
    kept_beside.replace(kept_file)
    write_json({**dataclasses.asdict(found), "rules": rules_as_json(rules), "digest": all_of_it}, note)
    return found


def rules_as_json(rules: Sequence[NamedRule]) -> list[Any]:
    return [[named.name, named.rule.bounds(), settings_of(named.rule)] for named in rules]


def written(raw: dict[str, Any], part: MeasuredPart, out: Path) -> dict[str, Any]:
    """A kept record with its pictures as files: paths as they were, or where the format is not JSON, whole ones."""
    if part.part.format in AS_THEY_ARE:
        return raw
    folder = Path(part.image_folder) if part.image_folder is not None else Path(part.part.file).parent

    def place(source: Any) -> Any:
        if isinstance(source, bytes):
            file = out / "pictures" / hashlib.sha256(source).hexdigest()
            if not file.is_file():
                file.parent.mkdir(exist_ok=True)
                beside = file.with_name(f".{file.name}")
                beside.write_bytes(source)
                beside.replace(file)
            return str(file.absolute())
        if isinstance(source, str) and not source.startswith("data:"):
            return str((folder / source).absolute())
        return source

    pictures = {key: [place(one) for one in as_pictures(raw[key])] for key in ("image", "images") if raw.get(key)}
    return raw | pictures


def as_pictures(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def print_filtered(found: Filtered) -> None:
    """Rule by rule what was dropped and what was left."""
    table = Table("rule", "dropped", "of all", "left", box=HORIZONTALS)
    left = found.read
    for name, number in found.dropped.items():
        left -= number
        if number or name != BAD_RECORD:
            table.add_row(name, f"{number:,}", f"{number / found.read:.2%}", f"{left:,}")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{found.read:,} records, {found.kept:,} kept, {found.read - found.kept:,} dropped")
