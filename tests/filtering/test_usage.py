"""The section on filters of data_recipes/README.md does what it says."""

import json
import re
import shlex
from pathlib import Path

import pytest
from filtering_data import captioned, lines, noise

from minigemini.cli import main
from minigemini.filtering.rules import RULES

SECTION = (Path(__file__).parents[2] / "data_recipes" / "README.md").read_text().partition("\n## Filters\n")[2]


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """Twelve of them, of which 2 is blank, 3 shows what is held out, and 5 says too little."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "held_out").mkdir()
    noise(tmp_path / "held_out" / "a.png", 3, (128, 96))
    words = [
        "sofa",
        "lamp",
        "window",
        "carpet",
        "mirror",
        "curtain",
        "shelf",
        "plant",
        "radio",
        "clock",
        "vase",
        "basket",
    ]
    records = [
        captioned(tmp_path, n, f"the {word} stands where the {words[n - 5]} was last year", size=(128, 96))
        for n, word in enumerate(words)
    ]
    records[5]["conversations"][1]["value"] = "nothing"
    from PIL import Image

    Image.new("RGB", (128, 96), "grey").save(tmp_path / "2.png")
    (tmp_path / "photos.json").write_text(json.dumps(records))
    return tmp_path


def test_the_commands_of_the_readme(photos, capsys):
    (photos / "rules.yaml").write_text(re.search(r"```yaml\n(.*?)```", SECTION, re.DOTALL)[1])
    first, second = re.search(r"```bash\n(.*?)```", SECTION, re.DOTALL)[1].splitlines()
    assert main(shlex.split(first)[1:]) == 0
    assert "12 records, 9 would be kept" in capsys.readouterr().out
    assert sorted(path.name for path in (photos / "filtered").iterdir()) == ["measured", "preview.html"]
    assert main(shlex.split(second)[1:]) == 0
    assert "12 records, 9 kept, 3 dropped" in capsys.readouterr().out
    gone = {
        re.search(r"record (\d+)", line["record"])[1]: line["rule"].split()[1]
        for line in lines(Path("filtered/dropped.jsonl"))
    }
    assert gone == {"2": "contrast", "3": "evaluation_overlap", "5": "length"}
    assert len(lines(Path("filtered/kept.jsonl"))) == 9
    assert main(["data", "check", "filtered/kept.jsonl", "--image-folder", "."]) == 0


def test_the_readme_lists_all_rules():
    assert set(re.findall(r"^\| `(\w+)` \|", SECTION, re.MULTILINE)) == set(RULES)
