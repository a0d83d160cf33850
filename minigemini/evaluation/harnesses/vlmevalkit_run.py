"""``minigemini eval vlmevalkit``: VLMEvalKit's run.py, which knows our model.

VLMEvalKit has no plug-in mechanism; a model is an entry of ``vlmeval.config.supported_VLM``, so it is put there before run.py runs,
in the same process. Several processes: torchrun --nproc-per-node 8 -m minigemini eval vlmevalkit ...
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

OURS = ("--model", "--config")  # what decides on the model in run.py


def run(model: str, checkout: Path, arguments: Sequence[str]) -> int:
    """
    Args:
        model: a checkpoint folder, a hub id, or a shipped name ("nano").
        checkout: VLMEvalKit's repository.
        arguments: of its run.py, without the model.

    Raises:
        ValueError: there is no VLMEvalKit, it cannot be imported, or ``arguments`` choose a model.
    """
    script = checkout.resolve() / "run.py"
    if not script.is_file() or not (script.parent / "vlmeval").is_dir():
        raise ValueError(f"{checkout}: not a checkout of VLMEvalKit (no run.py with a folder vlmeval beside it)")
    chosen = [argument for argument in arguments if argument.partition("=")[0] in OURS]
    if chosen:
        raise ValueError(
            f"{chosen[0]} is not for run.py here: the model is the one of `minigemini eval vlmevalkit --model`"
        )
    sys.path.insert(0, str(script.parent))
    os.environ.setdefault("PRED_FORMAT", "tsv")  # its default, xlsx, cuts replies at 32767 characters
    try:
        from vlmeval.config import supported_VLM

        from minigemini.evaluation.harnesses.vlmevalkit_model import VLMEvalKitModel
    except ImportError as error:
        raise ValueError(
            f"VLMEvalKit in {checkout} cannot be imported ({error}). It needs an environment of its own: pip install -e "
            f"{checkout}, then minigemini beside it. lmms-eval cannot be there too, as the two need different versions of antlr4"
        ) from error
    name = name_of(model)
    if name in supported_VLM:
        raise ValueError(f"VLMEvalKit has a model {name} of its own; rename the folder {model}")
    path = str(Path(model).resolve()) if Path(model).exists() else model  # run.py may change the working directory
    supported_VLM[name] = partial(VLMEvalKitModel, path)
    sys.argv = [str(script), *arguments, "--model", name]
    runpy.run_path(str(script), run_name="__main__")
    return 0


def name_of(model: str) -> str:
    """What VLMEvalKit's folders and files are named after: ``checkpoints/mgm-7b`` is ``minigemini-mgm-7b``."""
    return f"minigemini-{Path(model).resolve().name}"
