"""One thread per test process: with more, the threads of several processes wait for each other."""

import logging
import shutil
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import shared
import tiny
import torch

import minigemini

torch.set_num_threads(1)

OURS = str(Path(minigemini.__file__).parent)
BETWEEN = ("/transformers/utils/", "/torch/", "/logging/", "/functools.py", "/contextlib.py", __file__)


class DeprecationIsAnError(logging.Handler):
    """Fails a test in which transformers tells *our* code that a name is going: it says so in its log, not as a warning."""

    def emit(self, record: logging.LogRecord) -> None:
        if "deprecated" in record.getMessage():
            callers = [f.filename for f in traceback.extract_stack() if not any(b in f.filename for b in BETWEEN)]
            assert not callers[-1].startswith(OURS), record.getMessage()


logging.getLogger("transformers").addHandler(DeprecationIsAnError())
collect_ignore_glob = [] if shared.BESIDE_IS_THERE else ["*_beside.py"]


@pytest.fixture(scope="session")
def tiny_parts(tmp_path_factory) -> dict[str, str]:
    """Folders of a tiny language model and two tiny towers, by the names that recipes and `assemble.Parts` know."""
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
