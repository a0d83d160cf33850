"""A name -> a loaded model and its processor. The one policy of where a model runs and in which type:

- name: an existing local path wins, then a shipped name (``nano``), else it is a hub id.
- device: a GPU if there is one, else the CPU.
- dtype: on a GPU the checkpoint's own; on a CPU float32, because few CPUs compute in half precision, and those that do, slowly.
- bits: 4 or 8 for the language model's layers; what is not quantised (all that sees, embeddings, head) is then in bfloat16.
- An adapter loads with the base that it names, and is merged into it, in float32, rounded once; but beside a base in few bits it stays
  what it is.
- The model is in eval mode.

What is told wins. ``MiniGeminiForConditionalGeneration.from_pretrained`` is plain transformers and has none of this.
"""

from typing import Any, Literal

import torch

from minigemini import nano
from minigemini.checkpoints import adapter
from minigemini.checkpoints.bits import in_bits, is_in_bits
from minigemini.checkpoints.resolution import Resolution, configuration_at, resolution_of, set_resolution
from minigemini.model.modeling_minigemini import MiniGeminiForConditionalGeneration
from minigemini.model.processing_minigemini import MiniGeminiProcessor


def load(
    name: str,
    *,
    dtype: torch.dtype | None = None,
    bits: Literal[4, 8] | None = None,
    device: torch.device | str | None = None,
) -> tuple[Any, MiniGeminiProcessor]:
    """A model that answers, and its processor.

    Args:
        name: checkpoint or adapter folder, hub id or shipped name.
        dtype, bits, device: as above.

    Raises:
        ValueError: no model can be loaded from there, it has no token that ends an answer, or other bits; names it.
    """
    model, processor = load_model(name, dtype=dtype, bits=bits, device=device), load_processor(name)
    if model.generation_config.eos_token_id is None:
        raise ValueError(f"{name}: nothing says where an answer ends; generation_config.json needs eos_token_id")
    return model, processor


def load_processor(name: str, resolution: Resolution | None = None) -> MiniGeminiProcessor:
    """
    Args:
        resolution: of the pictures, instead of the checkpoint's own.

    Raises:
        ValueError: there is none.
    """
    try:
        processor: MiniGeminiProcessor = MiniGeminiProcessor.from_pretrained(nano.resolve(name))
    except OSError as error:
        raise ValueError(f"{name}: no processor can be loaded from there ({error})") from error
    if resolution is not None:
        set_resolution(processor, resolution)
    return processor


def load_model(
    name: str,
    *,
    dtype: torch.dtype | None = None,
    bits: Literal[4, 8] | None = None,
    device: torch.device | str | None = None,
    resolution: Resolution | None = None,
) -> Any:
    """The model alone, as `load`.

    Args:
        resolution: of the pictures, instead of the checkpoint's own.

    Raises:
        ValueError: no model can be loaded from there, a tensor is missing, or other bits; or the base of an adapter is not there.
    """
    if adapter.is_adapter(nano.resolve(name)):
        return load_adapter(name, dtype=dtype, bits=bits, device=device, resolution=resolution)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    options: dict[str, Any] = {"dtype": dtype or (torch.float32 if device.type == "cpu" else "auto")}
    if bits is not None:
        options = {"dtype": dtype or torch.bfloat16, "quantization_config": in_bits(bits)}
    if resolution is not None:
        options["config"] = configuration_at(nano.resolve(name), resolution)
    if bits is not None or device.type != "cpu":
        options["device_map"] = device  # else it comes to the CPU anyway, and ZeRO-3 allows no map
    try:
        loaded: Any = MiniGeminiForConditionalGeneration.from_pretrained(
            nano.resolve(name), output_loading_info=True, **options
        )
    except OSError as error:
        raise ValueError(f"{name}: no model can be loaded from there ({error})") from error
    model, found = loaded
    missing = sorted(found["missing_keys"])
    if missing:  # transformers would go on with random numbers
        raise ValueError(f"{name}: {len(missing)} tensors of the model are not in its files, {missing[0]} among them")
    return model.eval()


def load_adapter(name: str, resolution: Resolution | None = None, **options: Any) -> Any:
    """The base that an adapter names, at the adapter's resolution, with what the adapter learnt.

    Args:
        resolution, options: those of `load_model`.

    Raises:
        ValueError: there is no such base, it is an adapter beside weights in few bits, or the adapter does not fit it.
    """
    config = adapter.read_config(name)
    base = config.base_model_name_or_path
    try:
        folder = nano.resolve(base)
    except ValueError as error:
        raise ValueError(
            f"{name} is an adapter of {base}, which is not there ({error}); put it there, or write its place into {adapter.CONFIG}"
        ) from None
    if resolution is None and (own := resolution_of(nano.resolve(name))) != resolution_of(folder):
        resolution = own
    model = load_model(base, resolution=resolution, **options)
    if model._hf_peft_config_loaded:  # beside weights in few bits it was not merged, and a model holds one
        raise ValueError(f"{name} is an adapter of {base}, which is one itself; merge that first (minigemini merge)")
    adapter.attach(model, name, config)
    if not is_in_bits(model):
        adapter.merge_layers(model)
    return model.eval()
