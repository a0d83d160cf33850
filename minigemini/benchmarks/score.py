"""Lines of predictions, in any format -> verdicts -> numbers, without a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.formats import gold as gold_files
from minigemini.benchmarks.formats import grades, llava, lmms_eval, mgm, mme_tool, vlmevalkit
from minigemini.benchmarks.formats.join import identified, join
from minigemini.benchmarks.formats.lines import Row, read_predictions
from minigemini.benchmarks.protocols import BENCHMARKS, Protocol, protocol_of
from minigemini.benchmarks.rules.verdict import JUDGE_FAILED, NOT_JUDGED, UNPARSABLE, Verdict
from minigemini.benchmarks.statistics.metric import Metric

OFFICIAL_SEED = 42  # of the tools' random fallback
READERS = {
    "minigemini": read_predictions,
    "llava": llava.read,
    "mgm": mgm.read,
    "mme-tool": mme_tool.read,
    "lmms-eval": lmms_eval.read,
    "vlmevalkit": vlmevalkit.read,
    "grades": grades.read,
}
SCORED, NEEDS_JUDGE = "scored", "needs judge"
OWN_PROMPT = "minigemini's own"  # of a judge
FROM_JUDGES = {"grade", "extraction"}  # keys of a line
JUDGE_FAILURES = 0.01  # the share of rows without a judge's answer above which there is no score


@dataclass(frozen=True)
class Scored:
    """The result of one benchmark under one protocol.

    ``metrics`` is empty where a judge is needed; ``with_fallback`` holds the same metrics with what the tool makes of
    unparsable replies, when that was asked for and the protocol has such a thing; ``controls`` those of the protocol's ways of
    answering that understand nothing; ``whole`` is whether the lines may be all that published numbers are of.
    """

    benchmark: str
    protocol: str
    lines: Sequence[Line]
    verdicts: Sequence[Verdict]
    metrics: Sequence[Metric]
    with_fallback: Sequence[Metric] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    whole: bool = True
    controls: Mapping[str, Sequence[Metric]] = field(default_factory=dict)

    @property
    def status(self) -> str:
        return SCORED if self.metrics else NEEDS_JUDGE

    @property
    def unparsable(self) -> int:
        return sum(verdict.path == UNPARSABLE for verdict in self.verdicts)


def read_lines(benchmark: str, file: Path, gold: Path | None, format: str) -> list[Row]:
    """Predictions with their gold answers.

    Args:
        file: predictions in one of the formats of :data:`READERS`; a folder for MME's tool and MGM's shards.
        gold: the gold answers, for formats that do not bring them (see ``formats/gold.py``).

    Raises:
        FileNotFoundError: ``file`` or ``gold`` is not there.
        ValueError: what the readers refuse.
    """
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file or folder")
    if format == "minigemini" and file.is_dir():
        raise ValueError(f"{file} is a folder; of an eval, predictions are in its model/predictions.jsonl")
    rows = READERS[format](file, benchmark)
    if gold is None:
        return identified(benchmark, rows)
    return join(benchmark, rows, gold_files.read(benchmark, gold))


def score(
    benchmark: str,
    lines: Sequence[Line],
    protocol: str | None = None,
    official_random: bool = False,
    partial: bool = False,
) -> Scored:
    """Scores ``lines`` in their order.

    Args:
        benchmark: a name of :data:`protocols.BENCHMARKS`.
        protocol: one of its protocols; its first by default.
        official_random: also compute what the tool's own fallback for unparsable replies gives.
        partial: the lines are meant to be a part of the benchmark's rows.

    Raises:
        ValueError: an unknown name, an id that is there twice, no lines, a reference without what the rule needs, rows that are
            not the protocol's, or a fallback asked of a protocol that has none.
    """
    name, chosen = protocol_of(benchmark, protocol)
    twice = [id for id, count in Counter(line["id"] for line in lines).items() if count > 1]
    if twice or not lines:
        raise ValueError(f"{benchmark}: row {twice[0]!r} is there twice" if twice else f"{benchmark}: no rows")
    if official_random and chosen.fallback is None:
        raise ValueError(
            f"{benchmark}@{name} has no fallback for unparsable replies; they are wrong in the tool as well"
        )
    verdicts = [chosen.rule(line) for line in lines]
    if chosen.check is not None and not partial:
        chosen.check(lines)
    whole = not partial and _is_whole(benchmark, len(lines))
    notes = _notes(benchmark, name, lines, whole)
    paths = Counter(verdict.path for verdict in verdicts)
    for path in (NOT_JUDGED, JUDGE_FAILED):
        if paths[path]:
            notes.append(f"{path}: {paths[path]} of {len(lines)} rows")
    if paths[NOT_JUDGED] or paths[JUDGE_FAILED] > JUDGE_FAILURES * len(lines):
        return Scored(benchmark, name, lines, verdicts, (), (), notes, whole)
    verdicts = [replace(verdict, points=0.0) if verdict.points is None else verdict for verdict in verdicts]
    fallback = chosen.metrics(_fallback(chosen, lines, verdicts)) if official_random else ()
    guesses = {control: guess(lines) for control, guess in chosen.controls.items()}
    controls = {control: chosen.metrics(guessed) for control, guessed in guesses.items() if guessed}
    return Scored(benchmark, name, lines, verdicts, chosen.metrics(verdicts), fallback, notes, whole, controls)


def _fallback(protocol: Protocol, lines: Sequence[Line], verdicts: Sequence[Verdict]) -> list[Verdict]:
    assert protocol.fallback is not None
    random = Random(OFFICIAL_SEED)
    return [
        protocol.fallback(line, random) if verdict.path == UNPARSABLE else verdict
        for line, verdict in zip(lines, verdicts, strict=True)
    ]


def _is_whole(benchmark: str, rows: int) -> bool:
    """Whether so many rows may be all that published numbers are of."""
    sizes = BENCHMARKS[benchmark].sizes
    return not sizes or rows in sizes


def _notes(benchmark: str, protocol: str, lines: Sequence[Line], whole: bool) -> list[str]:
    """What the reader of the number has to know about the rows."""
    notes = []
    sizes = BENCHMARKS[benchmark].sizes
    if not whole:
        known = ", ".join(f"{size} ({name})" for size, name in sizes.items()) or "more"
        notes.append(f"{len(lines)} rows; the published data has {known}: not comparable with published numbers")
    if not BENCHMARKS[benchmark].ours and not any("image" in line["reference"] for line in lines):
        notes.append(
            "which rows share an image is not known; the interval takes them as independent and may be too narrow"
        )
    if benchmark == "textvqa" and all("prompt" in line for line in lines):
        with_ocr = sum("Reference OCR token" in line["prompt"] for line in lines)
        notes.append(f"{with_ocr} of {len(lines)} prompts hold reference OCR tokens")
    empty = sum("prediction" in line and not line["prediction"].strip() for line in lines)
    if empty:
        notes.append(f"{empty} of {len(lines)} answers are empty")
    judges = judges_of(lines)
    if judges and not uses_judge(benchmark, protocol, lines):
        return [*notes, f"the lines hold a judge's grades; {protocol} does not use them"]
    return [*notes, *judges]


def uses_judge(benchmark: str, protocol: str, lines: Sequence[Line]) -> bool:
    """Whether the verdicts would be others without what a judge said."""
    rule = BENCHMARKS[benchmark].protocols[protocol].rule
    return any(
        rule(line) != rule({key: value for key, value in line.items() if key not in FROM_JUDGES})
        for line in lines
        if FROM_JUDGES & line.keys()
    )


def judges_of(lines: Sequence[Line]) -> list[str]:
    """Who graded the rows, and asked in which words; another judge gives another number."""
    names = sorted({name for line in lines for name in _judge_names(line)})
    said = [f"judge: {', '.join(names)}"] if names else []
    for name, digest in sorted(
        {(p["name"], p["sha256"]) for line in lines if (p := line.get("judge", {}).get("prompt"))}
    ):
        own = ": not comparable with published numbers" if name == OWN_PROMPT else ""
        said.append(f"the judge's prompt: {name} (sha256 {digest}){own}")
    return said


def _judge_names(line: Line) -> list[str]:
    """As ``eval judge`` stores it, or MM-Vet's tool."""
    if "judge" in line:
        return [line["judge"]["model"]]
    grade = line.get("grade")
    return list(grade.get("model", [])) if isinstance(grade, dict) else []
