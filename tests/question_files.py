"""Small real pictures, tables and parquet files for the tests of questions, and the reply that is right."""

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image

from minigemini.benchmarks.benchmark import Example
from minigemini.benchmarks.rules.mme import COGNITION, PERCEPTION
from minigemini.benchmarks.score import Scored, score
from minigemini.conversation import Text

TEN = ["red"] * 10
OPTIONS = {"A": "x", "B": "y", "C": "", "D": ""}


def png(shade: int) -> bytes:
    """A picture of its own for every number below 256 ** 3."""
    stored = io.BytesIO()
    Image.new("RGB", (4, 3), (shade % 256, shade // 256 % 256, shade // 65536)).save(stored, "PNG")
    return stored.getvalue()


def png_base64(shade: int) -> str:
    return base64.b64encode(png(shade)).decode()


def write_image(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(shade))
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]], rows_a_group: int = 2) -> Path:
    """Bytes and lists of bytes become pictures as `datasets` stores them."""
    import pyarrow
    import pyarrow.parquet

    def stored(value: Any) -> Any:
        if isinstance(value, bytes):
            return {"bytes": value, "path": None}
        if isinstance(value, list) and value and isinstance(value[0], bytes):
            return [stored(one) for one in value]
        return value

    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns: dict[str, Any] = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        pictured = any(isinstance(value, bytes) for value in values) or name.startswith(("image_", "image"))
        if pictured and all(value is None or isinstance(value, bytes) for value in values):
            columns[name] = pyarrow.array([stored(value) for value in values], picture)
        else:
            columns[name] = pyarrow.array([stored(value) for value in values])
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=rows_a_group)
    return path


def text_of(example: Example) -> str:
    (turn,) = example.messages
    assert turn.role == "user"
    assert turn.parts[-1] == Text(turn.text)  # one, and the pictures come first
    return turn.text


def images_of(example: Example) -> list[Any]:
    return example.images


def scored_perfectly(benchmark: str, protocol: str | None, examples: list[Example], replies: Any = None) -> Scored:
    """The score of answers that are the gold answers, or what ``replies`` makes of an example."""
    lines = [
        {
            "id": example.id,
            "kind": example.kind,
            "prediction": gold_reply(example.reference) if replies is None else replies(example),
            "reference": example.reference,
        }
        for example in examples
    ]
    return score(benchmark, lines, protocol)


def gold_reply(reference: dict[str, Any]) -> str:
    answer = reference["answers"] if "answers" in reference else reference["answer"]
    return answer[0] if isinstance(answer, list) else answer


def write_tsv(path, rows):
    path.write_text(
        "".join("\t".join(cells) + "\n" for cells in (list(rows[0]), *(list(row.values()) for row in rows)))
    )
    return path


def tsv_rows(benchmark):
    """Rows as VLMEvalKit's table of the benchmark has them; pictures come later."""
    choice = {"hint": "", **OPTIONS, "answer": "B", "category": "kind"}
    if benchmark == "pope":
        rows = [{"question": f"Is there {n}?", "answer": "Yes" if n % 2 else "No",
                 "category": "adversarial,popular,random"} for n in range(3000)]  # fmt: skip
    elif benchmark == "mme":
        rows = [{"question": f"Is it {c}? Please answer yes or no.", "answer": a, "category": task, "image_path": f"{task}.jpg"}
                for task in (*PERCEPTION, *COGNITION) for c, a in (("red", "Yes"), ("blue", "No"))]  # fmt: skip
    elif benchmark == "hallusionbench":
        rows = [{"index": f"VS_map_1_{figure}_0", "question": "Is it?", "answer": "Yes", "category": "VS",
                 "l2-category": "map"} for figure in (0, 1)]  # fmt: skip
    elif benchmark in ("textvqa", "ocrbench", "docvqa", "infovqa", "chartqa"):
        rows = [
            {
                "question": "what?",
                "answer": str(TEN if benchmark == "textvqa" else ["red"]),
                "category": "k",
                "split": "s",
            }
        ]
    elif benchmark == "vizwiz":
        rows = [{"question": "what?", "answers": str(TEN)}]
    elif benchmark == "gqa":
        rows = [{"question": "what?", "answer": "red"}]
    elif benchmark == "mmvet":
        rows = [{"question": "what?", "answer": "red", "category": "ocr,math"}]
    elif benchmark == "mmmu":
        rows = [choice | {"question": "Which <image 1>?", "split": split} for split in ("dev", "validation")]
        rows.append(dict.fromkeys(rows[0], "") | {"question": "How?", "answer": "red", "split": "validation"})
    else:
        rows = [choice | {"question": "Which?"}, choice | {"question": "Who?", "answer": "A"}]
    return [{"index": str(number), **row} for number, row in enumerate(rows, start=1)]
