"""The shipped nano gives the logits that were stored, whatever the version of transformers or torch: the witness of `make test-matrix`.

After new weights were shipped: `python tests/nano/test_nano_logits.py` stores theirs.
"""

import json
from pathlib import Path

import pytest
import torch

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor, nano
from minigemini.engine.local import prepare
from minigemini.tabletop import benchmark

STORED = Path(__file__).with_name("nano_logits.json")
NAMES = ("nano", "nano-low-res")
KINDS = ("tag", "relation", "edit_2", "draw_or_answer")  # one picture, several, none; long and short
HIGHEST = 8


@torch.inference_mode()
def next_word(name: str) -> dict[str, tuple[int, torch.Tensor]]:
    """Of one example of each kind: the length of its prompt in tokens, and the logits of the word after it."""
    model = MiniGeminiForConditionalGeneration.from_pretrained(nano.path(name), dtype=torch.float32).eval()
    processor = MiniGeminiProcessor.from_pretrained(nano.path(name))
    found = {}
    for example in benchmark.examples(1, seed=5, types=KINDS):
        inputs = prepare(processor, [example["messages"]])
        found[example["type"]] = inputs["input_ids"].shape[1], model(**inputs).logits[0, -1]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_logits_are_those_that_were_stored(name):
    stored = json.loads(STORED.read_text())[name]
    found = next_word(name)
    assert set(found) == set(stored) == set(KINDS)
    for kind, (length, logits) in found.items():
        wanted = stored[kind]
        assert length == wanted["length"], kind
        assert logits.argmax() == wanted["tokens"][0], kind
        torch.testing.assert_close(logits[wanted["tokens"]], torch.tensor(wanted["logits"]), rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    stored: dict[str, dict[str, dict]] = {name: {} for name in NAMES}
    for name in NAMES:
        for kind, (length, logits) in next_word(name).items():
            values, tokens = logits.topk(HIGHEST)
            stored[name][kind] = {"length": length, "tokens": tokens.tolist(), "logits": values.tolist()}
    STORED.write_text(json.dumps(stored) + "\n")
