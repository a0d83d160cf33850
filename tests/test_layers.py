"""The house keeps its shape: arrows point down, files stay small, and nothing hides behind an empty name."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "minigemini"
MODULES = sorted(
    set(PACKAGE.rglob("*.py")) - set(PACKAGE.rglob("nano/weights/**/*.py"))
)  # those are copies of model/import_minigemini.py

# layer -> what it may import of ours; minigemini.nano and minigemini.shipped (where what is shipped lies) may be imported by all
ARROWS = {
    "cli": {
        "serving",
        "training",
        "evaluation",
        "data",
        "filtering",
        "generation",
        "tabletop",
        "checkpoints",
        "progress",
        "output_path",
    },
    "serving": {
        "engine",
        "checkpoints",
        "attention",
        "model",
        "generation",
        "tabletop",
        "conversation",
        "media",
        "progress",
        "html_page",
        "safety",
    },
    "training": {
        "engine",
        "generation",
        "checkpoints",
        "model",
        "data",
        "conversation",
        "media",
        "progress",
        "strict_yaml",
        "html_page",
    },
    "evaluation": {
        "engine",
        "benchmarks",
        "checkpoints",
        "attention",
        "generation",
        "tabletop",
        "conversation",
        "media",
        "progress",
        "strict_yaml",
        "output_path",
    },
    "filtering": {
        "data",
        "engine",
        "checkpoints",
        "safety",
        "conversation",
        "media",
        "progress",
        "strict_yaml",
        "html_page",
    },
    "engine": {"attention", "generation", "conversation", "media"},
    "checkpoints": {"model"},
    "attention": {"model"},
    "benchmarks": {"tabletop", "conversation", "media", "strict_yaml"},
    "data": {"conversation", "media", "progress", "strict_yaml"},
    "generation": {"conversation", "media"},
    "tabletop": {"conversation"},
    "model": set(),
    "conversation": set(),
    "media": set(),
    "progress": set(),
    "strict_yaml": set(),
    "html_page": set(),
    "safety": set(),
    "nano": {"existing_model"},
    "existing_model": set(),
    "output_path": set(),
    "shipped": set(),
    "auto_registration": {"model"},
    "__init__": {"model", "auto_registration"},
    "__main__": {"cli"},
}
FORBIDDEN_WORDS = {"utils", "util", "common", "base", "manager", "factory", "registry", "helpers", "misc"}


def layer_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_layers(source: str, file: Path) -> set[str]:
    """The layers that the source of a file imports from, in absolute or relative form, at the top or in a function."""
    package = ("minigemini", *file.relative_to(PACKAGE).parts[:-1])
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*start, *([node.module] if node.module else [])))
            names |= {f"{module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names]
    layers = {part[1] for part in parts if part[0] == "minigemini" and len(part) > 1}
    # `from minigemini import MiniGeminiProcessor` and `import minigemini` are the public face: the model layer
    return {layer if layer in ARROWS else "model" for layer in layers}


def test_there_is_something_to_check():
    assert len(MODULES) > 20
    assert {layer_of(file) for file in MODULES} <= set(ARROWS)


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_arrows_point_down(file):
    layer = layer_of(file)
    wrong = imported_layers(file.read_text(encoding="utf-8"), file) - ARROWS[layer] - {layer, "nano", "shipped"}
    assert not wrong, f"{layer} must not import {', '.join(sorted(wrong))}"


LEFT_OUT_OF_THE_PICTURE = {
    "cli",
    "nano",
    "shipped",
    "progress",
    "strict_yaml",
    "output_path",
    "html_page",
    "existing_model",
}


def test_the_picture_in_contributing_is_what_is_imported():
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawn = set()
    for line in text.partition("```mermaid")[2].partition("```")[0].splitlines():
        start, arrow, ends = line.partition("-->")
        drawn |= {(start.strip(), end.strip()) for end in ends.split("&") if arrow}
    imported = {
        (layer_of(file), layer)
        for file in MODULES
        if file.parent != PACKAGE or layer_of(file) in drawn
        for layer in imported_layers(file.read_text(encoding="utf-8"), file) - {layer_of(file)}
    }
    imported = {arrow for arrow in imported if not LEFT_OUT_OF_THE_PICTURE & set(arrow)}
    assert drawn == imported


@pytest.mark.parametrize(
    ("source", "layers"),
    [
        ("import minigemini.training.run", {"training"}),
        ("from minigemini import serving", {"serving"}),
        ("from minigemini import MiniGeminiProcessor", {"model"}),
        ("from ..model import x", {"model"}),
        ("from .. import cli", {"cli"}),
        ("from .records import Record", {"data"}),
        ("def f():\n    from minigemini.model.configuration import C", {"model"}),
        ("import torch", set()),
    ],
)
def test_every_form_of_import_is_seen(source, layers):
    assert imported_layers(source, PACKAGE / "data" / "imaginary.py") == layers


@pytest.mark.parametrize("folder", ["minigemini", "train", "tests"])
def test_no_file_is_longer_than_500_lines(folder):
    files = [file for file in (PACKAGE.parent / folder).rglob("*.py") if file.is_file()]
    long = {str(file): count for file in files if (count := len(file.read_text().splitlines())) > 500}
    assert files
    assert not long


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_names_say_what_is_inside(file):
    names = [*file.relative_to(PACKAGE).with_suffix("").parts]
    names += [node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ClassDef)]
    for name in names:
        words = set("".join(f"_{c.lower()}" if c.isupper() else c for c in name).split("_"))
        assert not words & FORBIDDEN_WORDS, name


@pytest.mark.parametrize("room", ["model", "checkpoints", "data", "training"])
def test_no_drawing_below(room):
    """Plots are drawn in `attention` and `evaluation`; those of runs by a command of its own."""
    files = [file for file in (PACKAGE / room).rglob("*.py") if file.name != "compare_runs.py"]
    assert not [file for file in files if "matplotlib" in file.read_text(encoding="utf-8")]


@pytest.mark.parametrize("word", ["BitsAndBytes", "deepspeed", "requires_grad", "safetensors"])
def test_the_model_could_move_into_transformers(word):
    files = sorted((PACKAGE / "model").rglob("*.py"))
    assert files
    assert not [file.name for file in files if word.lower() in file.read_text(encoding="utf-8").lower()]
