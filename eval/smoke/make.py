"""python eval/smoke/make.py: the pictures and questions of the smoke suite's part in a published form.

Tabletop pictures with questions that the nano was taught, laid out as our own lines and judged by GQA's rule: what runs for a real
benchmark runs here, without its gigabytes. The number says nothing about GQA.
"""

import json
from pathlib import Path

from minigemini.tabletop.benchmark import examples

KINDS = ("colour", "shape", "size", "existence", "tag")
OF_EACH, SEED = 8, 20260302  # of the examples; tabletop.yaml has others
HERE = Path(__file__).parent


def main() -> None:
    (HERE / "images").mkdir(exist_ok=True)
    with (HERE / "gqa.jsonl").open("w", encoding="utf-8") as file:
        for example in examples(OF_EACH, SEED, KINDS):
            picture, question = example["messages"][0].parts
            name = f"images/{example['id']}.png"
            picture.source.save(HERE / name, optimize=True)
            kind = "binary" if example["type"] == "existence" else "open"
            row = {
                "id": example["id"],
                "kind": kind,
                "prompt": question.text,
                "images": [name],
                "reference": {"answer": example["answer"].lower(), "image": name},  # GQA's rule lowers the reply
            }
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
