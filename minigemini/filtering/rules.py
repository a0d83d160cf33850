"""The rules by their names in YAML, and the list of them that a file holds, in the order in which they are applied."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minigemini import strict_yaml
from minigemini.data.card import Card
from minigemini.filtering.boilerplate import Boilerplate
from minigemini.filtering.caption_agreement import CaptionAgreement
from minigemini.filtering.clip_similarity import ClipSimilarity
from minigemini.filtering.duplicates import EvaluationOverlap, NearDuplicate
from minigemini.filtering.language import Language
from minigemini.filtering.picture_rules import AspectRatio, Contrast, Resolution, Unreadable
from minigemini.filtering.rule import Rule
from minigemini.filtering.safety import Safety
from minigemini.filtering.text_rules import Length, Patterns, RepeatedCharacters, RepeatedWords

RULES: dict[str, type[Rule]] = {
    "unreadable": Unreadable,
    "contrast": Contrast,
    "resolution": Resolution,
    "aspect_ratio": AspectRatio,
    "length": Length,
    "repeated_words": RepeatedWords,
    "repeated_characters": RepeatedCharacters,
    "patterns": Patterns,
    "boilerplate": Boilerplate,
    "language": Language,
    "near_duplicate": NearDuplicate,
    "evaluation_overlap": EvaluationOverlap,
    "clip_similarity": ClipSimilarity,
    "caption_agreement": CaptionAgreement,
    "safety": Safety,
}


@dataclass(frozen=True)
class NamedRule:
    """A rule, and what it is called in logs: ``filters.2 length``, after its place in the file."""

    name: str
    rule: Rule


@dataclass(frozen=True)
class FilterFile:
    filters: list[Any] = field(default_factory=list)


def load_rules(file: str | Path, data: Path, overrides: list[str]) -> list[NamedRule]:
    """The ``filters:`` of a file that holds nothing else, or of the part of a data recipe that ``data`` is a file of.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is neither, no part has this file, there are no filters, or one is not as it should be; file and key are named.
    """
    tree, where = strict_yaml.read(file, overrides)
    if isinstance(tree, dict) and "sources" in tree:
        card = strict_yaml.convert(tree, Card, where)
        named = [place for place, one in enumerate(card.sources) if any(is_end(file.path, data) for file in one.files)]
        if len(named) != 1:
            raise ValueError(f"{where}: {data} is a file of {len(named)} of its sources, and must be of one")
        where = where.at("sources").at(str(named[0]))
        filters: list[Any] = list(card.sources[named[0]].filters)
    else:
        filters = strict_yaml.convert(tree, FilterFile, where).filters
    where = where.at("filters")
    if not filters:
        raise ValueError(f"{where}: there is none")
    return [rule_of(one, where.at(str(place)), place) for place, one in enumerate(filters)]


def is_end(path: str, data: Path) -> bool:
    """Whether ``data`` may be that file of a recipe, below whichever folder."""
    parts = Path(path).parts
    return Path(data).absolute().parts[-len(parts) :] == parts


def rule_of(given: Any, where: strict_yaml.Where, place: int) -> NamedRule:
    """
    Raises:
        ValueError: its name is unknown, or a key of it is not as it should be.
    """
    if not isinstance(given, dict) or not isinstance(given.get("rule"), str):
        raise ValueError(f"{where}: expected a mapping with 'rule', the name of one, got {given!r}")
    name = given["rule"]
    if name not in RULES:
        raise ValueError(f"{where.at('rule')}: {strict_yaml.unknown_name(name, RULES)}")
    settings = {key: value for key, value in given.items() if key != "rule"}
    return NamedRule(f"filters.{place} {name}", strict_yaml.convert(settings, RULES[name], where))
