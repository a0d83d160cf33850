"""``minigemini eval report``: a judged run as one HTML page that needs no server and no network.

The page is ``page.html`` with the data of the run in it as JSON. Its script draws a page of rows at a time and sets
everything as text: what a model answered, or what stands in somebody's file, never becomes markup. A content security policy
allows that one script and inlined pictures, and nothing else.
"""

import base64
import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigemini.evaluation.reporting.diff import Comparison, compare, pair_parts
from minigemini.evaluation.reporting.expected import find_comparable
from minigemini.evaluation.reporting.result import Result
from minigemini.evaluation.reporting.row_pictures import (
    InlinedPictures,
    RowPicture,
    examples_of_run,
    from_folder,
    load_answering_model,
    of_examples,
    rows_to_look_at,
    where_it_looked,
)
from minigemini.evaluation.reporting.stored_run import find_parts, read_run

COLUMNS = 4  # of the table of published numbers
TEMPLATE = Path(__file__).with_name("page.html")


@dataclass(frozen=True)
class Beside:
    """What stands beside the rows.

    Attributes:
        images: folder of the benchmark's images. A folder of ``eval`` needs none: it says where the data is.
        model: the one that answered, to draw where it looked; of a folder of ``eval``.
        most_looked: for at most so many rows of a part: flips, then wrong answers, then right ones.
    """

    images: Path | None = None
    model: str | None = None
    most_looked: int = 100


def report(
    path: Path, out: Path, against: Path | None, benchmark: str | None, protocol: str | None, beside: Beside
) -> int:
    """Writes the page and prints where. The exit code: 0.

    Args:
        path: what :func:`stored_run.read_run` reads; or the folder of a suite, all of whose parts are then on the page.
        against: a run before it on the same rows; its answers and the flips are then shown.
        benchmark, protocol: as of :func:`stored_run.read_run`.

    Raises:
        ValueError: what reading and comparing refuse; a model that did not answer, or of a run that does not say which did.
    """
    pairs: list[tuple[Path, Path | None]]
    if against is not None:
        pairs = [*pair_parts(path, against)]
    else:
        pairs = [(part, None) for part in (find_parts(path) if path.is_dir() else [path])]
    parts = []
    for part, before in pairs:
        run = read_run(part, benchmark, protocol)
        comparison = None if before is None else compare(read_run(before, benchmark, protocol), run)
        parts.append(part_data(run if comparison is None else comparison.b, comparison, beside))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(parts), encoding="utf-8")
    for data in parts:
        for note in data["notes"]:
            print(note)
    rows = sum(len(data["rows"]) for data in parts)
    print(f"written: {out} ({rows} rows, {out.stat().st_size / 1e6:.1f} MB)")
    return 0


def part_data(run: Result, comparison: Comparison | None, beside: Beside) -> dict[str, Any]:
    """What the page shows of one part; errors as of :func:`report`."""
    images, model = beside.images, beside.model
    pictures = InlinedPictures()
    notes = [*run.complaints(), *run.notes]
    rows: list[list[RowPicture]] = [[] for _ in run.verdicts]
    if images is not None:
        rows, missing = from_folder(run, images, pictures)
        if missing:
            notes.append(f"{len(missing)} images are not in {images}, such as {missing[0]}")
    examples = None if images is not None and model is None else examples_of_run(run)
    if model is not None and examples is None:
        raise ValueError(
            f"{run.path} does not say which weights answered; --model needs an output folder of `minigemini eval`"
        )
    if examples is not None and images is None:
        rows = of_examples(run, examples, pictures)
    if examples is not None and model is not None:
        flips = [] if comparison is None else [*comparison.lost, *comparison.gained]
        chosen = rows_to_look_at(run, examples, flips, beside.most_looked)
        loaded = load_answering_model(run, model)
        for row in chosen:
            rows[row] = rows[row] + where_it_looked(*loaded, examples[row], run.answers[row], pictures)
        notes.append(f"where the answer looked is drawn for {len(chosen)} rows: flips first, then what is wrong")
    return page_data(run, comparison, rows, pictures, notes)


def page(parts: list[dict[str, Any]]) -> str:
    """The template with the parts in it. No "<" of the data is left as it is, so none can end the script that holds it."""
    template = TEMPLATE.read_text(encoding="utf-8")
    script = template.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    before, after = template.replace("SCRIPT_HASH", f"sha256-{digest}").split("PAGE_DATA")
    return before + json.dumps(parts, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c") + after


def page_data(
    run: Result,
    comparison: Comparison | None,
    row_pictures: list[list[RowPicture]],
    pictures: InlinedPictures,
    notes: list[str],
) -> dict[str, Any]:
    """Everything the page shows of a part, plain JSON."""
    published = _find_published(run)
    beside = {
        name: {one.name: one.controls[name].value for one in run.numbers if name in one.controls}
        for name in dict.fromkeys(name for one in run.numbers for name in one.controls)
    }
    if len(published["metrics"]) > COLUMNS:  # many numbers of few models stand better beside the run's own
        beside |= {model["name"]: model["values"] for model in published["models"]}
        notes = [*notes, *(f"{model['name']}: {model['split']}" for model in published["models"])]
        notes += [f"source: {source}" for source in published["sources"]]
        published["models"] = []
    rows = []
    for number, verdict in enumerate(run.verdicts):
        row: dict[str, Any] = {
            "id": verdict.id,
            "kind": verdict.kind,
            "points": verdict.points,
            "path": verdict.path,
            "image": verdict.image,
            "prompt": run.prompts[number],
            "answer": run.answers[number],
            "reading": as_text(verdict.reading),
            "gold": as_text(verdict.gold),
            "pictures": row_pictures[number],
        }
        if comparison is not None:
            row["before"] = {
                "points": comparison.a.verdicts[number].points,
                "answer": comparison.a.answers[number],
            }
        rows.append(row)
    return {
        "benchmark": run.benchmark,
        "protocol": run.protocol,
        "says": f"{run.model}: {run.says}" if run.model else run.says,
        "path": str(run.path),
        "status": run.status,
        "unparsable": run.unparsable,
        "notes": notes,
        "columns": list(beside),
        "metrics": [
            {
                **{name: getattr(one, name) for name in ("name", "value", "unit", "n", "images", "interval")},
                "beside": {name: values[one.name] for name, values in beside.items() if one.name in values},
            }
            for one in run.numbers
        ],
        "comparison": None if comparison is None else _describe_comparison(comparison),
        "published": published,
        "pictures": pictures.uris,
        "rows": rows,
    }


def as_text(value: Any) -> str:
    """Of a reading or gold answer: nothing as "", ten people's answers with the number of each."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        counts = Counter(value)
        return ", ".join(one if count == 1 else f"{one} ({count})" for one, count in counts.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _describe_comparison(comparison: Comparison) -> dict[str, Any]:
    p = comparison.mcnemar
    differences = comparison.as_result().as_json()["differences"]
    flips = f"{len(comparison.gained)} rows gained, {len(comparison.lost)} lost"
    return {
        "path": str(comparison.a.path),
        "says": comparison.sentence().replace("B is", "This run is").replace("than A", "than the other"),
        "notes": [
            flips + ("" if p is None else f"; exact McNemar p = {p:.4g}, rows taken as independent"),
            "interval: paired bootstrap by image; p: swapping the runs' answers by image",
        ],
        "metrics": {one["name"]: one for one in differences},
    }


def _find_published(run: Result) -> dict[str, Any]:
    """Published numbers under the run's protocol that it has too: the metrics, and each model's values. None beside a run on a part
    of the rows."""
    names = [one.name for one in run.numbers]
    found = find_comparable(run)
    models: dict[tuple[str, str], dict[str, float]] = {}
    for number in found:
        models.setdefault((number.model, number.split), {})[number.metric] = number.value
    return {
        "metrics": [name for name in names if any(number.metric == name for number in found)],
        "models": [{"name": name, "split": split, "values": values} for (name, split), values in models.items()],
        "sources": list(dict.fromkeys(number.source for number in found)),
    }
