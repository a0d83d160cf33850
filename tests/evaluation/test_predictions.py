import json
from pathlib import Path

import pytest

from minigemini.evaluation.predictions import PredictionFile

IDS = ["a", "b", "c", "d"]
SETTINGS = {"weights": "1", "sizes": (1, 2)}


def line(id: str) -> dict:
    return {"id": id, "kind": "colour", "prediction": f"rot {id} ü", "reference": {"answer": "red"}}


def test_finished_file_is_in_the_order_of_the_examples(tmp_path: Path) -> None:
    file = PredictionFile(tmp_path, IDS, SETTINGS)
    file.append([line("c"), line("a")])
    file.append([line("d"), line("b")])
    assert [one["id"] for one in file.finish()] == IDS
    assert [json.loads(raw) for raw in file.path.read_text().splitlines()] == [line(id) for id in IDS]


def test_what_is_there_is_kept_and_a_torn_line_is_done_again(tmp_path: Path) -> None:
    whole = PredictionFile(tmp_path / "whole", IDS, SETTINGS)
    whole.append([line(id) for id in IDS])
    whole.finish()

    killed = PredictionFile(tmp_path / "killed", IDS, SETTINGS)
    killed.append([line("c"), line("a")])
    killed.path.write_bytes(killed.path.read_bytes()[:-7])

    resumed = PredictionFile(tmp_path / "killed", IDS, SETTINGS)
    assert ("c" in resumed, "a" in resumed) == (True, False)
    resumed.append([{**line("c"), "prediction": "answered twice"}, line("a")])  # a batch that was half written
    resumed.append([line("b"), line("d")])
    resumed.finish()
    assert resumed.path.read_bytes() == whole.path.read_bytes()


def test_a_file_torn_in_its_first_line(tmp_path: Path) -> None:
    PredictionFile(tmp_path, IDS, SETTINGS).path.write_text('{"id": "a", "ki')
    assert not PredictionFile(tmp_path, IDS, SETTINGS).lines
    assert PredictionFile(tmp_path, IDS, SETTINGS).path.read_text() == ""


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    PredictionFile(tmp_path, IDS, SETTINGS).append([line("a")])
    with pytest.raises(
        ValueError, match=r"other settings \(batch_size: None there, 8 now; weights: '1' there, '2' now\)"
    ):
        PredictionFile(tmp_path, IDS, {"weights": "2", "sizes": (1, 2), "batch_size": 8})
    with pytest.raises(ValueError, match=r"other settings \(prompts\)\. Choose"):  # too long to print
        PredictionFile(tmp_path, IDS, {**SETTINGS, "prompts": ["a red circle"] * 50})
    assert "a" in PredictionFile(tmp_path, IDS, SETTINGS)


def test_foreign_and_double_lines_are_refused(tmp_path: Path) -> None:
    file = PredictionFile(tmp_path, IDS, SETTINGS)
    file.append([line("a")])
    text = file.path.read_text()
    file.path.write_text(text + text)
    with pytest.raises(ValueError, match=r"line 2: id 'a' is unknown or there twice"):
        PredictionFile(tmp_path, IDS, SETTINGS)
    file.path.write_text(text.replace('"a"', '"z"'))
    with pytest.raises(ValueError, match=r"line 1: id 'z' is unknown"):
        PredictionFile(tmp_path, IDS, SETTINGS)
    file.path.write_text("{nothing\n" + text)
    with pytest.raises(ValueError, match=r"predictions.jsonl, line 1: not JSON"):
        PredictionFile(tmp_path, IDS, SETTINGS)


def test_missing_predictions_are_never_a_finished_file(tmp_path: Path) -> None:
    file = PredictionFile(tmp_path, IDS, SETTINGS)
    file.append([line("a"), line("b"), line("d")])
    with pytest.raises(AssertionError, match="1 predictions are missing, the first is 'c'"):
        file.finish()
