"""The shipped nano looks at what it is asked about."""

import pytest

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor, nano
from minigemini.attention.maps import answer_attention
from minigemini.engine.local import prepare
from minigemini.tabletop.benchmark import examples

SCENES = 30


@pytest.mark.parametrize("kind", ["tag", "colour"])
def test_most_of_its_attention_is_on_the_object_in_question(kind):
    model = MiniGeminiForConditionalGeneration.from_pretrained(nano.path("nano")).eval()
    processor = MiniGeminiProcessor.from_pretrained(nano.path("nano"))
    hits = scenes = 0
    for example in examples(SCENES, seed=1, types=(kind,)):
        cells = [thing.cell for thing in example["scene"].things if example["answer"] in (thing.tag, thing.colour)]
        if len(cells) != 1:
            continue  # the answer does not say which object
        inputs = prepare(processor, [example["messages"]])
        answer = model.generate(**inputs, do_sample=False, max_new_tokens=8)[0, inputs["input_ids"].shape[1] :]
        (attention,) = answer_attention(model, inputs, answer)
        hits += int(attention.cells().argmax()) == cells[0]
        scenes += 1
    print(f"{kind}: the brightest cell is the object's in {hits} of {scenes}")
    assert scenes > SCENES / 2
    assert hits >= 0.9 * scenes
