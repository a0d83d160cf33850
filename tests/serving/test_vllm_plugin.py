"""What vLLM finds by the entry point, without vLLM."""

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

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
        "assert 'vllm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
