"""Chat with converted checkpoints: the prompt is the original's, and answers end where a turn ends."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from released import converted
from safetensors.torch import load_file
from shared import RECORDED, needs_recorded

from minigemini.serving.events import Done
from minigemini.serving.load_session import load_session
from minigemini.serving.options import ChatOptions

pytestmark = needs_recorded


@pytest.mark.parametrize("checkpoint", ["llama_std/MGM-7B-tiny", "gemma_std/MGM-2B-tiny"])
def test_a_question_about_a_picture(tmp_path, checkpoint):
    folder: Path = converted(checkpoint, tmp_path / "out")
    session = load_session(ChatOptions(str(folder)))
    seen: list[Any] = []
    model = session.engine.model
    generate = model.generate
    model.generate = lambda *args, **kwargs: (seen.append(kwargs["input_ids"]), generate(*args, **kwargs))[1]
    session.max_new_tokens = 8
    picture = Image.open(RECORDED / "preprocess" / "images" / "wide_200x131.png")
    events = list(session.reply("What is shown in this image?", [picture]))
    assert isinstance(events[-1], Done)
    recorded = load_file(RECORDED / checkpoint.split("/")[0] / "case_single.safetensors")["in.gen_input_ids"][
        0
    ].tolist()
    image = model.config.image_token_id
    asked = seen[0][0].tolist()
    assert asked.count(image) == 16
    first = asked.index(image)
    assert asked[:first] + [-200] + asked[first + 16 :] == recorded
