"""What stands beside a row of the report: its pictures, small, and where the answer looked in them."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from minigemini.benchmarks.benchmark import Example
from minigemini.benchmarks.formats.lines import read_json, read_jsonl
from minigemini.benchmarks.stored_image import StoredImage
from minigemini.evaluation.reporting.result import Result
from minigemini.evaluation.running.rows import Source, read_source
from minigemini.media import SMALL, TINY, data_uri, open_image

SUFFIXES = ("", ".jpg", ".jpeg", ".png", ".webp")  # TextVQA and GQA name images without one

RowPicture = dict[str, Any]
"""``picture``: number in :attr:`InlinedPictures.uris`; ``caption``; ``looked``: whether it shows attention."""


@dataclass
class InlinedPictures:
    """Data URIs with the width to show each at; a picture that many rows show is held once."""

    uris: list[tuple[str, int]] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)
    _stored: dict[str, RowPicture] = field(default_factory=dict)

    def add_stored(self, image: StoredImage) -> RowPicture:
        """As :meth:`add`; opened once, however many rows show it."""
        if image.name not in self._stored:
            self._stored[image.name] = self.add(image.open())
        return self._stored[image.name]

    def add(self, image: Image.Image, caption: str = "", looked: bool = False) -> RowPicture:
        uri = data_uri(image)
        if uri not in self._places:
            self._places[uri] = len(self.uris)
            self.uris.append((uri, image.width if max(image.size) <= TINY else SMALL))
        return {"picture": self._places[uri], "caption": caption, "looked": looked}


def from_folder(run: Result, folder: Path, pictures: InlinedPictures) -> tuple[list[list[RowPicture]], list[str]]:
    """The picture of every row that lies in ``folder`` under the name that the gold answers give it.

    Returns:
        For each row one picture or none; and the names that were not found, or lead out of the folder.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: a file is no picture or broken.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    shown: dict[str, list[RowPicture]] = {}
    for name in dict.fromkeys(verdict.image for verdict in run.verdicts):
        file = _inside(folder, name)
        shown[name] = [] if file is None else [pictures.add(open_image(file))]
    return [shown[verdict.image] for verdict in run.verdicts], [name for name, found in shown.items() if not found]


def _inside(folder: Path, name: str) -> Path | None:
    """The file of this name, if it is there and the name does not lead out of the folder: it may be anybody's."""
    for suffix in SUFFIXES:
        file = (folder / f"{name}{suffix}").resolve()
        if file.is_relative_to(folder.resolve()) and file.is_file():
            return file
    return None


def examples_of_run(run: Result) -> list[Example] | None:
    """The examples that were answered, in the order of the run's rows; None where the run is no folder of ``eval``.

    Raises:
        FileNotFoundError: the data of the benchmark is not where it was.
        ValueError: the benchmark has other examples today.
    """
    if not run.path.is_dir():
        return None
    if not run.verdicts:
        return []
    source = Source(**{name: run.about[name] for name in Source.__dataclass_fields__})
    found = read_source(run.benchmark, run.protocol, source)
    examples = {example.id: example for example in found}
    files = [run.path / folder / "predictions.jsonl" for folder in ("model", "drawn")]
    answered = {line["id"]: line["reference"] for file in files if file.is_file() for line in read_jsonl(file)}
    for verdict in run.verdicts:
        example = examples.get(verdict.id)
        if example is None or json.loads(json.dumps(example.reference)) != answered.get(verdict.id):
            raise ValueError(f"{run.path}: {verdict.id} is another example today; its picture cannot be shown")
    return [examples[verdict.id] for verdict in run.verdicts]


def of_examples(run: Result, examples: Sequence[Example], pictures: InlinedPictures) -> list[list[RowPicture]]:
    """The pictures that the model was shown, or the one that was drawn."""
    rows = []
    for verdict, example in zip(run.verdicts, examples, strict=True):
        if not example.messages:
            file = _inside(run.path / "drawn" / "pictures", f"{verdict.id}.png")
            rows.append([] if file is None else [pictures.add(open_image(file), "drawn")])
        else:
            rows.append([_added(image, pictures) for image in example.images])
    return rows


def _added(image: Any, pictures: InlinedPictures) -> RowPicture:
    return pictures.add_stored(image) if isinstance(image, StoredImage) else pictures.add(image)


def rows_to_look_at(run: Result, examples: Sequence[Example], first: Sequence[str], most: int) -> list[int]:
    """Rows with a picture and an answer, at most ``most``: those whose ids are in ``first``, then what is wrong, then what is
    right, the kinds taking turns."""
    turn: Counter[tuple[int, str]] = Counter()
    ranked = []
    for row, (verdict, example) in enumerate(zip(run.verdicts, examples, strict=True)):
        if not example.images or not run.answers[row].strip():
            continue
        group = 0 if verdict.id in first else 1 if verdict.points != 1 else 2
        turn[group, verdict.kind] += 1
        ranked.append((group, turn[group, verdict.kind], row))
    return [row for _, _, row in sorted(ranked)[:most]]


def load_answering_model(run: Result, model: str) -> tuple[Any, Any]:
    """Model and processor, of which the weights are those that answered. Raises ValueError: they are others."""
    import torch

    from minigemini.checkpoints.load import load
    from minigemini.evaluation.running.digest import weights_digest

    settings = read_json(run.path / "model" / "settings.json")
    loaded = load(model)
    loaded[0].to(getattr(torch, settings["dtype"].removeprefix("torch.")))  # it may have answered on another machine
    if weights_digest(loaded[0]) != settings["weights"]:
        raise ValueError(
            f"{model} has other weights than the model that answered in {run.path}; where it looked is not known"
        )
    return loaded


def where_it_looked(
    model: Any, processor: Any, example: Example, answer: str, pictures: InlinedPictures
) -> list[RowPicture]:
    """For each picture of the example: where the answer looked, and where its tokens look in high resolution.

    The stored answer is read once more, word by word; nothing is generated. See ``attention.picture.draw_attention`` for
    what the maps are.
    """
    import torch

    from minigemini.attention.maps import answer_attention, seen_square
    from minigemini.attention.picture import panels, pictures_of, shaded
    from minigemini.engine.local import LocalEngine, opened

    inputs = LocalEngine(model, processor).read([example.messages])
    words = torch.tensor(processor.tokenizer(answer, add_special_tokens=False)["input_ids"], device=model.device)
    shown = pictures_of(opened(example.messages))
    squares = [seen_square(picture.size, processor.image_processor) for picture in shown]
    found = []
    for picture, square, row in zip(
        shown, squares, panels(answer_attention(model, inputs, words), shown, squares), strict=True
    ):
        zoom = SMALL / max(picture.size)
        size = max(1, round(picture.width * zoom)), max(1, round(picture.height * zoom))
        for panel in row[1:3]:  # behind the bare picture: where the answer looked, and the mining where there is one
            drawn = Image.fromarray((255 * shaded(picture, panel, square, size)).round().astype("uint8"))
            found.append(pictures.add(drawn, f"{panel.title}: {panel.subtitle}", looked=True))
    return found
