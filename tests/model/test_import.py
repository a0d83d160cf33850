"""`import minigemini` is cheap, and yet transformers knows our classes after it. In fresh interpreters."""

import subprocess
import sys

import pytest


def run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def test_imports_no_torch():
    run("import minigemini, sys; heavy = {'torch', 'transformers', 'timm'} & set(sys.modules); assert not heavy, heavy")


@pytest.mark.parametrize("order", ["import minigemini, transformers", "import transformers, minigemini"])
def test_registers_with_the_auto_classes(order):
    run(
        f"{order}\n"
        "from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor\n"
        "config = AutoConfig.for_model('minigemini')\n"
        "assert type(config) is minigemini.MiniGeminiConfig\n"
        "assert AutoModelForImageTextToText._model_mapping[type(config)] is minigemini.MiniGeminiForConditionalGeneration\n"
    )


def test_unknown_name():
    import minigemini

    with pytest.raises(AttributeError, match="Gemini"):
        _ = minigemini.Gemini
