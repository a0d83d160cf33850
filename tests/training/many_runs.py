"""``torchrun tests/training/many_runs.py RUNS.json``: several runs by the same processes, because it takes long to start them.

RUNS.json is a list of ``[recipe, overrides]``. When it is trained, each process writes beside the checkpoint of a run what it held,
as ``held-RANK.json``.
"""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import deepspeed
from torch.distributed.tensor import DTensor

from minigemini.checkpoints import assemble
from minigemini.training import run, sliced_model
from minigemini.training.trainer import MiniGeminiTrainer


def main(runs: list[tuple[str, list[str]]]) -> None:
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # as deepspeed_without_compiler.py
    for recipe, overrides in runs:
        held: dict[str, Any] = {}
        print("RUN", recipe, overrides, flush=True)
        output = run.train(recipe, overrides)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
