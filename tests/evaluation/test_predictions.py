import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from minigemini.evaluation.running.predictions import PredictionFile
from minigemini.evaluation.running.share import Share

IDS = ["a", "b", "c", "d"]
KEYS = {id: {"prompt": f"of {id}", "pictures": "a cat"} for id in IDS}
SETTINGS = {"weights": "1", "sizes": (1, 2)}


def line(id):
    return {"id": id, "kind": "colour", "prediction": f"rot {id} ü\u2028", "reference": {"answer": "red"}}


def test_finished_file_is_in_the_order_of_the_examples(tmp_path):
    file = PredictionFile(tmp_path, KEYS, SETTINGS)
    file.append([line("c"), line("a")])
    file.append([line("d"), line("b")])
    assert [one["id"] for one in file.finish()] == IDS
    assert [json.loads(raw) for raw in file.path.read_text().split("\n")[:-1]] == [
        {**line(id), "key": KEYS[id]} for id in IDS
    ]


def test_what_is_there_is_kept_and_a_torn_line_is_done_again(tmp_path):
    whole = PredictionFile(tmp_path / "whole", KEYS, SETTINGS)
    whole.append([line(id) for id in IDS])
    whole.finish()

    killed = PredictionFile(tmp_path / "killed", KEYS, SETTINGS)
    killed.append([line("c"), line("a")])
    killed.path.write_bytes(killed.path.read_bytes()[:-7])

    resumed = PredictionFile(tmp_path / "killed", KEYS, SETTINGS)
    assert ("c" in resumed, "a" in resumed) == (True, False)
    resumed.append([{**line("c"), "prediction": "answered twice"}, line("a")])  # a batch that was half written
    resumed.append([line("b"), line("d")])
    resumed.finish()
    assert resumed.path.read_bytes() == whole.path.read_bytes()


def test_a_file_torn_in_its_first_line(tmp_path):
    PredictionFile(tmp_path, KEYS, SETTINGS).path.write_text('{"id": "a", "ki')
    assert not PredictionFile(tmp_path, KEYS, SETTINGS).lines
    assert PredictionFile(tmp_path, KEYS, SETTINGS).path.read_text() == ""


def test_other_settings_are_refused_by_name(tmp_path):
    PredictionFile(tmp_path, KEYS, SETTINGS).append([line("a")])
    with pytest.raises(
        ValueError, match=r"other settings \(batch_size: None there, 8 now; weights: '1' there, '2' now\)"
    ):
        PredictionFile(tmp_path, KEYS, {"weights": "2", "sizes": (1, 2), "batch_size": 8})
    with pytest.raises(ValueError, match=r"other settings \(prompts\)\. Choose"):  # too long to print
        PredictionFile(tmp_path, KEYS, {**SETTINGS, "prompts": ["a red circle"] * 50})
    assert "a" in PredictionFile(tmp_path, KEYS, SETTINGS)


def test_foreign_and_double_lines_are_refused(tmp_path):
    file = PredictionFile(tmp_path, KEYS, SETTINGS)
    file.append([line("a")])
    text = file.path.read_text()
    file.path.write_text(text + text)
    with pytest.raises(ValueError, match=r"line 2: id 'a' is unknown .* or there twice"):
        PredictionFile(tmp_path, KEYS, SETTINGS)
    file.path.write_text(text.replace('"a"', '"z"'))
    with pytest.raises(ValueError, match=r"line 1: id 'z' is unknown"):
        PredictionFile(tmp_path, KEYS, SETTINGS)
    file.path.write_text("{nothing\n" + text)
    with pytest.raises(ValueError, match=r"predictions.jsonl, line 1: not JSON"):
        PredictionFile(tmp_path, KEYS, SETTINGS)


def test_missing_predictions_are_never_a_finished_file(tmp_path):
    file = PredictionFile(tmp_path, KEYS, SETTINGS)
    file.append([line("a"), line("b"), line("d")])
    with pytest.raises(AssertionError, match="1 predictions are missing, the first is 'c'"):
        file.finish()


def test_another_example_of_the_same_id_is_refused(tmp_path):
    PredictionFile(tmp_path, KEYS, SETTINGS).append([line("a"), line("b")])
    PredictionFile(tmp_path, {**KEYS, "c": {"prompt": "not answered yet"}}, SETTINGS)
    for other, message in (
        ({"prompt": "of b", "pictures": "a dog"}, "line 2: of the example 'b' pictures is not what it was"),
        ({"prompt": "of c", "pictures": "a dog"}, "line 2: of the example 'b' pictures, prompt are not what it was"),
        ({"prompt": "of b"}, "pictures is not"),
    ):
        with pytest.raises(ValueError, match=message):
            PredictionFile(tmp_path, {**KEYS, "b": other}, SETTINGS)


def test_a_setting_inside_another_is_named(tmp_path):
    PredictionFile(tmp_path, KEYS, {"config": {"text": {"layers": 2}}}).append([line("a")])
    with pytest.raises(ValueError, match=r"\(config.text.layers: 2 there, 3 now\)"):
        PredictionFile(tmp_path, KEYS, {"config": {"text": {"layers": 3}}})


class Together:
    """Calls on behalf of several processes, one after the other: each waits by handing over to the next."""

    def __init__(self, number):
        self.barrier = threading.Barrier(number, timeout=20)

    def run(self, work):
        number = self.barrier.parties
        with ThreadPoolExecutor(number) as pool:
            shares = [Share(one, number, lambda: self.barrier.wait() and None) for one in range(number)]
            return list(pool.map(work, shares))


@pytest.mark.parametrize("number", [1, 2, 3, 6])
def test_however_many_processes_leave_the_same_bytes(tmp_path, number):
    alone = PredictionFile(tmp_path / "alone", KEYS, SETTINGS)
    alone.append([line(id) for id in IDS])
    alone.finish()

    def work(share):
        file = PredictionFile(tmp_path / "shared", KEYS, SETTINGS, share)
        file.append([line(id) for place, id in enumerate(reversed(IDS)) if share.takes(place)])
        return file.finish()

    for lines in Together(number).run(work):
        assert [one["id"] for one in lines] == IDS
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == ["predictions.jsonl", "settings.json"]
    assert (tmp_path / "shared" / "predictions.jsonl").read_bytes() == alone.path.read_bytes()


def test_what_killed_processes_left_is_gathered_by_any_number_of_others(tmp_path):
    def killed(share):
        file = PredictionFile(tmp_path, KEYS, SETTINGS, share)
        file.append([line(id) for place, id in enumerate(IDS[:3]) if share.takes(place)])

    Together(3).run(killed)
    torn = tmp_path / "predictions.2.jsonl"
    torn.write_bytes(torn.read_bytes()[:-5])
    resumed = PredictionFile(tmp_path, KEYS, SETTINGS)
    assert set(resumed.lines) == {"a", "b"}
    assert not torn.exists()


def test_torn_within_a_character(tmp_path):
    file = PredictionFile(tmp_path, KEYS, SETTINGS)
    file.append([line("a"), {**line("b"), "prediction": "色"}])
    whole = file.path.read_bytes()
    for end in range(len(whole) - 20, len(whole)):
        file.path.write_bytes(whole[:end])
        assert set(PredictionFile(tmp_path, KEYS, SETTINGS).lines) == {"a"}


def test_lines_of_which_nothing_says_how_they_were_made(tmp_path):
    def killed(share):
        PredictionFile(tmp_path, KEYS, SETTINGS, share).append([line(IDS[share.number])])

    Together(2).run(killed)
    (tmp_path / "predictions.jsonl").unlink()
    with pytest.raises(ValueError, match="other settings"):  # the other process's lines are there
        PredictionFile(tmp_path, KEYS, {"weights": "2"})
    (tmp_path / "settings.json").unlink()
    with pytest.raises(ValueError, match=r"settings.json: not there"):
        PredictionFile(tmp_path, KEYS, SETTINGS)
    assert (tmp_path / "predictions.1.jsonl").exists()


def test_others_settings_are_refused_before_others_files_are_touched(tmp_path):
    def killed(share):
        PredictionFile(tmp_path, KEYS, SETTINGS, share).append([line(IDS[share.number])])

    Together(2).run(killed)
    with pytest.raises(ValueError, match="other settings"):
        PredictionFile(tmp_path, KEYS, {"weights": "2"})
    assert (tmp_path / "predictions.1.jsonl").exists()
