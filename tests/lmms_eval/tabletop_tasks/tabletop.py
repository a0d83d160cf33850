"""What the tasks beside this file call: pictures are paths, conversations JSON whose pictures are paths."""

import json
from pathlib import Path

from PIL import Image


def doc_to_visual(doc):
    return [Image.open(path) for path in doc["pictures"]]


def doc_to_messages(doc):
    return [
        {
            "role": message["role"],
            "content": [
                {"type": "image", "url": str(Path(part["image"]).resolve())} if part["type"] == "image" else part
                for part in message["content"]
            ],
        }
        for message in json.loads(doc["messages"])
    ]


def process_results(doc, results):
    return {"exact": float(results[0].strip().lower() == doc["answer"].lower())}
