"""The rows of a suite's parts, read before anything is loaded or answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minigemini.benchmarks.benchmark import Example, Line
from minigemini.benchmarks.formats import hub
from minigemini.benchmarks.formats.read import read_examples
from minigemini.benchmarks.names import BENCHMARKS, protocol_of
from minigemini.benchmarks.score import score
from minigemini.evaluation.running.suite import Part, Suite, part_name

CONTROL_MODELS = ("blind", "low-res only")


@dataclass(frozen=True)
class Source:
    """Where the examples of a part come from, as plain JSON: paths are absolute, the hub's data has its commit, so that a report finds
    the same ones from anywhere.

    Attributes:
        data, images: file, folder or ``hub:``; folder of the images, where ``data`` does not say.
        seed, examples_per_kind, kinds: of examples that are made.
    """

    data: str | None = None
    images: str | None = None
    seed: int | None = None
    examples_per_kind: int | None = None
    kinds: Sequence[str] = ()


@dataclass(frozen=True)
class Rows:
    """A part, ready to be answered."""

    name: str
    benchmark: str
    protocol: str
    part: Part
    source: Source
    examples: Sequence[Example]

    @property
    def asked(self) -> list[Example]:
        return [example for example in self.examples if example.messages]

    @property
    def drawn(self) -> list[Example]:
        """Those that nothing is asked in: their prompts go to the image generator."""
        return [example for example in self.examples if not example.messages]

    def unanswered(self) -> list[Line]:
        """Lines as if nothing had been said: scored, they tell whether and which numbers there will be."""
        return [{"id": e.id, "kind": e.kind, "prediction": "", "reference": e.reference} for e in self.asked]


def read_parts(suite: Suite, limit: int | None) -> list[Rows]:
    """
    Args:
        limit: of each part the rows of the first so many images of each kind; what belongs together (MME's pairs, MMBench's rotations)
            stays together.

    Raises:
        ValueError: a limit below 1; parts that cannot be read, or lack something to be answered; all such parts are named.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"--limit {limit}: at least one example of each kind is needed")
    parts, wrong = [], []
    for key, part in suite.parts.items():
        name = part_name(key)
        benchmark = name.partition("@")[0]
        protocol, _ = protocol_of(benchmark, name.partition("@")[2] or None)
        try:
            source = find_source(benchmark, part, suite, limit)
            examples = _take_first(read_source(benchmark, protocol, source), limit)
            rows = Rows(name, benchmark, protocol, part, source, examples)
            _check(rows)
            parts.append(rows)
        except (FileNotFoundError, ValueError) as error:
            wrong.append(f"{key}: {error}")
    if wrong:
        raise ValueError("\n".join(wrong))
    return parts


def find_source(benchmark: str, part: Part, suite: Suite, limit: int | None = None) -> Source:
    """What the part says, below the suite's data; else a file or folder there that has the benchmark's name; else the suite's data
    itself: a file, ``hub:``, or LLaVA's folder of all benchmarks. A benchmark of ours has its own examples.

    Raises:
        ValueError: the hub was asked for and cannot be reached; or a field is not for this benchmark, or missing for it.
    """
    known = BENCHMARKS[benchmark]
    if known.make is not None:
        if part.seed is None or part.examples_per_kind is None or not part.kinds:
            raise ValueError("its examples are made: seed, examples_per_kind and kinds are needed")
        if part.path is not None or part.images is not None:
            raise ValueError("its examples are made: path and images would not be read")
        of_each = part.examples_per_kind if limit is None else min(limit, part.examples_per_kind)
        return Source(seed=part.seed, examples_per_kind=of_each, kinds=list(part.kinds))
    if part.seed is not None or part.examples_per_kind is not None:
        raise ValueError("its examples are read: seed and examples_per_kind would do nothing")
    folder = Path(suite.place).resolve()
    if known.read is not None and part.path is None:
        return Source(str(folder if folder.is_file() else known.items))
    asked = part.path or suite.place
    if asked.startswith(hub.HUB):
        return Source(hub.pin(known, asked))
    images = None if part.images is None else str(folder / part.images)
    if part.path is not None:
        return Source(str(folder / part.path), images)
    named = [folder / f"{benchmark}{suffix}" for suffix in ("", ".jsonl", ".tsv", ".parquet")]
    return Source(str(next((path for path in named if path.exists()), folder)), images)


def read_source(benchmark: str, protocol: str, source: Source) -> list[Example]:
    """Raises FileNotFoundError, ValueError: as ``read_examples`` and the benchmark's own readers."""
    known = BENCHMARKS[benchmark]
    if known.make is not None:
        assert source.examples_per_kind is not None
        assert source.seed is not None
        return known.make(source.kinds, source.examples_per_kind, source.seed)
    assert source.data is not None
    if known.read is not None:
        return known.read(Path(source.data))
    return read_examples(benchmark, protocol, source.data, None if source.images is None else Path(source.images))


def _take_first(examples: list[Example], limit: int | None) -> list[Example]:
    if limit is None:
        return examples
    images: dict[str, dict[str, None]] = {}
    for example in examples:
        images.setdefault(example.kind, {})[_image_of(example)] = None
    first = {kind: set(list(names)[:limit]) for kind, names in images.items()}
    return [example for example in examples if _image_of(example) in first[example.kind]]


def _image_of(example: Example) -> str:
    return str(example.reference.get("image", example.id))


def _check(rows: Rows) -> None:
    """
    Raises:
        ValueError: drawings and nobody to draw them; a kind without a number, without rows for its controls, or with a control that
            there is not.
    """
    part = rows.part
    if rows.drawn and part.image_generator is None:
        raise ValueError(f"{rows.drawn[0].kind} needs image_generator")
    known = {*CONTROL_MODELS, *protocol_of(rows.benchmark, rows.protocol)[1].controls}
    kinds = {example.kind for example in rows.asked}
    numbers = _names_of_numbers(rows) if part.kinds else []
    for name, kind in part.kinds.items():
        if name not in numbers:
            raise ValueError(
                f"kinds: there is no number {name!r}; there are {', '.join(numbers) or 'none without a judge'}"
            )
        if (kind.blind or kind.low_res_only) and name not in kinds:
            raise ValueError(f"kinds.{name}: no row is of this kind, so no control answers it")
        unknown = [control for control in (*kind.must_fail, *kind.ceilings) if control not in known]
        if unknown:
            raise ValueError(f"kinds.{name}: there is no control {unknown[0]!r}; there are {', '.join(sorted(known))}")


def _names_of_numbers(rows: Rows) -> list[str]:
    """Of the part, whatever is answered; empty where a judge is needed."""
    if BENCHMARKS[rows.benchmark].make is not None:
        return list(rows.part.kinds)
    return [metric.name for metric in score(rows.benchmark, rows.unanswered(), rows.protocol, partial=True).metrics]
