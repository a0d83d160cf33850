"""A short chat with pictures in and pictures out: printed, and kept as one self-contained HTML page.

python eval/sample_conversations.py runs/nano/finetune runs/nano/samples.html
"""

import sys
from pathlib import Path

from minigemini.media import open_image
from minigemini.serving.conversation_page import write_page
from minigemini.serving.load_session import load_session
from minigemini.serving.options import ChatOptions
from minigemini.serving.sample_conversations import ScriptedTurn, play

PICTURES = Path(__file__).parent / "pictures"
SCRIPTS: dict[str, list[tuple[str | None, str]]] = {
    "Looking": [
        ("tags.png", "describe the picture"),
        (None, "what is the tag of the yellow circle?"),
        (None, "where is the cyan cross relative to the red square?"),
        (None, "how many red objects are there?"),
    ],
    "Drawing and changing what was drawn": [
        (None, "draw a red circle above a small blue square"),
        (None, "make the circle yellow"),
        (None, "add a small green triangle to the left of it"),
        (None, "remove the square"),
        (None, "what do you see?"),
    ],
    "From a picture to a drawing": [
        ("shapes.png", "draw this again"),
        (None, "make the triangle purple"),
        (None, "what color is the triangle?"),
    ],
    "Words of drawing that ask for none": [
        (None, "can you draw?"),
        (None, "how do you draw a red circle?"),
        ("shapes.png", "generate a report about this picture"),
    ],
}


def main(model: str, page: Path) -> None:
    session = load_session(ChatOptions(model, generator="nano"))
    conversations = []
    for title, script in SCRIPTS.items():
        turns = [ScriptedTurn(text, [open_image(PICTURES / picture)] if picture else []) for picture, text in script]
        conversation = play(session, title, turns)
        conversations.append(conversation)
        print(f"\n{title}")
        for (picture, text), answer in zip(script, conversation.turns[1::2], strict=True):
            print(f"  you   {f'[{picture}] ' if picture else ''}{text}\n  nano  {answer.raw}")
    write_page(conversations, page, "Sample conversations", f"Written and drawn by {model}; nothing is picked out.")
    print(f"\nwith their pictures: {page}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
