"""The rules by their names in YAML, and the list of them that a file holds, in the order in which they are applied."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minigemini import strict_yaml
from minigemini.data.card import Card
from minigemini.filtering.picture_rules import AspectRatio, Contrast, Resolution, Unreadable
from minigemini.filtering.rule import Rule
from minigemini.filtering.text_rules import Length

RULES: dict[str, type[Rule]] = {
    "unreadable": Unreadable,
    "contrast": Contrast,
    "resolution": Resolution,
    "aspect_ratio": AspectRatio,
    "length": Length,
}


@dataclass(frozen=True)
class NamedRule:
    """A rule, and what it is called in logs: ``filters.2 length``, after its place in the file."""

    name: str
    rule: Rule


@dataclass(frozen=True)
class FilterFile:
    filters: list[Any] = field(default_factory=list)


def load_rules(file: str | Path, overrides: list[str]) -> list[NamedRule]:
    """The ``filters:`` of a file that holds nothing else, or of a data recipe.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is neither, has no filters, or one is not as it should be; the message names file and key.
    """
    tree, where = strict_yaml.read(file, overrides)
    schema: Any = Card if isinstance(tree, dict) and "sources" in tree else FilterFile
    filters = strict_yaml.convert(tree, schema, where).filters
    if not filters:
        raise ValueError(f"{where.at('filters')}: there is none")
    where = where.at("filters")
    return [rule_of(one, where.at(str(place)), place) for place, one in enumerate(filters)]


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
