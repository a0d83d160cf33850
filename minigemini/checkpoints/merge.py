"""An adapter and its base -> one ordinary checkpoint."""

from pathlib import Path

import torch

from minigemini.checkpoints import adapter, load
from minigemini.checkpoints.bits import is_in_bits


def merge(name: str, out: Path) -> str:
    """Write the model that an adapter makes of its base, in float32 as every trained checkpoint, with its processor.

    Args:
        name: folder or hub id of the adapter.

    Returns:
        The name of the base.

    Raises:
        ValueError: there is no adapter, its base is not there, or one that cannot be merged into; or `out` is not empty.
    """
    if not adapter.is_adapter(name):
        raise ValueError(f"{name}: not an adapter (no {adapter.CONFIG}); there is nothing to merge")
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out}: not empty; choose another folder")
    base = adapter.read_config(name).base_model_name_or_path
    model, processor = load.load(name, dtype=torch.float32, device="cpu")
    if is_in_bits(model):
        raise ValueError(
            f"{name}: its base {base} is stored in few bits. Merged into them, most of what the adapter learnt would be rounded away; "
            f"name the unquantised model as base_model_name_or_path in {adapter.CONFIG}"
        )
    model.save_pretrained(out)
    processor.save_pretrained(out)
    return base
