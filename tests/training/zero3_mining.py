"""Patch info mining with every weight in ZeRO-3's slices, against a whole one, in each of several processes.

Its absorbed and pooled layers are not called as layers usually are, and two biases have no effect: an engine that gathers
a module's weights when the module is called, and waits for all gradients, must cope with that.
"""

from typing import Any

import deepspeed
import torch
from deepspeed.utils import safe_get_full_grad

from minigemini.model.patch_info_mining import PatchInfoMining

CHANNELS = [8, 12, 16, 20]
CONFIG = {
    "train_micro_batch_size_per_gpu": 2,
    "zero_allow_untested_optimizer": True,
    # The default keeps small weights whole.
    "zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 0, "overlap_comm": False},
}


def new_mining() -> PatchInfoMining:
    return PatchInfoMining(24, CHANNELS, 4, 2, True)


def compare() -> None:
    """
    Raises:
        AssertionError: an output or a gradient differs.
    """
    deepspeed.init_distributed("gloo")
    torch.manual_seed(0)
    whole = new_mining()
    with deepspeed.zero.Init(config_dict_or_path=CONFIG):
        sliced = new_mining()
    slices: Any = dict(sliced.named_parameters())
    for name, parameter in whole.named_parameters():
        with torch.no_grad(), deepspeed.zero.GatheredParameters(slices[name], modifier_rank=0):
            slices[name].copy_(parameter)
        assert slices[name].ds_tensor.numel() <= (parameter.numel() + 1) // 2, name
        assert slices[name].numel() == 0, name
    optimizer = torch.optim.SGD(sliced.parameters(), lr=0.0)
    engine, *_ = deepspeed.initialize(model=sliced, optimizer=optimizer, config=CONFIG)

    for fine in (64, 32):  # a size, and then another
        torch.manual_seed(fine)  # the same pictures in both processes, so that the mean gradient is that of one
        tokens = torch.randn(2, 5, 16, 24)
        pyramid = [torch.randn(2, c, fine // 2**s, fine // 2**s) for s, c in enumerate(CHANNELS)]
        mined = engine(tokens, pyramid)[0]
        expected = whole(tokens, pyramid)[0]
        torch.testing.assert_close(mined, expected)
        engine.backward(mined.square().mean())
        whole.zero_grad()
        expected.square().mean().backward()
        for name, parameter in whole.named_parameters():
            found = safe_get_full_grad(slices[name])
            torch.testing.assert_close(found, parameter.grad, msg=lambda text, name=name: f"{name}: {text}")
        engine.step()
    print("mining is the same in slices", flush=True)
