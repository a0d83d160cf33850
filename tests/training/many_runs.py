"""``torchrun tests/training/many_runs.py RUNS.json``: several runs by the same processes, because it takes long to start them.

RUNS.json is a list of ``[recipe, overrides]``. Beside the checkpoint of a run each process writes what it held, as
``held-RANK.json``. Then mining alone is compared in slices (zero3_mining.py).
DeepSpeed's CPU accelerator does not compile its shared-memory collectives first; gloo does.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import deepspeed
import torch
import zero3_mining
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from minigemini.training import run, sliced_model
from minigemini.training.trainer import MiniGeminiTrainer

held: dict[str, Any] = {}


class Watched(MiniGeminiTrainer):
    """Counts what this process holds when the training is over."""

    def train(self, *args: Any, **kwargs: Any) -> Any:
        done = super().train(*args, **kwargs)
        parameters = list(self.model.parameters())
        held["parameters"] = len(parameters)
        held["in_slices"] = sum(isinstance(p, DTensor) or "ds_id" in vars(p) for p in parameters)
        held["gathered_alone"] = sorted({type(m).__name__ for m in self.model.modules() if isinstance(m, FSDPModule)})
        return done


def assemble(*args: Any) -> Any:
    held["assembled"] = True
    return assemble_model(*args)


if __name__ == "__main__":
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    assemble_model = run.assemble_model
    run.MiniGeminiTrainer = Watched  # type: ignore[misc]
    run.assemble_model = sliced_model.assemble_model = assemble
    environment = dict(os.environ)
    for recipe, overrides in json.loads(Path(sys.argv[1]).read_text()):
        held.clear()
        held["assembled"] = False
        output = run.train(recipe, overrides)
        (output / f"held-{os.environ['RANK']}.json").write_text(json.dumps(held))
        torch.distributed.barrier()
        os.environ.clear()  # of what accelerate leaves there for the processes that it launches
        os.environ.update(environment)
    zero3_mining.compare()
