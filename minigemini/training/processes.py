"""Several processes: whether they know of each other, what each has, and who says what went wrong."""

import hashlib
import os
from datetime import timedelta
from typing import Any

import torch
from transformers import TrainingArguments


def check_processes(arguments: TrainingArguments) -> None:
    """
    Raises:
        ValueError: a launcher started several processes that do not know of each other (each would train alone, and all
            would write the same checkpoint), or that would not learn what one process learns; or one process has several GPUs,
            which Trainer would share out by threads (DataParallel).
    """
    if arguments.n_gpu > 1:
        raise ValueError(
            f"{arguments.n_gpu} GPUs and one process: torchrun --nproc_per_node {arguments.n_gpu} -m minigemini train ... gives each GPU "
            "one, CUDA_VISIBLE_DEVICES=0 leaves one GPU"
        )
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != max(1, arguments.world_size):
        raise ValueError(
            f"{started} processes were launched, but each would train alone: on a machine without GPU set "
            "trainer.use_cpu=true"
        )
    if started > 1 and not arguments.average_tokens_across_devices:
        raise ValueError(
            "trainer.average_tokens_across_devices=false: a word would count more in a process that has few of them, and the "
            "end of an epoch, where one may have none, is 0/0"
        )


def gather(item: Any) -> list[Any]:
    """``item`` of every process, in order of rank."""
    if not torch.distributed.is_initialized():
        return [item]
    items: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(items, item)
    return items


def any_process(condition: bool, device: torch.device) -> bool:
    """Whether it holds in any process; all of them must ask."""
    if not torch.distributed.is_initialized():
        return condition
    flag = torch.tensor([float(condition)], device=device)
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


def is_first_to_say(words: str) -> bool:
    """Whether no other process of this launch has said these words.

    The processes cannot ask each other: the one that failed may be the only one that has stopped. They ask the launcher
    (torchrun, accelerate launch), which keeps a store for them while they run; where there is none, each speaks for itself.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return True
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        store = torch.distributed.TCPStore(address, port, is_master=False, timeout=timedelta(seconds=10))
        return store.add("said/" + hashlib.sha256(words.encode()).hexdigest(), 1) == 1
    except torch.distributed.DistError:
        return True
