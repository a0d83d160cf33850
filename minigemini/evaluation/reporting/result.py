"""What a command measured, as it stands in a results file: the one schema of all of ``minigemini eval`` that writes numbers.

``results.json`` of a part or of pictures, the ``--json`` of ``score`` and ``diff`` are one object, in which every key is there:

    benchmark, protocol   what was asked, and the rule it is judged by; of pictures the command, and who judged them
    says                  what that is, for the reader of the numbers
    model                 who answered or drew; "" where nothing says it (predictions of other tools)
    status                "scored", or why there is no number
    whole                 whether published numbers may stand beside it
    n                     rows
    unparsable            {count, rate}: answers that the rule could not read, and that are wrong
    paths                 {step of the rule: how many rows were read by it}
    judges                who graded, and asked in which words
    metrics               [{name, value, unit, n, images, interval, floor, expected, within, controls}], the published number first;
                          controls: {name: {value, interval, below, at_most}}, see :class:`Number` and :class:`Control`
    expected_of           whose results are expected; null
    differences           [{name, unit, n, images, a_is, b_is, a, b, difference, interval, p, resolved}], see ``paired.Difference``
    complaints, notes     sentences: what is not as it should be; what the reader has to know
    about                 where rows, models and limits came from, and what a command has to say beside numbers
    versions              of the packages that numbers depend on
    bootstrap             {resamples, seed}, drawing images (of pictures: prompts)
    verdicts              [{id, kind, points, reading, path, gold, image, together, prompt, answer}], see ``rules.verdict.Verdict``

A command that has several parts (a suite's ``results.json``, ``ablation.json``, the ``--json`` of ``diff`` on suites) writes
``{"parts": {name: such an object, without verdicts}}``.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from minigemini.benchmarks.rules.verdict import UNPARSABLE, Verdict
from minigemini.benchmarks.score import SCORED
from minigemini.benchmarks.statistics.metric import RESAMPLES, SEED
from minigemini.benchmarks.statistics.paired import Difference

PACKAGES = ("minigemini", "torch", "transformers", "diffusers")
Interval = tuple[float, float]


@dataclass(frozen=True)
class Control:
    """What a simpler way of answering reaches on the same rows.

    ``interval`` is None where nothing answered and the value is computed. The value must stay ``below`` the one number, and must not
    exceed ``at_most`` the other: it means nothing to reach what guessing reaches too.
    """

    value: float
    interval: Interval | None = None
    below: float | None = None
    at_most: float | None = None

    @property
    def too_good(self) -> bool:
        if self.at_most is not None:
            return self.value > self.at_most
        return self.below is not None and self.value >= self.below


@dataclass(frozen=True)
class Number:
    """One number and what stands beside it, all in its ``unit``.

    ``floor`` is what it must reach, None where nothing is promised; ``expected`` is what somebody else reached, and it may not be
    lower by more than ``within``.
    """

    name: str
    value: float
    unit: str
    n: int
    images: int
    interval: Interval | None
    floor: float | None = None
    expected: float | None = None
    within: float = 0.0
    controls: Mapping[str, Control] = field(default_factory=dict)

    @property
    def below_floor(self) -> bool:
        return self.floor is not None and self.value < self.floor

    @property
    def below_expected(self) -> bool:
        return self.expected is not None and self.value < self.expected - self.within


@dataclass(frozen=True)
class Pair:
    """A difference, and what its A and B are."""

    a_is: str
    b_is: str
    difference: Difference


@dataclass(frozen=True)
class Result:
    """See the module's docstring.

    Attributes:
        numbers: ``metrics`` of the file; empty where there is no number.
        prompts, answers: of each verdict's row, as the model was asked and as it answered; "" where nothing says it.
        path: where it was read from.
    """

    benchmark: str
    protocol: str
    says: str
    numbers: Sequence[Number]
    model: str = ""
    status: str = SCORED
    whole: bool = True
    judges: Sequence[str] = ()
    expected_of: str | None = None
    differences: Sequence[Pair] = ()
    notes: Sequence[str] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    verdicts: Sequence[Verdict] = ()
    prompts: Sequence[str] = ()
    answers: Sequence[str] = ()
    path: Path = Path()

    @property
    def unparsable(self) -> int:
        return sum(verdict.path == UNPARSABLE for verdict in self.verdicts)

    @property
    def makes_promises(self) -> bool:
        """Whether a floor is to be reached, or a control to fail."""
        limits = [control.at_most for number in self.numbers for control in number.controls.values()]
        return any(number.floor is not None for number in self.numbers) or any(limit is not None for limit in limits)

    def complaints(self) -> list[str]:
        """What is not as it should be, one sentence each; empty when every floor is reached and every control fails."""
        found = []
        for one in self.numbers:
            value = value_text(one.value, one.unit)
            if one.below_floor:
                low, high = one.interval or (one.value, one.value)
                found.append(
                    f"{one.name}: {value} is BELOW its floor of {one.floor:g}"
                    f" (n = {one.n}, 95 % interval {low:.2f} to {high:.2f})"
                )
            if one.expected is not None and one.below_expected:
                there = value_text(one.expected, one.unit)
                found.append(f"{one.name}: {value} is more than {one.within:g} below the {there} of {self.expected_of}")
            for name, control in one.controls.items():
                if control.too_good:
                    limit = f"reach {control.below:g}" if control.at_most is None else f"exceed {control.at_most:g}"
                    found.append(
                        f"{one.name}: the control {name!r} is at {value_text(control.value, one.unit)} and must not {limit}"
                    )
        return found

    def as_json(self) -> dict[str, Any]:
        rows = zip(self.verdicts, self.prompts, self.answers, strict=True)
        return {
            "benchmark": self.benchmark,
            "protocol": self.protocol,
            "says": self.says,
            "model": self.model,
            "status": self.status,
            "whole": self.whole,
            "n": len(self.verdicts),
            "unparsable": {"count": self.unparsable, "rate": self.unparsable / max(1, len(self.verdicts))},
            "paths": dict(sorted(Counter(verdict.path for verdict in self.verdicts).items())),
            "judges": list(self.judges),
            "metrics": [
                {**vars(one), "controls": {name: vars(control) for name, control in one.controls.items()}}
                for one in self.numbers
            ],
            "expected_of": self.expected_of,
            "differences": [
                {"a_is": pair.a_is, "b_is": pair.b_is, **vars(pair.difference)}
                | {"difference": pair.difference.value, "resolved": pair.difference.resolved}
                for pair in self.differences
            ],
            "complaints": self.complaints(),
            "notes": list(self.notes),
            "about": dict(self.about),
            "versions": {name: version(name) for name in PACKAGES},
            "bootstrap": {"resamples": RESAMPLES, "seed": SEED},
            "verdicts": [{**vars(verdict), "prompt": prompt, "answer": answer} for verdict, prompt, answer in rows],
        }


def value_text(value: float, unit: str) -> str:
    return f"{value:.2f}{' %' if unit == '%' else ''}"


def parse_result(stored: Any, path: Path) -> Result:
    """What :meth:`Result.as_json` made. Raises ValueError: it is something else."""
    try:
        return Result(
            numbers=[_parse_number(one) for one in stored["metrics"]],
            differences=[
                Pair(one["a_is"], one["b_is"], Difference(**_fields_of(Difference, one)))
                for one in stored["differences"]
            ],
            verdicts=[Verdict(**_fields_of(Verdict, row)) for row in stored["verdicts"]],
            prompts=[row["prompt"] for row in stored["verdicts"]],
            answers=[row["answer"] for row in stored["verdicts"]],
            path=path,
            **{
                name: stored[name]
                for name in (
                    *("benchmark", "protocol", "says", "model", "status", "whole"),
                    *("judges", "expected_of", "notes", "about"),
                )
            },
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: no results of `minigemini eval` ({error!r})") from None


def _fields_of(kind: type, stored: Mapping[str, Any]) -> dict[str, Any]:
    return {one.name: _pair_of(stored[one.name], one.name) for one in fields(kind)}


def _parse_number(stored: Mapping[str, Any]) -> Number:
    controls = {name: Control(**_fields_of(Control, control)) for name, control in stored["controls"].items()}
    return Number(**{**_fields_of(Number, stored), "controls": controls})


def _pair_of(value: Any, name: str) -> Any:
    """JSON has no tuples, and intervals are."""
    return tuple(value) if name == "interval" and value is not None else value


def write_json(path: Path, stored: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stored, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def parts_as_json(parts: Mapping[str, Result]) -> dict[str, Any]:
    """Of a command with several parts: the numbers; each row is in its part's own file, if there is one."""
    return {"parts": {name: {**part.as_json(), "verdicts": []} for name, part in parts.items()}}
