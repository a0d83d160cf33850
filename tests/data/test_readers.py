"""Files of every format: decided by content, cut into parts, and read to the same records with the pictures they hold."""

import io
import json
import random
import re
import tarfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from minigemini.data import readers
from minigemini.data.readers import json_list
from minigemini.data.records import BadRecord, Record, read_records


def turns(*texts: str) -> list[dict]:
    return [{"from": "human" if i % 2 == 0 else "gpt", "value": text} for i, text in enumerate(texts)]


def png(number: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(data, format="PNG")
    return data.getvalue()


def some_records(number: int) -> list[dict]:
    """With all that makes brackets hard to find."""
    words = ['a "quoted" {brace}', "back\\slash\\", "]}", "line\nbreak", "é 日本 🙂", '\\"', ""]
    rng = random.Random(0)
    return [
        {"id": n, "conversations": turns(f"q{n} {rng.choice(words)}", rng.choice(words) + ".")} for n in range(number)
    ]


def write_tar(file: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file


def texts(records: list) -> list[list[str]]:
    assert not [bad for bad in records if isinstance(bad, BadRecord)]
    return [[one.text for one in record.messages] for record in records]


FORMS = {
    "a list": lambda records: json.dumps(records),
    "a list with indents and a byte order mark": lambda records: (
        "\ufeff" + json.dumps(records, indent=1, ensure_ascii=False)
    ),
    "lines": lambda records: "".join(json.dumps(one) + "\n" for one in records),
    "lines with empty ones and without an end": lambda records: "\ufeff" + "\r\n\n".join(map(json.dumps, records)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("chunk", [7, 37, json_list.CHUNK])
def test_json_is_cut_into_parts_that_hold_its_records(form, chunk, tmp_path, monkeypatch):
    monkeypatch.setattr(json_list, "CHUNK", chunk)
    records = some_records(23)
    file = tmp_path / "data.anything"
    file.write_text(FORMS[form](records), encoding="utf-8")
    parts = list(readers.parts_of(file, 5))
    assert [part.first for part in parts] == [0, 5, 10, 15, 20]
    assert [raw for part in parts for raw in readers.read(part)] == records
    assert len({part.digest for part in parts}) == 5
    assert json.loads(json.dumps([part.place for part in parts])) == [part.place for part in parts]


def test_what_is_put_behind_changes_the_last_part_alone(tmp_path):
    file = tmp_path / "data.json"
    records = some_records(12)
    digests = []
    for content in (records[:11], records, [*records[:6], {"id": 0}, *records[7:]]):
        file.write_text(json.dumps(content))
        digests.append([part.digest for part in readers.parts_of(file, 5)])
    assert digests[0][:2] == digests[1][:2] == [digests[2][0], digests[1][1]]
    assert digests[0][2] != digests[1][2] == digests[2][2]
    assert digests[1][1] != digests[2][1]


def test_a_record_that_is_no_json_is_bad_alone(tmp_path):
    file = tmp_path / "data.json"
    good = json.dumps({"conversations": turns("a", "b")})
    file.write_bytes(b"[" + b",".join([good.encode(), b'{"a": tru}', b'{"a": "\xff"}', b'{"a": 1, "a": 2}']) + b"]")
    first, *bad = read_records(file)
    assert isinstance(first, Record)
    for one, words in zip(bad, ("not valid JSON: Expecting value", "not UTF-8", "key 'a' twice"), strict=True):
        assert words in str(one)


def test_coco_captions(tmp_path):
    found = {
        "info": {},
        "images": [{"id": 7, "file_name": "7.jpg"}, {"id": 3, "file_name": "3.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 3, "caption": "a cat"},
            {"id": 2, "image_id": 7, "caption": "a dog"},
            {"id": 4, "image_id": 8, "caption": "a cow"},
            {"id": 5, "image_id": 7, "bbox": [0, 0, 1, 1]},
        ],
    }
    (tmp_path / "captions.json").write_text(json.dumps(found))
    *good, gone, box = read_records(tmp_path / "captions.json", tmp_path / "train")
    assert texts(good) == [["", "a cat"], ["", "a dog"]]
    assert [record.images for record in good] == [(str(tmp_path / "train" / name),) for name in ("3.jpg", "7.jpg")]
    assert "annotation 4 is of no picture" in gone.reason
    assert "annotation 5 has no 'caption'" in box.reason
    assert len(list(readers.parts_of(tmp_path / "captions.json", 3))) == 2


def test_parquet_with_pictures_inside(tmp_path):
    rows = [
        {
            "id": n,
            "images": [{"bytes": png(n), "path": None}] * (n % 3),
            "messages": [
                {
                    "role": "user",
                    "content": [*([{"type": "image", "text": None}] * (n % 3)), {"type": "text", "text": "what?"}],
                },
                {"role": "assistant", "content": [{"type": "text", "text": f"number {n}"}]},
            ],
            "tools": None,
        }
        for n in range(10)
    ]
    folder = tmp_path / "data"
    folder.mkdir()
    for shard, chosen in enumerate((rows[:7], rows[7:])):
        pyarrow.parquet.write_table(
            pyarrow.Table.from_pylist(chosen), folder / f"train-{shard}.parquet", row_group_size=2
        )
    records = read_records(folder)
    assert texts(records) == [["what?", f"number {n}"] for n in range(10)]
    assert [record.images for record in records] == [(png(n),) * (n % 3) for n in range(10)]
    assert records[8].name == f"{folder / 'train-1.parquet'}: record 1 (id 8)"
    assert [part.place for part in readers.parts_of(folder / "train-0.parquet", 3)] == [[0, 2], [2, 4]]


def test_parquet_of_img2dataset(tmp_path):
    table = {
        "url": ["a", "b"],
        "key": ["0", "1"],
        "status": ["success", "failed_to_download"],
        "error_message": [None, "HTTP Error 404"],
        "caption": ["a red cat", "gone"],
        "jpg": [png(1), None],
    }
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "00000.parquet")
    found, gone = read_records(tmp_path)
    assert texts([found]) == [["", "a red cat"]]
    assert found.images == (png(1),)
    assert gone.reason == "img2dataset has no picture here: HTTP Error 404"


def test_tar_shards(tmp_path):
    members: dict[str, bytes] = {}
    for n in range(5):
        members[f"{n:04}.jpg"] = png(n)
        members[f"{n:04}.txt"] = f"caption {n}".encode()
        members[f"{n:04}.json"] = json.dumps({"caption": f"caption {n}", "url": "x", "status": "success"}).encode()
    members |= {"a.1.png": png(8), "a.0.PNG": png(9)}
    members["a.json"] = json.dumps(
        {"image": "gone.png", "conversations": turns("<image><image> which?", "both")}
    ).encode()
    members |= {"b.png": png(1), "b.mp4": b"film"}
    members |= {"c.png": png(1), "c.json": b'{"caption": 1'}
    write_tar(tmp_path / "00000.tar", members)
    (tmp_path / "00000.parquet").write_bytes(b"the table that img2dataset writes beside")
    *good, film, torn = read_records(tmp_path)
    assert texts(good) == [*(["", f"caption {n}"] for n in range(5)), [" which?", "both"]]
    assert [record.images for record in good] == [*((png(n),) for n in range(5)), (png(9), png(8))]
    assert good[5].name == f"{tmp_path / '00000.tar'}: record 5 (id 'a')"
    assert "b.mp4 is not read" in film.reason
    assert "c.json: not valid JSON" in torn.reason
    assert [part.first for part in readers.parts_of(tmp_path / "00000.tar", 3)] == [0, 3, 6]


def test_loose_files_of_img2dataset(tmp_path):
    for shard in ("00000", "00001"):
        (tmp_path / shard).mkdir()
        for n in range(3):
            (tmp_path / shard / f"{shard}{n}.jpg").write_bytes(png(n))
            (tmp_path / shard / f"{shard}{n}.txt").write_text(f"caption {n}")
            (tmp_path / shard / f"{shard}{n}.json").write_text("{}")
        (tmp_path / f"{shard}.parquet").touch()
    records = read_records(tmp_path)
    assert texts(records) == [["", f"caption {n}"] for n in range(3)] * 2
    assert records[4].images == (str(tmp_path / "00001" / "000011.jpg"),)
    before = [part.digest for part in readers.parts_of(tmp_path / "00000", 2)]
    (tmp_path / "00000" / "000002.txt").write_text("another caption")
    after = [part.digest for part in readers.parts_of(tmp_path / "00000", 2)]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cut.parquet", b"PAR1 and no end", "not a whole parquet file"),
        ("data.jsonl.gz", b"\x1f\x8b\x08\x00", "packed with gzip"),
        ("data.json", "[]".encode("utf-16"), "not valid JSON, parquet or tar; it begins with"),
    ],
)
def test_what_is_of_no_format_is_refused(name, content, words, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path / name))}: {words}"):
        read_records(tmp_path / name)


def test_torn_and_mixed_tars_are_refused(tmp_path):
    members = {"a.jpg": png(0) * 99, "a.txt": b"a", "b.jpg": png(1) * 99, "b.txt": b"b"}
    whole = write_tar(tmp_path / "a.tar", members).read_bytes()
    file = tmp_path / "a.tar"
    end = sum(512 + -(-len(data) // 512) * 512 for data in members.values())
    for size, words in ((4000, "it ends within a.jpg"), (end, "it ends without its end mark")):
        file.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=words):
            read_records(file)
    write_tar(file, {"a.jpg": png(0), "b.jpg": png(1), "a.txt": b"a"})
    with pytest.raises(ValueError, match=r"a\.txt does not stand beside"):
        read_records(file)


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "data.json").write_text("[]")
    with pytest.raises(ValueError, match="a folder without .tar, .parquet"):
        read_records(tmp_path)
