"""``minigemini eval report``: a judged run as one HTML page that needs no server and no network.

The page is ``report_page.html`` with the data of the run in it as JSON. Its script draws a page of rows at a time and sets
everything as text: what a model answered, or what stands in somebody's file, never becomes markup. A content security policy
allows that one script and inlined pictures, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from minigemini.evaluation.diff import Comparison, compare
from minigemini.evaluation.judged_run import TABLETOP, JudgedRun, read_run
from minigemini.evaluation.published import published_numbers
from minigemini.evaluation.row_pictures import (
    InlinedPictures,
    RowPicture,
    from_folder,
    load_answering_model,
    of_tabletop,
    rows_to_look_at,
    tabletop_examples,
    where_it_looked,
)

COLUMNS = 4  # of the table of published numbers
TEMPLATE = Path(__file__).with_name("report_page.html")


def report(
    path: Path,
    out: Path,
    against: Path | None = None,
    benchmark: str | None = None,
    protocol: str | None = None,
    images: Path | None = None,
    model: str | None = None,
    most_looked: int = 100,
) -> int:
    """Writes the page and prints where. The exit code: 0.

    Args:
        path: what :func:`judged_run.read_run` reads.
        against: a run before it on the same rows; its answers and the flips are then shown.
        images: folder of the benchmark's images. The tabletop needs none: its pictures are drawn anew.
        model: the one that answered, to draw where it looked; of a tabletop run.
        most_looked: for at most so many rows: flips, then wrong answers, then right ones.

    Raises:
        ValueError: what reading and comparing refuse; a model that did not answer, or of a run that does not say which did.
    """
    run = read_run(path, benchmark, protocol)
    comparison = None if against is None else compare(read_run(against, benchmark, protocol), run)
    run = run if comparison is None else comparison.b
    if model is not None and run.benchmark != TABLETOP:
        raise ValueError(
            f"{path} does not say which weights answered; --model needs an output folder of `minigemini eval`"
        )
    pictures = InlinedPictures()
    notes = list(run.notes)
    rows: list[list[RowPicture]] = [[] for _ in run.verdicts]
    if run.benchmark == TABLETOP:
        examples = tabletop_examples(run)
        rows = of_tabletop(run, examples, pictures)
        if model is not None:
            flips = [] if comparison is None else [*comparison.lost, *comparison.gained]
            chosen = rows_to_look_at(run, examples, flips, most_looked)
            loaded = load_answering_model(run, model)
            for row in chosen:
                rows[row] = rows[row] + where_it_looked(*loaded, examples[row], run.answers[row], pictures)
            notes.append(f"where the answer looked is drawn for {len(chosen)} rows: flips first, then what is wrong")
    elif images is not None:
        rows, missing = from_folder(run, images, pictures)
        if missing:
            notes.append(f"{len(missing)} images are not in {images}, such as {missing[0]}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(page_data(run, comparison, rows, pictures, notes)), encoding="utf-8")
    for note in notes:
        print(note)
    print(f"written: {out} ({len(run.verdicts)} rows, {out.stat().st_size / 1e6:.1f} MB)")
    return 0


def page(data: dict[str, Any]) -> str:
    """The template with ``data`` in it. No "<" of the data is left as it is, so none can end the script that holds it."""
    template = TEMPLATE.read_text(encoding="utf-8")
    script = template.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    before, after = template.replace("SCRIPT_HASH", f"sha256-{digest}").split("PAGE_DATA")
    return before + json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c") + after


def page_data(
    run: JudgedRun,
    comparison: Comparison | None,
    row_pictures: list[list[RowPicture]],
    pictures: InlinedPictures,
    notes: list[str],
) -> dict[str, Any]:
    """Everything the page shows, plain JSON."""
    published = _published(run)
    beside = dict(run.beside)
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
        "says": run.says,
        "path": str(run.path),
        "status": run.status,
        "unparsable": run.unparsable,
        "notes": notes,
        "columns": list(beside),
        "metrics": [
            {
                **one,
                "beside": {name: values[one["name"]] for name, values in beside.items() if one["name"] in values},
            }
            for one in run.shown
        ],
        "comparison": None if comparison is None else _compared(comparison),
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


def _compared(comparison: Comparison) -> dict[str, Any]:
    stored = comparison.as_json()
    p = stored["flips"]["mcnemar_p"]
    flips = f"{len(comparison.gained)} rows gained, {len(comparison.lost)} lost"
    return {
        "path": str(comparison.a.path),
        "says": comparison.sentence().replace("B is", "This run is").replace("than A", "than the other"),
        "notes": [
            flips + ("" if p is None else f"; exact McNemar p = {p:.4g}, rows taken as independent"),
            "interval: paired bootstrap by image; p: swapping the runs' answers by image",
        ],
        "metrics": {one["name"]: one for one in stored["metrics"]},
    }


def _published(run: JudgedRun) -> dict[str, Any]:
    """Published numbers under the run's protocol that it has too: the metrics, and each model's values."""
    names = [one["name"] for one in run.shown]
    found = [
        number
        for number in published_numbers()
        if (number.benchmark, number.protocol) == (run.benchmark, run.protocol) and number.metric in names
    ]
    models: dict[tuple[str, str], dict[str, float]] = {}
    for number in found:
        models.setdefault((number.model, number.split), {})[number.metric] = number.value
    return {
        "metrics": [name for name in names if any(number.metric == name for number in found)],
        "models": [{"name": name, "split": split, "values": values} for (name, split), values in models.items()],
        "sources": list(dict.fromkeys(number.source for number in found)),
    }
