"""What a conversion did, for machines (`conversion.json`) and people (`conversion.md`)."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ConversionReport:
    """Counts are of tensors. `tensors_in_source` = `tensors_placed` + `len(dropped)`, and `tensors_in_target` =
    `tensors_placed` + `tensors_from_towers`."""

    source: str
    source_files: dict[str, int]  # name -> bytes
    source_index: str | None
    tensors_in_source: int
    tensors_placed: int
    dropped: dict[str, str]  # name -> reason
    tensors_from_towers: int  # that the source does not hold, from the towers' own folders
    tensors_in_target: int
    parameters: int
    vision_tower: str  # where its configuration is from
    high_res_vision_tower: str
    language_model: str
    chat_template: str
    stops_at: list[str]
    config_keys_without_meaning: list[str]
    files_not_read: list[str]
    differences: list[str]  # from the original's behaviour

    def __post_init__(self) -> None:
        assert self.tensors_in_source == self.tensors_placed + len(self.dropped), self
        assert self.tensors_in_target == self.tensors_placed + self.tensors_from_towers, self

    def summary(self) -> str:
        text = (
            f"{self.tensors_placed:,} of {self.tensors_in_source:,} tensors placed, {len(self.dropped)} dropped; "
            f"all {self.tensors_in_target:,} of the model filled ({self.parameters:,} parameters)"
        )
        if self.tensors_from_towers:
            text += f", {self.tensors_from_towers} of them from the towers' own folders"
        return f"{text}; chat template {self.chat_template}, stops at {', '.join(self.stops_at)}"

    def write(self, folder: Path) -> None:
        (folder / "conversion.json").write_text(
            json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        (folder / "conversion.md").write_text(self.readable(), encoding="utf-8")

    def readable(self) -> str:
        lines = ["# Converted from a checkpoint of the original Mini-Gemini", "", self.summary() + ".", ""]
        facts = {
            "source": self.source,
            "weights": ", ".join(f"{name} ({size:,} bytes)" for name, size in self.source_files.items()),
            "language model": self.language_model,
            "low-resolution tower": self.vision_tower,
            "high-resolution tower": self.high_res_vision_tower,
            "files not read": ", ".join(self.files_not_read) or "none",
            "keys of config.json without meaning here": ", ".join(self.config_keys_without_meaning) or "none",
        }
        lines += [f"- {name}: {value}" for name, value in facts.items()]
        lines += ["", "## Dropped tensors", ""]
        lines += [f"- `{name}`: {reason}" for name, reason in self.dropped.items()] or ["None."]
        lines += ["", "## What differs from the original", ""]
        lines += [f"- {difference}" for difference in self.differences]
        return "\n".join(lines) + "\n"


def differences(stated: dict[str, Any], template: str) -> list[str]:
    """What a converted checkpoint does in another way than the original, and why."""
    found = [
        "Drop path of the high-resolution tower is off. The original never puts that tower into eval mode, so it drops residual "
        "branches at random even when it answers.",
        "The high-resolution tower's weights are the checkpoint's own. The original reads them from another folder unless "
        "optimize_vision_tower_aux is set; released checkpoints hold a 16-bit copy of that file.",
        f"Nothing is truncated. The original cuts every sequence at {stated.get('tokenizer_model_max_length')} tokens behind "
        "the pictures' tokens, in use as well, without a word.",
        "NaN is not replaced by zero in the mining attention, so a broken input shows.",
        "A batch is padded on the left when it is generated from, so a sample's answer does not depend on its neighbours.",
        "Samples of text bring no picture; the original wants a black one.",
        "No random sample takes the place of one that cannot be read, and labels are never masked as a whole: they are the "
        "chat template's generation spans.",
    ]
    if template == "gemma":
        found.append(
            "An answer stops at <end_of_turn>; the original goes on for two more tokens, a line break and <eos>."
        )
    if template == "llama_3":
        found.append("An answer stops at <|eot_id|> everywhere; the original's chat did not, only its evaluation.")
    if stated["model_type"] == "mgm_mistral":
        found.append("Mistral's sliding window is kept; the original loads such a checkpoint as Llama, without it.")
    return found
