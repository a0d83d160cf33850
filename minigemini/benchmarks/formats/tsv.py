"""VLMEvalKit's and OpenMMLab's tables: a row a question; pictures as base64, as the index of the row that has them, or as paths.

A cell with several pictures or paths is a Python list of them. MMMU_DEV_VAL.tsv holds dev too: the rows of validation are taken,
which are MMMU val. Of HallusionBench the rows with a picture are taken, as VLMEvalKit does; elsewhere a row without one is an error.
"""

from __future__ import annotations

import base64
import binascii
from functools import partial
from pathlib import Path

from minigemini.benchmarks.formats import vlmevalkit
from minigemini.benchmarks.formats.image_folder import ImageFolder
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.stored_image import StoredImage

OTHER_FILES = {  # whose tables lack what their rules need
    "mathvista": "testmini.json or parquet files",
    "llava_bench": "LLaVA's folder or parquet files",
}


def read(path: Path, benchmark: str, images: Path | None) -> list[Question]:
    """
    Args:
        images: the folder of the column ``image_path``; the table's own by default.

    Raises:
        ValueError: a column is missing, a picture is not base64, or a row has none.
        FileNotFoundError: images are missing.
    """
    if benchmark in OTHER_FILES:
        raise ValueError(f"{path}: {benchmark} is not read from a tsv; give {OTHER_FILES[benchmark]}")
    table = vlmevalkit.read_table(path)
    missing = [name for name in ("index", "question") if not table or name not in table[0]]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]!r}; there are {', '.join(table[0]) if table else 'no rows'}")
    own = {cells["index"]: cells["image"] for cells in table if len(cells.get("image", "")) > vlmevalkit.INDEX_OF_IMAGE}
    folder = ImageFolder(path.parent if images is None else images)
    questions = []
    for cells, name in vlmevalkit.with_images(table, benchmark):
        place = f"{path}, index {cells['index']}"
        shown = pictures(cells, own, folder, place)
        if is_left_out(cells, benchmark, shown):
            continue
        if not shown:
            raise ValueError(f"{place}: the row has no image ('image' and 'image_path' are empty)")
        row = vlmevalkit.row_of(cells, name, benchmark, path)
        questions.append(
            Question(
                id=row["id"],
                kind=row["kind"],
                text=cells["question"],
                images=tuple(shown),
                reference=row["reference"],
                place=place,
                choices=tuple(row["reference"]["choices"]),
                hint=cells.get("hint", ""),
            )
        )
    folder.require_all()
    return questions


def is_left_out(cells: vlmevalkit.Cells, benchmark: str, shown: list[StoredImage]) -> bool:
    if benchmark == "mmmu":
        return cells.get("split", "validation") != "validation"
    return benchmark == "hallusionbench" and not shown


def pictures(cells: vlmevalkit.Cells, own: dict[str, str], folder: ImageFolder, place: str) -> list[StoredImage]:
    """
    Raises:
        ValueError: a picture is not base64, or a short cell is not the index of a row that has one.
    """
    cell = cells.get("image", "")
    if not cell:
        return [folder.image(name, place) for name in vlmevalkit.listed(cells.get("image_path", "")) if name]
    encoded = cell if len(cell) > vlmevalkit.INDEX_OF_IMAGE else own.get(cell)
    if encoded is None:
        raise ValueError(f"{place}: column 'image' is {cell!r}, which is no index of a row with a picture")
    return [
        StoredImage(f"{place}, image {n}", decoded(one, place)) for n, one in enumerate(vlmevalkit.listed(encoded), 1)
    ]


def decoded(encoded: str, place: str) -> partial[bytes]:
    """What decodes it when it is needed; that it can be is tried now."""
    try:
        base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{place}: column 'image' is not base64 ({error})") from None
    return partial(base64.b64decode, encoded)
