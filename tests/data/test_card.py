"""Data recipes: those of the repository, what is wrong in one, and which files are there."""

import re

import pytest

from minigemini import shipped
from minigemini.cli import main
from minigemini.data.card import CARDS, load_card, missing_files
from minigemini.tabletop.training_data import write

GOOD = """
name: mine
summary: of mine
licence: CC0
sources:
  - name: part
    origin: [us]
    licence: CC0
    records: 3
    files: [{path: part.json, holds: words}]
"""


@pytest.mark.parametrize("name", shipped.names(CARDS))
def test_every_card_of_the_repository_is_whole(name, tmp_path):
    card = load_card(name)
    assert card.name == name
    assert len(missing_files(card, tmp_path)) == sum(len(source.files) for source in card.sources)


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("licence: CC0\nsources", "sources", "mine.yaml: licence: missing"),
        ("records: 3", "recrods: 3", "mine.yaml: sources.0.recrods: unknown name 'recrods' (did you mean 'records'?)"),
        ("records: 3", "records: many", "mine.yaml: sources.0.records: expected"),
        ("records: 3", "records: 0", "mine.yaml: sources.0: records: must be positive, got 0"),
        ("origin: [us]", "origin: []", "mine.yaml: sources.0: origin: part names none"),
        ("path: part.json", "path: ../part.json", "mine.yaml: sources.0.files.0: path: ../part.json leads out"),
        ("holds: words", "holds: words, sha256: 12ab", "sha256: '12ab' is not 64 hexadecimal digits"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(old, new, wrong, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(ValueError, match=re.escape(wrong)):
        load_card(str(file))


def test_a_part_that_is_there_twice(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD + GOOD.partition("sources:\n")[2])
    with pytest.raises(ValueError, match="mine.yaml: sources: part is there twice"):
        load_card(str(file))


def test_a_name_that_is_none_lists_those_that_are():
    with pytest.raises(FileNotFoundError, match="no data recipe of that name: mgm_align, .*tabletop"):
        load_card("mgm")


def test_the_tabletop_is_what_its_card_says(tmp_path, capsys):
    assert main(["data", "card", "tabletop", "--data", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert said.index("Licence: Apache-2.0") < said.index("missing")
    assert f"4 of its files are not in {tmp_path}" in said.replace("\n", "")
    (tmp_path / "tabletop" / "images").mkdir(parents=True)
    assert len(missing_files(load_card("tabletop"), tmp_path)) == 4, "an empty folder holds no pictures"
    write(tmp_path / "tabletop", 8)
    assert main(["data", "card", "tabletop", "--data", str(tmp_path)]) == 0
    assert "missing" not in capsys.readouterr().out
