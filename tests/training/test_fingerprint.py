"""What a fingerprint notices."""

from typing import Any

import pytest

from minigemini.training.fingerprint import changes, flat


@pytest.mark.parametrize(
    ("begun", "now", "noticed"),
    [
        ({"kwargs": None}, {"kwargs": {"cycles": 2}}, {"trainer.kwargs.cycles": "None -> 2"}),
        (
            {"kwargs": {}},
            {"kwargs": {"cycles": 2}},
            {"trainer.kwargs": "{} -> None", "trainer.kwargs.cycles": "None -> 2"},
        ),
        (
            {"fsdp": []},
            {"fsdp": ["full_shard"]},
            {"trainer.fsdp": "[] -> None", "trainer.fsdp.0": "None -> full_shard"},
        ),
        ({"deepspeed": {"stage": 2}}, {"deepspeed": None}, {"trainer.deepspeed.stage": "2 -> None"}),
        ({"kwargs": {}, "seed": 1}, {"kwargs": {}, "seed": 1}, {}),
        ({"of_one_version": {"a": 1}}, {"of_another": [], "seed": 1}, {}),
    ],
)
def test_what_is_added_and_what_is_taken_away(begun: dict[str, Any], now: dict[str, Any], noticed: dict[str, str]):
    assert changes(flat({"trainer": begun}), flat({"trainer": now})) == noticed
