"""Prepared data: the same as checked anew, found again without a picture being opened, made again only where something changed."""

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pyarrow
import pyarrow.parquet
import pytest
import tiny
from PIL import Image

from minigemini import MiniGeminiProcessor
from minigemini.data import prepare, readers
from minigemini.data.check import CheckedData, check
from minigemini.data.mixture import Mixture
from minigemini.data.records import Record, read_records
from minigemini.data.sources import DataRecipe, Source
from minigemini.data.tokens import tokenise
from minigemini.media import open_image

RECORDS, PER_PART = 20, 4  # five parts


@pytest.fixture(scope="module")
def processor(tiny_parts) -> MiniGeminiProcessor:
    return tiny.new_processor(tiny_parts)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(readers, "RECORDS", PER_PART)


def turns(*texts: str) -> list[dict]:
    return [{"from": "human" if i % 2 == 0 else "gpt", "value": text} for i, text in enumerate(texts)]


def record(number: int) -> dict:
    words = " ".join(["red"] * (number + 1))
    shown = number % 3
    images = {"image": [f"{number}.png", "shared.png"][:shown]} if shown else {}
    return {"id": number, "conversations": turns("<image>" * shown + "what is it?", words)} | images


def picture(colour: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(data, format="BMP")  # as many bytes in every colour
    return data.getvalue()


@pytest.fixture
def data(tmp_path) -> Path:
    """Twenty records in five parts, of which records 5 and 13 are bad."""
    for name in [*range(RECORDS), "shared"]:
        (tmp_path / f"{name}.png").write_bytes(picture("red"))
    (tmp_path / "13.png").unlink()
    records = [record(number) for number in range(RECORDS)]
    records[5]["conversations"] = []
    (tmp_path / "data.json").write_text(json.dumps(records))
    return tmp_path / "data.json"


def prepared(data: Path, processor, folder: Path | None, max_length: int = 200, **more) -> CheckedData:
    recipe = DataRecipe([Source(str(data))], max_length)
    return check(recipe, processor, show_progress=False, folder=folder, workers=1, **more)


def content(found: CheckedData) -> list:
    mixture = Mixture(found.sources)
    return [
        (mixture.record(n), mixture.tokens(n).ids.tolist(), mixture.tokens(n).trained.tolist(), int(mixture.lengths[n]))
        for n in range(len(mixture))
    ] + found.problems


def test_it_is_what_reading_and_tokenising_gives(data, processor, tmp_path):
    found = prepared(data, processor, tmp_path / "prepared")
    good = [one for one in read_records(data) if isinstance(one, Record) and "record 13" not in one.name]
    mixture = Mixture(found.sources)
    assert [mixture.record(n) for n in range(len(mixture))] == good
    for n, one in enumerate(good):
        tokens = tokenise(one, processor)
        assert mixture.tokens(n).ids.tolist() == tokens.ids.tolist()
        assert mixture.tokens(n).trained.tolist() == tokens.trained.tolist()
        assert mixture.lengths[n] == len(tokens.ids) + (tiny.IMAGE_TOKENS - 1) * len(one.images)
        assert mixture.images[n] == len(one.images)
    assert [problem.name.partition("record ")[2] for problem in found.problems] == ["5 (id 5)", "13 (id 13)"]
    assert (found.made, found.shards) == (5, 5)


def test_a_second_start_makes_nothing_and_opens_no_picture(data, processor, tmp_path, monkeypatch):
    first = content(prepared(data, processor, tmp_path / "prepared"))
    assert first == content(prepared(data, processor, None))

    def forbidden(*_):
        raise AssertionError("made again")

    monkeypatch.setattr(prepare, "make", forbidden)
    monkeypatch.setattr(readers, "parts_of", forbidden)
    again = prepared(data, processor, tmp_path / "prepared")
    assert (again.made, again.shards) == (0, 5)
    assert content(again) == first


def change_picture(data: Path) -> None:
    file = data.with_name("7.png")
    file.write_bytes(picture("blue"))
    os.utime(file, ns=(0, 0))


def break_shared_picture(data: Path) -> None:
    data.with_name("shared.png").write_bytes(b"no picture")


def bring_missing_picture(data: Path) -> None:
    data.with_name("13.png").write_bytes(picture("red"))


def put_record_behind(data: Path) -> None:
    data.write_text(json.dumps([*json.loads(data.read_text()), record(20) | {"image": "1.png"}]))


def change_record(data: Path) -> None:
    records = json.loads(data.read_text())
    records[9]["conversations"][1]["value"] = "something else"
    data.write_text(json.dumps(records))


def put_white_space_between(data: Path) -> None:
    data.write_text(data.read_text().replace('}, {"id"', '},\n {"id"'))


@pytest.mark.parametrize(
    ("change", "made"),
    [
        (change_picture, 1),
        (break_shared_picture, 4),  # records 2, 8, 11, 14 and 17 show it
        (bring_missing_picture, 1),
        (put_record_behind, 1),
        (change_record, 1),
        (put_white_space_between, 0),
    ],
)
def test_only_what_changed_is_made_again(change, made, data, processor, tmp_path):
    folder = tmp_path / "prepared"
    prepared(data, processor, folder)
    change(data)
    found = prepared(data, processor, folder)
    assert found.made == made
    assert content(found) == content(prepared(data, processor, None))
    assert prepared(data, processor, folder).made == 0


def test_another_template_or_folder_of_pictures_is_another_preparation(data, processor, tiny_parts, tmp_path):
    folder = tmp_path / "prepared"
    prepared(data, processor, folder)
    other = tiny.new_processor(tiny_parts)
    other.chat_template = str(other.chat_template).replace("USER:", "HUMAN:")
    assert prepared(data, other, folder).made == 5
    elsewhere = DataRecipe([Source(str(data), image_folder=str(tmp_path / "gone"))], 200)
    found = check(elsewhere, processor, show_progress=False, folder=folder)
    assert (found.made, len(found.problems)) == (5, 13)  # twelve with pictures, and record 5
    assert prepared(data, processor, folder).made == 0, "both are still there"


def test_a_longer_limit_makes_nothing_again(data, processor, tmp_path):
    folder = tmp_path / "prepared"
    short = prepared(data, processor, folder, max_length=30)
    names = [problem.name for problem in short.problems]
    assert len(names) > 5
    assert names == sorted(names, key=lambda name: int(name.partition("record ")[2].partition(" ")[0]))
    assert content(short) == content(prepared(data, processor, None, max_length=30))
    longer = prepared(data, processor, folder)
    assert (longer.made, len(longer.problems)) == (0, 2)


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_a_torn_shard_is_made_again(size, data, processor, tmp_path):
    folder = tmp_path / "prepared"
    whole = content(prepared(data, processor, folder))
    torn = sorted(folder.glob("*.safetensors"))[2]
    torn.write_bytes(torn.read_bytes()[:size])
    found = prepared(data, processor, folder)
    assert found.made == 1
    assert content(found) == whole


def test_pictures_inside_of_a_file_are_kept_with_the_tokens(processor, tmp_path):
    rows = [
        {"image": {"bytes": picture(colour), "path": None}, "conversations": turns("<image>what?", colour)}
        for colour in ("red", "blue", "green")
    ]
    rows[1]["image"] = {"bytes": b"no picture", "path": None}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "data.parquet")
    found = prepared(tmp_path / "data.parquet", processor, tmp_path / "prepared")
    (problem,) = found.problems
    assert "record 1: image (inside the data file): not a picture" in str(problem)
    mixture = Mixture(found.sources)
    for number, colour in enumerate(("red", "green")):
        (image,) = mixture[number].images
        assert np.array_equal(image, open_image(picture(colour)))


def test_processes_share_the_work_and_a_source_that_is_there_twice_is_made_once(data, processor, tmp_path):
    recipe = DataRecipe([Source(str(data)), Source(str(data), weight=2)], 200)
    slots: list = [None, None]
    barrier = threading.Barrier(2)

    def process(rank: int) -> CheckedData:
        def gather(item):
            slots[rank] = item
            barrier.wait(timeout=60)
            items = list(slots)
            barrier.wait(timeout=60)
            return items

        return check(recipe, processor, (rank, 2), gather, show_progress=False, folder=tmp_path / "prepared")

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(process, range(2))
    assert first.made == first.shards == 5
    assert content(first) == content(second) == content(check(recipe, processor, show_progress=False))


def test_an_error_of_one_process_is_one_of_all(processor, tmp_path):
    (tmp_path / "data.json").write_text("[")
    heard = []
    with pytest.raises(ValueError, match="ends in or before record 0"):
        check(
            DataRecipe([Source(str(tmp_path / "data.json"))], 9),
            processor,
            gather=lambda item: heard.append(item) or [item],
        )
    assert isinstance(heard[0], ValueError)
    with pytest.raises(ValueError, match="another process's words"):
        prepared(
            tmp_path / "data.json",
            processor,
            None,
            share=(1, 2),
            gather=lambda _: [ValueError("another process's words")],
        )


def test_an_empty_file_is_an_error(processor, tmp_path):
    (tmp_path / "data.json").write_text("[]")
    with pytest.raises(ValueError, match=r"data\.json: holds no record"):
        prepared(tmp_path / "data.json", processor, None)


PREPARE = """
import pickle, sys
from pathlib import Path
from minigemini.data import prepare, readers
from minigemini.data.check import check
from minigemini.data.sources import DataRecipe, Source

readers.RECORDS = {per_part}
if __name__ == "__main__":
    processor = pickle.loads(Path({processor!r}).read_bytes())
    check(DataRecipe([Source({data!r})], 200), processor, folder=Path({folder!r}), workers=2, show_progress=False)
"""


def test_whoever_is_killed_goes_on(data, processor, tmp_path, monkeypatch):
    """With processes of its own, which die with it."""
    records = [record(number % RECORDS) for number in range(400)]
    data.write_text(json.dumps(records))
    (tmp_path / "processor").write_bytes(pickle.dumps(processor))
    folder = tmp_path / "prepared"
    script = tmp_path / "prepare.py"
    names = {"processor": str(tmp_path / "processor"), "data": str(data), "folder": str(folder), "per_part": PER_PART}
    script.write_text(PREPARE.format(**names))
    started = subprocess.Popen([sys.executable, str(script)])
    while not list(folder.glob("*.safetensors")):
        assert started.poll() is None
        time.sleep(0.01)
    children = psutil.Process(started.pid).children(recursive=True)
    started.send_signal(signal.SIGKILL)
    started.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert len(children) >= 2
    assert not alive
    there = len(list(folder.glob("*.safetensors")))
    found = prepared(data, processor, folder)
    assert there >= 1
    assert found.made == found.shards - there > 0
    assert content(found) == content(prepared(data, processor, None))
    for file in folder.glob(".*"):
        os.utime(file, (0, 0))
    prepared(data, processor, folder)
    assert not list(folder.glob(".*"))
