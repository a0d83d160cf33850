"""One thread per test process: with more, the threads of several processes wait for each other."""

import shutil
from collections.abc import Iterator

import pytest
import shared
import tiny
import torch

torch.set_num_threads(1)

collect_ignore_glob = [] if shared.BESIDE_IS_THERE else ["*_beside.py"]


@pytest.fixture(scope="session")
def tiny_parts(tmp_path_factory) -> dict[str, str]:
    """Folders of a tiny language model and two tiny towers, by the names that recipes and ``from_parts`` know."""
    return tiny.write_parts(tmp_path_factory.mktemp("tiny_parts"))


@pytest.fixture(scope="session")
def unpacked() -> Iterator[None]:
    """The folder that what is packed is unpacked in."""
    shared.UNPACKED.mkdir()
    yield
    shutil.rmtree(shared.UNPACKED)


@pytest.fixture(scope="session")
def original(unpacked) -> None:
    """Outputs of the original system, in ``shared.RECORDED``."""
    shared.unpack(shared.RECORDED)


@pytest.fixture(scope="session")
def samples(unpacked) -> None:
    """Predictions and their scores, in ``shared.FIXTURES``."""
    shared.unpack(shared.FIXTURES)
