"""One thread per test process: with more, the threads of several processes wait for each other."""

import pytest
import tiny
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_parts(tmp_path_factory) -> dict[str, str]:
    """Folders of a tiny language model and two tiny towers, by the names that recipes and `assemble.Parts` know."""
    return tiny.write_parts(tmp_path_factory.mktemp("tiny_parts"))
