"""YAML -> strict nested dataclasses, with ``key.path=value`` overrides from the command line.

A key that the dataclass does not know, a key that is missing and a value of another type are a ``ValueError`` that
names the file and the key path. Values follow YAML 1.2: ``1e-3`` is a number, and ``no`` and ``on`` are words.
"""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar("T")
KeyPath = tuple[str, ...]


def load(path: str | Path, schema: type[T], overrides: Sequence[str] = ()) -> T:
    """Read a YAML file into ``schema``, a dataclass.

    Args:
        overrides: ``"key.path=value"`` strings that win over the file; the value is YAML, list items are named by their
            position (``"sources.0.weight=2"``).

    Raises:
        ValueError: the file is no YAML, or does not fit the schema; the message names file and key path.
    """
    tree, where = read(path, overrides)
    return convert(tree, schema, where)


def read(path: str | Path, overrides: Sequence[str] = ()) -> tuple[Any, "Where"]:
    """What a YAML file holds, with overrides as in :func:`load`, and the place of it for errors; :func:`convert` makes a dataclass of it.

    Raises:
        ValueError: the file is no YAML, or an override has nowhere to go.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file")
    tree = _parse(file.read_text(encoding="utf-8"), str(file))
    tree = {} if tree is None else tree
    return tree, Where(str(file), overridden=tuple(_override(tree, text) for text in overrides))


def from_tree(tree: Any, schema: type[T], name: str, overrides: Sequence[str] = ()) -> T:
    """As :func:`load`, from what a YAML file holds; ``name`` says in errors where it is from."""
    overridden = [_override(tree, text) for text in overrides]
    return convert(tree, schema, Where(name, overridden=tuple(overridden)))


def dump(instance: Any) -> str:
    """The YAML text that ``load`` reads back into an equal instance of the dataclass."""
    return yaml.dump(dataclasses.asdict(instance), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


@dataclasses.dataclass(frozen=True)
class Where:
    """The place of a value: which file and which key, for error messages."""

    file: str
    path: KeyPath = ()
    overridden: tuple[KeyPath, ...] = ()

    def at(self, key: str) -> "Where":
        return dataclasses.replace(self, path=(*self.path, key))

    def __str__(self) -> str:
        from_command_line = self.path and any(_one_starts_other(self.path, other) for other in self.overridden)
        place = "command line" if from_command_line else self.file
        return f"{place}: {'.'.join(self.path)}" if self.path else place


def convert(value: Any, annotation: Any, where: Where) -> Any:
    """``value`` (as YAML gives it) as an instance of ``annotation``.

    Annotations: dataclasses, ``str``, ``int``, ``float``, ``bool``, ``None``, ``Any``, ``Literal``, ``list[X]``,
    ``dict[str, X]`` and unions of them.

    Raises:
        ValueError: it does not fit; the message starts with ``where``.
    """
    if annotation is Any:
        return value
    if dataclasses.is_dataclass(annotation):
        return _convert_dataclass(value, annotation, where)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, arguments, where)
    if origin is typing.Literal:
        if not any(type(value) is type(choice) and value == choice for choice in arguments):  # 1 is not True
            raise ValueError(f"{where}: {value!r} is not one of {', '.join(map(repr, arguments))}")
        return value
    if origin is list and isinstance(value, list):
        return [convert(item, arguments[0], where.at(str(index))) for index, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {key: convert(item, arguments[1], where.at(str(key))) for key, item in value.items()}
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = type(None) if annotation is None else origin or annotation
    if type(value) is not plain:
        raise ValueError(f"{where}: expected {_in_words(annotation)}, got {value!r}")
    return value


def unknown_name(name: str, known: Iterable[str]) -> str:
    """``"unknown 'trainr' (did you mean 'trainer'?)"``: the words for a misspelt name."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"unknown name {name!r}" + (f" (did you mean {close[0]!r}?)" if close else f"; known: {', '.join(known)}")


def _convert_dataclass(value: Any, schema: Any, where: Where) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected {_in_words(schema)}, got {value!r}")
    annotations = typing.get_type_hints(schema)
    fields = {field.name: field for field in dataclasses.fields(schema) if field.init}
    for key in value:
        if key not in fields:
            raise ValueError(f"{where.at(str(key))}: {unknown_name(str(key), fields)}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in value:
            raise ValueError(f"{where.at(name)}: missing; it has no default")
    arguments = {key: convert(item, annotations[key], where.at(key)) for key, item in value.items()}
    try:
        return schema(**arguments)
    except ValueError as error:  # the schema's own __post_init__ checks, which cannot know the place
        raise ValueError(f"{where}: {error}") from error


def _convert_union(value: Any, choices: tuple[Any, ...], where: Where) -> Any:
    if value is None and type(None) in choices:
        return None
    mappings = [choice for choice in choices if dataclasses.is_dataclass(choice)]
    if isinstance(value, dict) and len(mappings) == 1:
        return convert(value, mappings[0], where)  # so that a misspelt key inside is what the error tells
    exact = [choice for choice in choices if choice is type(value)]  # 1 stays an int where int and float are allowed
    for choice in exact + list(choices):
        try:
            return convert(value, choice, where)
        except ValueError:
            continue
    raise ValueError(f"{where}: expected {' or '.join(map(_in_words, choices))}, got {value!r}")


def _in_words(annotation: Any) -> str:
    words = {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        type(None): "null",
        None: "null",
    }
    if dataclasses.is_dataclass(annotation):
        return f"a mapping with {', '.join(field.name for field in dataclasses.fields(annotation))}"
    origin = typing.get_origin(annotation) or annotation
    return {list: "a list", dict: "a mapping"}.get(origin) or words.get(annotation) or str(annotation)


def _override(tree: Any, text: str) -> KeyPath:
    """Write ``key.path=value`` into the tree; its key path."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"command line: {text!r} is not of the form key.path=value")
    path = tuple(part.strip() for part in key.split("."))
    node = tree
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(node, list):
            if not part.isdigit() or int(part) >= len(node):
                raise ValueError(f"command line: {key}: {part!r} is not the position of one of {len(node)} items")
            slot: Any = int(part)
        elif isinstance(node, dict):
            slot = part
            if node.get(part) is None:
                node[part] = {}
        else:
            raise ValueError(f"command line: {key}: {'.'.join(path[:depth])} is {node!r}, it has no parts to set")
        if last:
            node[slot] = _parse(value, f"command line: {key}")
        else:
            node = node[slot]
    return path


def _one_starts_other(one: KeyPath, other: KeyPath) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _parse(text: str, name: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{name}: not valid YAML: {error}") from error


class _Loader(yaml.SafeLoader):
    """Safe loading with YAML 1.2 scalars, and no key twice in a mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key_node.value!r} twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes what `_Loader`, or a reader of YAML 1.1, would take for something else than text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_SCALARS = {  # YAML 1.2 core schema; 1.1 reads 1e-3 as text, and no, off and 12:30 as something else than text
    "tag:yaml.org,2002:bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "tag:yaml.org,2002:null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "tag:yaml.org,2002:int": (r"[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    "tag:yaml.org,2002:float": (
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9_]+(?:[eE][-+]?[0-9]+)?"
        r"|[0-9][0-9_]*[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "tag:yaml.org,2002:merge": (r"<<", "<"),
}
_Loader.yaml_implicit_resolvers = {}
for _tag, (_pattern, _first) in _SCALARS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list(_first))
