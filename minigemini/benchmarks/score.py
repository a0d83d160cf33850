"""Lines of predictions, in any format -> verdicts -> numbers, without a model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from minigemini.benchmarks.benchmark import Benchmark, Line, Protocol
from minigemini.benchmarks.formats import gold as gold_files
from minigemini.benchmarks.formats import grades, llava, lmms_eval, mgm, mme_tool, vlmevalkit
from minigemini.benchmarks.formats.join import identify, join
from minigemini.benchmarks.formats.lines import Row, read_predictions
from minigemini.benchmarks.gold_check import FROM_JUDGES, GOLD, is_not_offered, unreachable, wrong_type
from minigemini.benchmarks.names import BENCHMARKS, protocol_of
from minigemini.benchmarks.rules.option_letter import LETTERS
from minigemini.benchmarks.rules.verdict import JUDGE_FAILED, NOT_JUDGED, UNPARSABLE, Reading, Verdict, make_verdict
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
SCORED, NEEDS_JUDGE, NO_GOLD = "scored", "needs judge", "no gold answers"
OWN_PROMPT = "minigemini's own"  # of a judge
JUDGE_FAILURES = 0.01  # the share of rows without a judge's answer above which there is no score


@dataclass(frozen=True)
class Scored:
    """The result of one benchmark under one protocol.

    ``metrics`` is empty where a judge is needed or there are no gold answers; ``with_fallback`` holds the same metrics with what the
    tool makes of unparsable replies, when that was asked for and the protocol has such a thing; ``controls`` those of the
    protocol's ways of answering that understand nothing; ``whole`` is whether the lines may be
    all that published numbers are of.
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
        if self.metrics:
            return SCORED
        return NO_GOLD if self.verdicts[0].path == NO_GOLD else NEEDS_JUDGE

    @property
    def unparsable(self) -> int:
        return sum(verdict.path == UNPARSABLE for verdict in self.verdicts)


@dataclass(frozen=True)
class Predictions:
    """Answers of any tool.

    Attributes:
        file: in one of the formats of :data:`READERS`; a folder for MME's tool and MGM's shards.
        gold: the gold answers, for formats that do not bring them (see ``formats/gold.py``).
    """

    file: Path
    gold: Path | None = None
    format: str = "minigemini"


def read_lines(benchmark: str, predictions: Predictions) -> list[Row]:
    """Predictions with their gold answers. Raises FileNotFoundError: a file is not there; ValueError: what the readers refuse."""
    if not predictions.file.exists():
        raise FileNotFoundError(f"{predictions.file}: no such file or folder")
    if predictions.format == "minigemini" and predictions.file.is_dir():
        raise ValueError(f"{predictions.file} is a folder; of an eval, predictions are in its model/predictions.jsonl")
    which = BENCHMARKS[benchmark]
    rows = READERS[predictions.format](predictions.file, which)
    if predictions.gold is None:
        return identify(which, rows)
    return join(which, rows, gold_files.read(predictions.gold, which))


def score(
    benchmark: str,
    lines: Sequence[Line],
    protocol: str | None = None,
    official_random: bool = False,
    partial: bool = False,
    places: Sequence[str] | None = None,
) -> Scored:
    """Scores ``lines`` in their order.

    Args:
        benchmark: a name of :data:`names.BENCHMARKS`.
        protocol: one of its protocols; its first by default.
        official_random: also compute what the tool's own fallback for unparsable replies gives.
        partial: the lines are meant to be a part of the benchmark's rows.
        places: where each line comes from, for messages; by default its id is named.

    Raises:
        ValueError: an unknown name, an id that is there twice, no lines, a reference without what the rule needs, a gold answer that no
            reply can equal, rows that are not the protocol's, or a fallback asked of a protocol that has none.
    """
    name, chosen = protocol_of(benchmark, protocol)
    twice = [id for id, count in Counter(line["id"] for line in lines).items() if count > 1]
    if twice or not lines:
        raise ValueError(f"{benchmark}: row {twice[0]!r} is there twice" if twice else f"{benchmark}: no rows")
    if official_random and chosen.fallback is None:
        raise ValueError(
            f"{benchmark}@{name} has no fallback for unparsable replies; they are wrong in the tool as well"
        )
    verdicts, missed = _verdicts(chosen, lines, places or [f"row {line['id']!r}" for line in lines])
    if chosen.check is not None and not partial:
        chosen.check(lines)
    whole = not partial and _is_whole(benchmark, len(lines))
    notes = _notes(BENCHMARKS[benchmark], name, lines, whole)
    if missed:
        notes.append(f"{missed} of {len(lines)} rows: the published rule calls the gold answer itself wrong")
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


def _verdicts(protocol: Protocol, lines: Sequence[Line], places: Sequence[str]) -> tuple[list[Verdict], int]:
    """And the number of rows whose gold answer the published rule itself calls wrong."""
    verdicts, missed = [], 0
    partly = any(GOLD & line["reference"].keys() for line in lines)
    for line, place in zip(lines, places, strict=True):
        problem = wrong_type(line)
        if problem is None:
            try:
                verdicts.append(protocol.rule(line))
            except ValueError as error:
                if partly and not GOLD & line["reference"].keys():
                    raise ValueError(f"{place}: no gold answer, and other rows have one ({error})") from None
                raise
            problem = unreachable(protocol, line, verdicts[-1])
            if problem is not None and protocol.misses_gold:
                missed, problem = missed + 1, None
        if problem is not None:
            raise ValueError(f"{place}: {problem}")
    return verdicts, missed


def without_gold(benchmark: str, protocol: str, lines: Sequence[Line]) -> Scored:
    """Of a test split, whose gold answers only a server has: no number."""
    verdicts = [make_verdict(line, None, Reading(None, NO_GOLD)) for line in lines]
    return Scored(benchmark, protocol, lines, verdicts, (), whole=False)


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


def _notes(benchmark: Benchmark, protocol: str, lines: Sequence[Line], whole: bool) -> list[str]:
    """What the reader of the number has to know about the rows."""
    notes = []
    if not whole:
        known = ", ".join(f"{size} ({name})" for size, name in benchmark.sizes.items()) or "more"
        notes.append(f"{len(lines)} rows; the published data has {known}: not comparable with published numbers")
    if not benchmark.ours and not any("image" in line["reference"] for line in lines):
        notes.append(
            "which rows share an image is not known; the interval takes them as independent and may be too narrow"
        )
    notes += benchmark.notes(lines)
    hidden = sum(is_not_offered(line) or _is_not_shown(line) for line in lines)
    if hidden:
        notes.append(f"{hidden} of {len(lines)} rows: the right option is not among those that are shown")
    empty = sum("prediction" in line and not line["prediction"].strip() for line in lines)
    if empty:
        notes.append(f"{empty} of {len(lines)} answers are empty")
    judges = judges_of(lines)
    if judges and not uses_judge(benchmark.name, protocol, lines):
        return [*notes, f"the lines hold a judge's grades; {protocol} does not use them"]
    return [*notes, *judges]


def _is_not_shown(line: Line) -> bool:
    """Does the prompt list options, and not the right one? (LLaVA's MMBench stops at the first empty cell.)"""
    prompt, choices = line.get("prompt", ""), line["reference"].get("choices") or ()
    listed = [letter for letter, text in zip(LETTERS, choices, strict=False) if text and text in prompt]
    answer = line["reference"].get("answer")
    return bool(listed) and answer in tuple(LETTERS[: len(choices)]) and answer not in listed


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
