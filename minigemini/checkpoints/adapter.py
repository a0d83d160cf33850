"""Adapter folders: what was trained beside a base model that the folder names, in the files of peft.

- ``adapter_config.json``: peft's LoraConfig; the base by name (`base_model_name_or_path`), the layers by their exact names, and the
  modules that were trained whole (`modules_to_save`).
- ``adapter_model.safetensors``: the low-rank weights, and those whole modules.
- Configuration and processor, as in any checkpoint.

peft's own `PeftModel.from_pretrained(base, folder)` reads it too. Here the layers are put into the model itself, which stays one of ours
with all of its names, and what is trained whole is held once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.utils import cached_file
from transformers.utils.peft_utils import find_adapter_config_file

from minigemini.checkpoints.bits import is_in_bits

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."  # peft's, before every name in the file
NAME = "default"  # of the one adapter in a model


def check_peft() -> None:
    """
    Raises:
        ValueError: peft is not installed.
    """
    try:
        import peft  # noqa: F401
    except ImportError:
        raise ValueError("LoRA needs peft, which is not installed: pip install 'minigemini[lora]'") from None


def is_adapter(name: str) -> bool:
    """Whether a folder or hub id holds an adapter."""
    return find_adapter_config_file(name) is not None


def read_config(name: str) -> Any:
    """The LoraConfig of an adapter.

    Raises:
        ValueError: peft is not installed, the adapter is of another kind, or does not name its base.
    """
    check_peft()
    from peft import LoraConfig, PeftConfig

    config = PeftConfig.from_pretrained(name)
    if not isinstance(config, LoraConfig):
        raise ValueError(f"{name}: an adapter of the kind {config.peft_type}; only LoRA and its kin are loaded")
    if not config.base_model_name_or_path:
        raise ValueError(f"{name}: {CONFIG} does not name the model it belongs to (base_model_name_or_path)")
    return config


def attach(model: Any, name: str, config: Any) -> None:
    """Put the layers and the whole modules of an adapter into the model that it belongs to.

    Args:
        model: the base, as it was loaded.
        config: of `read_config`.

    Raises:
        ValueError: its tensors do not fit the model, or it changes one of two tied matrices.
    """
    whole, base = config.modules_to_save or [], config.base_model_name_or_path
    config.modules_to_save = None  # peft would keep a second copy of each
    add_layers(model, config)
    config.modules_to_save, config.base_model_name_or_path = whole or None, base
    file = cached_file(name, WEIGHTS)
    assert file is not None, "cached_file raises where there is none"
    load_weights(model, Path(file))


def add_layers(model: Any, config: Any) -> None:
    """Low-rank layers, new ones, for every layer that `config` names; of all parameters only theirs are trained then.

    Raises:
        ValueError: a layer is the embedding or the head, and these share their weights.
    """
    from peft import inject_adapter_in_model

    inject_adapter_in_model(
        config, model, NAME
    )  # their model.add_adapter does this, and 5.24 asks for an unreleased peft first
    model._hf_peft_config_loaded = True
    embedding = model.get_input_embeddings()
    tied = model.get_output_embeddings().weight is embedding.weight
    if tied and any(layer in (embedding, model.get_output_embeddings()) for _, layer in low_rank_layers(model)):
        raise ValueError(
            "the adapter changes the embeddings or the head, which share their weights in this model: it could not be merged, since "
            "what is added for the one would change the other too"
        )


def low_rank_layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Layers that peft has put into the model, by the names of those they stand for."""
    from peft.tuners.lora import LoraLayer

    yield from ((name, layer) for name, layer in model.named_modules() if isinstance(layer, LoraLayer))


def adapter_weights(model: Any, state_dict: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The tensors of the adapter in a model, under the names of the file.

    Args:
        state_dict: of the model, where an engine holds the weights elsewhere.
    """
    from peft import get_peft_model_state_dict

    state = model.state_dict() if state_dict is None else state_dict
    low_rank = get_peft_model_state_dict(model, state_dict=state, adapter_name=NAME, save_embedding_layers=False)
    whole = tuple(f"{module}." for module in model.peft_config[NAME].modules_to_save or ())
    tensors = low_rank | {name: tensor for name, tensor in state.items() if name.startswith(whole)}
    return {PREFIX + name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def save(model: Any, folder: Path, state_dict: dict[str, Tensor] | None = None) -> None:
    """Write an adapter folder; the processor is not in it yet."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = adapter_weights(model, state_dict)
    if (head := PREFIX + "lm_head.weight") in tensors:
        tensors[head] = tensors[head].clone()  # a tied one shares memory with the embeddings, and no two may in a file
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    model.peft_config[NAME].save_pretrained(folder)
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)


def load_weights(model: Any, file: Path) -> None:
    """Read the tensors of an adapter into a model that has its layers.

    Raises:
        ValueError: one is missing, is unknown, or has another shape.
    """
    from peft import set_peft_model_state_dict

    tensors = {name.removeprefix(PREFIX): tensor for name, tensor in load_file(file).items()}
    expected = {name.removeprefix(PREFIX): tensor.shape for name, tensor in adapter_weights(model).items()}
    for name in sorted(tensors.keys() ^ expected.keys()):
        raise ValueError(
            f"{file}: {name} is {'not in it' if name in expected else 'not in the model that it belongs to'}"
        )
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise ValueError(
                f"{file}: {name} is {list(tensors[name].shape)}, and {list(shape)} in the model that it belongs to"
            )
    low_rank = {name: tensor for name, tensor in tensors.items() if ".lora_" in name}
    set_peft_model_state_dict(model, low_rank, adapter_name=NAME)
    model.load_state_dict({name: tensor for name, tensor in tensors.items() if name not in low_rank}, strict=False)


@torch.no_grad()
def merge_layers(model: Any) -> None:
    """Add what the adapter's layers learnt to the layers they stand for, which take their places again.

    Each sum is made in float32 and rounded once to the type of the layer.
    """
    assert not is_in_bits(model), "rounding to 4 or 8 bits again would lose most of what was learnt"
    for name, layer in list(low_rank_layers(model)):
        plain, dtype = layer.get_base_layer(), layer.get_base_layer().weight.dtype
        plain.to(torch.float32)
        layer.merge(safe_merge=True)
        plain.to(dtype)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, plain)
    del model.peft_config
    model._hf_peft_config_loaded = False
