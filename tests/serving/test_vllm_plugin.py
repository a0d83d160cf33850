"""What vLLM finds by the entry point, without vLLM."""

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import tiny
import torch
from torch import nn

from minigemini import MiniGeminiModel
from minigemini.serving.vllm_model import ServedModel

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_entry_point_registers_in_a_fresh_process():
    points = tomllib.loads(PROJECT.read_text())["project"]["entry-points"]["vllm.general_plugins"]
    assert callable(EntryPoint("minigemini", points["minigemini"], "vllm.general_plugins").load())
    module, _, name = points["minigemini"].partition(":")
    code = (
        f"from {module} import {name}; import sys; assert 'transformers' not in sys.modules; {name}(); {name}();"
        "import transformers, minigemini;"
        "assert transformers.MiniGeminiForConditionalGeneration is minigemini.MiniGeminiForConditionalGeneration;"
        "assert 'minigemini' in transformers.CONFIG_MAPPING;"
        "config = minigemini.MiniGeminiConfig;"
        "assert transformers.AutoModel._model_mapping[config].__name__ == 'ServedModel';"
        "assert 'vllm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_vllm_builds_a_model_that_looks_up_no_id_behind_the_vocabulary():
    """vLLM's wrapper asks the language model, whose embeddings it has replaced, for every id of a prompt."""
    config = tiny.image_encoder(96).config
    config.image_token_id = config.text_config.vocab_size
    model = ServedModel(config)
    ids = torch.tensor([[5, config.image_token_id, 7]])
    with pytest.raises(IndexError):
        MiniGeminiModel(config).language_model.get_input_embeddings()(ids)
    rows = nn.Embedding(config.text_config.vocab_size, 32)
    model.language_model.set_input_embeddings(rows)
    assert torch.equal(model.language_model.get_input_embeddings()(ids), rows(torch.tensor([[5, 0, 7]])))
    config.image_token_id = 3
    assert isinstance(ServedModel(config).language_model.get_input_embeddings(), nn.Embedding)
