"""How well a text fits its picture in the eyes of a CLIP: the filter of LAION-400M (Schuhmann et al. 2021), where below .3 was dropped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from minigemini.data.check import cores
from minigemini.filtering.rule import NOTHING, BatchRule, Bounded, Measured
from minigemini.filtering.sample import Sample


@dataclass(frozen=True, kw_only=True)
class ClipSimilarity(Bounded, BatchRule):
    """Cosine of picture and answers; of several pictures the least.

    Attributes:
        model: a folder as open_clip writes it, ``hf-hub:owner/name``, or one of open_clip's names, as ``ViT-B-32`` ...
        pretrained: ... of these weights.
    """

    UNIT: ClassVar[str] = "cosine"
    model: str
    pretrained: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        is_name = not Path(self.model).is_dir() and not self.model.startswith("hf-hub:")
        if is_name and self.pretrained is None:
            raise ValueError(
                f"model: {self.model} is no folder; one of open_clip's names goes with the weights in `pretrained`, or they would be random"
            )
        if not is_name and self.pretrained is not None:
            raise ValueError(f"pretrained: {self.model} brings its weights")

    def load(self) -> Callable[[Sequence[Sample]], list[Measured]]:
        import open_clip
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        name = f"local-dir:{self.model}" if Path(self.model).is_dir() else self.model
        try:
            model, preprocess = open_clip.create_model_from_pretrained(name, self.pretrained, device=device)
            tokenizer = open_clip.get_tokenizer(name)
        except (OSError, RuntimeError, ValueError) as error:
            raise ValueError(f"{self.model}: no CLIP can be loaded from there: {error}") from error
        model.eval()
        padding = int(tokenizer([""])[0, -1])

        @torch.inference_mode()
        def measure(samples: Sequence[Sample]) -> list[Measured]:
            with ThreadPoolExecutor(cores()) as pool:  # threads do: PIL decodes outside Python's lock
                opened = list(pool.map(lambda sample: preprocessed(sample, preprocess), samples))
            shown = [tensor for tensors in opened if isinstance(tensors, list) for tensor in tensors]
            if not shown:
                return [NOTHING if isinstance(one, list) else one for one in opened]
            seen = model.encode_image(torch.stack(shown).to(device), normalize=True)  # [pictures, dim]
            tokens = tokenizer([sample.answers for sample in samples])  # [samples, context]
            read = model.encode_text(tokens.to(device), normalize=True)  # [samples, dim]
            measured, first = [], 0
            for row, one in enumerate(opened):
                if isinstance(one, Measured) or not one:
                    measured.append(one if isinstance(one, Measured) else NOTHING)
                    continue
                cosine = float((seen[first : first + len(one)] @ read[row]).min())
                first += len(one)
                is_full = int(tokens[row, -1]) != padding
                measured.append(Measured(cosine, f"read no more than {tokens.shape[1]} tokens" if is_full else ""))
            return measured

        return measure


def preprocessed(sample: Sample, preprocess: Any) -> list[Any] | Measured:
    """[3, H, W] of each picture, or that one cannot be opened."""
    try:
        return [preprocess(picture) for picture in sample.pictures]
    except ValueError as error:
        return Measured(None, str(error), failed=True)
