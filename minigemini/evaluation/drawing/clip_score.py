"""How well pictures fit their captions in the eyes of a CLIP, named in the score: CLIP score, and which picture it finds by a caption.

Hessel et al., "CLIPScore" (EMNLP 2021), take 2.5 * max(cos, 0); most tools since (torchmetrics among them) 100 * max(cos, 0), as
here. CLIP knows little of counting and places, and two CLIPs give two numbers: compare scores of one model only.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.console import Console

from minigemini.benchmarks.formats.lines import read_jsonl, required
from minigemini.benchmarks.rules.verdict import Reading, Verdict, make_verdict
from minigemini.benchmarks.statistics.metric import Metric, mean_points, metric
from minigemini.evaluation.drawing.clip_similarity import CLIP, Clip
from minigemini.evaluation.reporting.result import Result
from minigemini.evaluation.reporting.scored import as_number
from minigemini.evaluation.reporting.table import show_result
from minigemini.media import open_image
from minigemini.progress import progress_bar

BATCH = 32


def read_pictures(run: Path) -> list[tuple[Path, str]]:
    """(picture, caption) of each row of a JSONL, or of a folder with ``predictions.jsonl`` as a run leaves it.

    The picture's path is relative to the file. The caption is what was asked for: ``caption``, or in the lines of a run
    ``reference.asked``, or where the prompt was taken as it is ``reference.prompt``.

    Raises:
        ValueError: there are no rows, or one lacks picture or caption.
        FileNotFoundError: no such file.
    """
    file = run / "predictions.jsonl" if run.is_dir() else run
    rows = read_jsonl(file)
    if not rows:
        raise ValueError(f"{file}: no pictures")
    return [(file.parent / required(row, "picture", file), _caption(row, file)) for row in rows]


def _caption(row: Mapping[str, Any], file: Path) -> str:
    reference = row.get("reference", {})
    caption = row.get("caption") or reference.get("asked") or reference.get("prompt")
    if not caption:
        raise ValueError(f"{file}: {row['picture']} has neither caption nor reference.asked nor reference.prompt")
    return caption


def number_captions(captions: Sequence[str]) -> tuple[list[str], list[int]]:
    """Each caption once, and the number of each one given."""
    numbers: dict[str, int] = {}
    own = [numbers.setdefault(caption, len(numbers)) for caption in captions]
    return list(numbers), own


def similarities(clip: Clip, pictures: Sequence[Path], captions: Sequence[str]) -> torch.Tensor:
    """Cosines [captions, pictures]."""
    with progress_bar() as progress:
        task = progress.add_task("looked at", total=len(pictures))
        seen = []
        for start in range(0, len(pictures), BATCH):
            batch = [open_image(path) for path in pictures[start : start + BATCH]]
            seen.append(clip.of_pictures(batch))
            progress.advance(task, len(batch))
    read = torch.cat([clip.of_texts(captions[start : start + BATCH]) for start in range(0, len(captions), BATCH)])
    return read @ torch.cat(seen).T


def metrics(name: str, cosines: torch.Tensor, captions: Sequence[str], own: Sequence[int]) -> list[Metric]:
    """CLIP score and R@1; intervals draw captions.

    Args:
        name: of the CLIP.
        cosines: [captions, pictures].
        captions: each once.
        own: of each picture the number of its caption.
    """
    scores = [100 * max(float(cosines[caption, picture]), 0.0) for picture, caption in enumerate(own)]
    found = [float(own[int(row.argmax())] == caption) for caption, row in enumerate(cosines)]

    def verdicts(points: Sequence[float], of: Sequence[int]) -> list[Verdict]:
        return [
            make_verdict(
                {"id": str(n), "kind": "", "reference": {"image": captions[caption]}}, value, Reading(None, "")
            )
            for n, (value, caption) in enumerate(zip(points, of, strict=True))
        ]

    def mean(sums: Any) -> Any:
        return sums[..., 0] / sums[..., 1]

    fits = verdicts(scores, own)
    score = metric(f"CLIP score[{name}]", fits, [(points, 1) for points in scores], mean, "points")
    return [score, mean_points(f"caption to image R@1[{name}]", verdicts(found, range(len(captions))))]


def clip_score(run: Path, out: Path, clip: str = CLIP) -> int:
    """``minigemini eval clip-score``. Nothing is kept but the result: it takes seconds per hundred pictures.

    Returns:
        The exit code, 0.

    Raises:
        ValueError, FileNotFoundError: as :func:`read_pictures` and :class:`Clip`; or a picture cannot be opened.
    """
    transformers.utils.logging.disable_progress_bar()
    rows = read_pictures(run)
    captions, own = number_captions([caption for _, caption in rows])
    judge = Clip(clip)
    cut = sum(judge.is_cut(caption) for caption in captions)
    cosines = similarities(judge, [path for path, _ in rows], captions)
    about = {"pictures": str(run), "clip": clip, "clip_weights": judge.digest(), "captions_cut": cut}
    notes = [
        f"100 max(cos, 0), mean over {len(rows)} pictures; R@1 of {len(captions)} captions: is the picture most like it its own? "
        f"By chance {100 / len(captions):.2f} %",
        f"{cut} captions are longer than the {judge.most_tokens} tokens CLIP reads; their ends were not read",
    ]
    numbers = [as_number(one) for one in metrics(clip, cosines, captions, own)]
    result = Result("clip-score", clip, f"pictures of {run}", numbers, notes=notes[: 1 + bool(cut)], about=about)
    show_result(out, result, Console(soft_wrap=True))
    return 0
