"""The check pass finds every bad record, before anything is trained, and counts tokens as the processor does."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tiny
from PIL import Image

from minigemini import MiniGeminiProcessor
from minigemini.data.check import PRINTED_PROBLEMS, check, report
from minigemini.data.records import BadRecord
from minigemini.data.sources import DataRecipe, Source


@pytest.fixture(scope="module")
def processor(tiny_parts) -> MiniGeminiProcessor:
    return tiny.new_processor(tiny_parts)


def turns(*texts: str) -> list[dict]:
    return [{"from": "human" if i % 2 == 0 else "gpt", "value": text} for i, text in enumerate(texts)]


@pytest.fixture
def data(tmp_path) -> Path:
    """Eight records of which two are good, each of the others with another fault."""
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    Image.new("RGB", (4000, 3)).save(tmp_path / "thread.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "red.png").read_bytes()[:-30])
    records = [
        {"id": "good", "image": "red.png", "conversations": turns("<image>\nwhat?", "red")},
        {"id": "missing", "image": ["red.png", "gone.png"], "conversations": turns("<image><image>", "red")},
        {"id": "cut", "image": "cut.png", "conversations": turns("<image>", "red")},
        {"id": "thread", "image": "thread.png", "conversations": turns("<image>", "red")},
        {"id": "order", "conversations": turns("hi", "ho")[::-1]},
        {"id": "count", "image": "red.png", "conversations": turns("hi", "ho")},
        {"id": "long", "conversations": turns("hi", "long " * 100)},
        {"id": "system", "conversations": [{"from": "system", "value": "be kind"}, *turns("hi", "ho")]},
        {"conversations": turns("hi", "ho")},
    ]
    (tmp_path / "data.json").write_text(json.dumps(records))
    return tmp_path / "data.json"


def test_every_fault_is_found_and_named_in_order(data, processor):
    found = check(DataRecipe([Source(str(data))], max_length=100), processor)
    assert [found.sources[0].record(place).name for place in range(2)] == [
        f"{data}: record 0 (id 'good')",
        f"{data}: record 8",
    ]
    words = {
        "record 1 (id 'missing')": "gone.png: no such file",
        "record 2 (id 'cut')": "cut.png: a broken picture",
        "record 3 (id 'thread')": "4000x3 pixels",
        "record 4 (id 'order')": "turns must alternate",
        "record 5 (id 'count')": "0 <image> in the conversation, but 1 image files",
        "record 6 (id 'long')": "tokens, more than max_length 100",
        "record 7 (id 'system')": "the chat template refuses it: no role system",
    }
    assert len(found.problems) == len(words)
    for problem, (record, reason) in zip(found.problems, words.items(), strict=True):
        assert problem.name == f"{data}: {record}"
        assert reason in problem.reason


def test_without_a_processor_records_and_images_are_checked(data):
    found = check(DataRecipe([Source(str(data))], max_length=1), processor=None)
    assert [problem.name.rsplit("id ")[-1] for problem in found.problems] == [
        "'missing')",
        "'cut')",
        "'thread')",
        "'order')",
        "'count')",
    ]
    assert found.summary() == "4 good records, 3 of them text only, 1 images"


def test_lengths_are_the_processors(data, processor):
    found = check(DataRecipe([Source(str(data))], max_length=1000), processor)
    messages = [
        {
            "role": "user",
            "content": [{"type": "image", "image": Image.new("RGB", (9, 9))}, {"type": "text", "text": "what?"}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "red"}]},
    ]
    encoded = processor.apply_chat_template(messages, tokenize=True, return_dict=True)
    assert found.sources[0].lengths[0] == len(encoded["input_ids"][0])
    exact = int(found.sources[0].lengths.max())
    assert not [
        p for p in check(DataRecipe([Source(str(data))], exact), processor).problems if "max_length" in p.reason
    ]
    assert [
        p for p in check(DataRecipe([Source(str(data))], exact - 1), processor).problems if "max_length" in p.reason
    ]


def test_processes_share_the_work_and_agree(data, processor):
    recipe = DataRecipe([Source(str(data)), Source(str(data), weight=2)], max_length=100)
    alone = check(recipe, processor)
    slots: list = [None, None]
    barrier = threading.Barrier(2)

    def process(rank: int):
        def gather(item):
            slots[rank] = item
            barrier.wait(timeout=60)
            items = list(slots)
            barrier.wait(timeout=60)
            return items

        return check(recipe, processor, share=(rank, 2), gather=gather, show_progress=False)

    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(process, range(2)):
            assert found.problems == alone.problems
            assert found.summary() == alone.summary()
            assert [source.weight for source in found.sources] == [1.0, 2.0]


def test_a_template_without_marks_is_an_error(data, processor, tiny_parts):
    other = tiny.new_processor(tiny_parts)
    other.chat_template = str(other.chat_template).replace("{% generation %}", "").replace("{% endgeneration %}", "")
    with pytest.raises(ValueError, match="does not mark the assistant's words"):
        check(DataRecipe([Source(str(data))], max_length=100), other)


def test_the_report_prints_some_and_writes_all(tmp_path):
    problems = [BadRecord(f"record {i}", "bad") for i in range(PRINTED_PROBLEMS + 5)]
    words = report(problems, tmp_path / "new" / "bad.txt")
    assert words.startswith("25 bad records (full list in ")
    assert "record 19: bad" in words
    assert "record 20: bad" not in words
    assert words.endswith("... and 5 more")
    assert (tmp_path / "new" / "bad.txt").read_text().splitlines()[24] == "record 24: bad"
