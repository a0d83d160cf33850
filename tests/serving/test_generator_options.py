import pytest
import torch

from minigemini.serving.load_session import load_session
from minigemini.serving.options import ChatOptions


@pytest.mark.parametrize("settings", [{"offload": "model"}, {"generator_bits": 4}])
def test_options_of_a_generator_that_would_do_nothing_are_refused(settings: dict, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="(--offload|--generator-bits) needs a GPU"):
        load_session(ChatOptions(**settings))
    with pytest.raises(ValueError, match="for an image generator, and this chat has none"):
        load_session(ChatOptions(draw=False, **settings))
