"""Names in docstrings and comments are names that exist: a module that moved or went takes its mentions with it."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "minigemini"
ROOT = PACKAGE.parent
FILES = sorted(PACKAGE.rglob("*.py"))
DOTTED = re.compile(r"(?<!\w)minigemini(?:\.\w+)+")
FOLDERS = "minigemini|train|eval/(?:suites|expected|speed|smoke|pictures)|tests|data_recipes"
PATHS = re.compile(rf"(?<![\w/])(?:{FOLDERS})/[\w/.-]*\w\.(?:py|yaml|json|jsonl|md|sh)\b")
ROLES = re.compile(r":(?:mod|class|func|meth|data):`[~!]?([\w.]+)`")


def prose_of(source: str) -> str:
    """Docstrings, and the comments."""
    texts = re.findall(r"#.*", source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            texts.append(ast.get_docstring(node) or "")
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            texts.append(node.value.value)  # of a constant; and docstrings once more
    return "\n".join(texts)


def defined() -> dict[str, set[str]]:
    """Module -> the names at its top, and those of its classes' members as `Class.member`."""
    found = {}
    for file in FILES:
        parts = file.relative_to(ROOT).with_suffix("").parts
        names = set()
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
            if isinstance(node, ast.ImportFrom | ast.Import):
                names |= {alias.asname or alias.name for alias in node.names}
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                names.add(node.name)
            if isinstance(node, ast.ClassDef):
                names |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
        found[".".join(part for part in parts if part != "__init__")] = names
    return found


DEFINED = defined()
BARE = {name.split(".")[-1] for names in DEFINED.values() for name in names} | {m.split(".")[-1] for m in DEFINED}


def exists(dotted: str) -> bool:
    """`minigemini.room.module`, or a name in it."""
    parts = dotted.split(".")
    return any(
        ".".join(parts[:n]) in DEFINED and (n == len(parts) or ".".join(parts[n:]) in DEFINED[".".join(parts[:n])])
        for n in range(1, len(parts) + 1)
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_names_in_prose_exist(file):
    prose = prose_of(file.read_text(encoding="utf-8"))
    gone = {name for name in DOTTED.findall(prose) if not exists(name)}
    gone |= {path for path in PATHS.findall(prose) if not (ROOT / path).exists() and "*" not in path}
    for name in ROLES.findall(prose):
        gone |= {name} if not name.startswith("minigemini.") and name.split(".")[-1] not in BARE else set()
    assert not gone


def test_a_name_that_is_gone_is_seen():
    prose = prose_of(
        '"""See :func:`gone_away`, minigemini.evaluation.scorers and train/none.yaml."""  # minigemini.cli.main'
    )
    assert not exists("minigemini.evaluation.scorers")
    assert exists("minigemini.cli.main")
    assert set(PATHS.findall(prose)) == {"train/none.yaml"}
    assert set(ROLES.findall(prose)) == {"gone_away"}


ROOMS = sorted(file for file in FILES if file.name == "__init__.py" and "weights" not in file.parts)


@pytest.mark.parametrize("file", ROOMS, ids=lambda file: str(file.parent.relative_to(ROOT)))
def test_a_room_lists_what_is_in_it(file):
    """In its docstring, a line a module: the words in front of two blanks are modules, and every module is named somewhere."""
    text = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").replace("`", "")
    inside = {path.stem for path in file.parent.glob("*.py")} | {
        path.parent.name for path in file.parent.glob("*/__init__.py")
    }
    inside.discard("__init__")
    listed = {
        name for names in re.findall(r"^ *(\w+(?:, \w+)*)  +\S", text, re.MULTILINE) for name in names.split(", ")
    }
    assert listed <= inside
    if listed:
        assert not {name for name in inside if not re.search(rf"\b{name}\b", text)}
