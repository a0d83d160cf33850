"""VLMEvalKit's launcher and model class.

VLMEvalKit itself is on no package index. It is played by a package that this test writes, with the interface that its documents
describe: ``vlmeval.config.supported_VLM``, ``vlmeval.vlm.base.BaseModel`` whose ``generate`` checks parts and calls
``generate_inner``, and a run.py that builds the model by its name, asks it about every row and writes a table in PRED_FORMAT.
What this cannot show is whether VLMEvalKit still has that interface.
"""

import csv
import json
import os
import subprocess
import sys

import pytest

from minigemini.benchmarks.names.tabletop import Tabletop
from minigemini.cli import main
from minigemini.conversation import Image
from minigemini.evaluation.harnesses.vlmevalkit_run import name_of

BASE = """
class BaseModel:
    INTERLEAVE = False
    allowed_types = ["text", "image", "video"]

    def __init__(self):
        self.dump_image_func = None

    def generate(self, message, dataset=None):
        assert all(part["type"] in self.allowed_types for part in message), message
        return self.generate_inner(message, dataset)
"""
RUN = """
import argparse, csv, json, os, sys
from vlmeval.config import supported_VLM

parser = argparse.ArgumentParser()
parser.add_argument("--data", nargs="+")
parser.add_argument("--model", nargs="+")
parser.add_argument("--work-dir")

if __name__ == "__main__":
    asked = parser.parse_args()
    (name,), (data,) = asked.model, asked.data
    model = supported_VLM[name]()
    suffix = os.environ.get("PRED_FORMAT", "xlsx")
    with open(os.path.join(asked.work_dir, f"{name}_{data}.{suffix}"), "w", newline="") as file:
        table = csv.DictWriter(file, ["index", "question", "answer", "prediction"], delimiter="\\t")
        table.writeheader()
        for row in json.load(open(os.path.join(os.environ["LMUData"], data + ".json"))):
            message = row.pop("message")
            table.writerow({**row, "prediction": model.generate(message=message, dataset=data)})
"""


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "VLMEvalKit"
    (folder / "vlmeval" / "vlm").mkdir(parents=True)
    (folder / "vlmeval" / "__init__.py").touch()
    (folder / "vlmeval" / "vlm" / "__init__.py").touch()
    (folder / "vlmeval" / "vlm" / "base.py").write_text(BASE)
    (folder / "vlmeval" / "config.py").write_text("supported_VLM = {}\n")
    (folder / "run.py").write_text(RUN)
    return folder


def write_data(folder):
    """Questions about one picture and about none, as VLMEvalKit's messages; the gold answers."""
    rows = []
    for example in Tabletop(["tag", "draw_prompt"], 2, seed=9).examples():
        message = []
        for part in example.messages[-1].parts:
            if isinstance(part, Image):
                path = folder / f"{example.id}.png"
                part.source.save(path)
                message.append({"type": "image", "value": str(path)})
            else:
                message.append({"type": "text", "value": part.text})
        question, answer = example.messages[-1].text, example.reference["answer"]
        rows.append({"index": len(rows), "question": question, "answer": answer, "message": message})
    (folder / "Tabletop.json").write_text(json.dumps(rows))
    return [row["answer"] for row in rows]


def test_run_py_asks_our_model_and_our_scorer_reads_its_table(checkout, tmp_path, capsys):
    golds = write_data(tmp_path)
    command = [sys.executable, "-m", "minigemini", "eval", "vlmevalkit", "--model", "nano", "--vlmevalkit", checkout]
    command += ["--", "--data", "Tabletop", "--work-dir", tmp_path]
    environment = {name: value for name, value in os.environ.items() if name != "PRED_FORMAT"}
    subprocess.run(command, env={**environment, "LMUData": str(tmp_path)}, check=True, capture_output=True)
    table = tmp_path / "minigemini-nano_Tabletop.tsv"
    with table.open(newline="") as file:
        predictions = [row["prediction"] for row in csv.DictReader(file, delimiter="\t")]
    assert predictions[:2] == golds[:2]  # the tags are read
    assert all(prediction.startswith("<h>") for prediction in predictions[2:])
    score = ["eval", "score", "chartqa", str(table), "--format", "vlmevalkit", "--protocol", "lmms"]
    assert main([*score, "--json", str(tmp_path / "scored.json")]) == 0
    assert json.loads((tmp_path / "scored.json").read_text())["n"] == 4


def refused(capsys, *arguments):
    assert main(["eval", "vlmevalkit", *map(str, arguments)]) == 1
    return capsys.readouterr().err


def test_a_folder_that_is_no_checkout(tmp_path, capsys):
    assert "not a checkout of VLMEvalKit" in refused(capsys, "--vlmevalkit", tmp_path)


@pytest.mark.parametrize("argument", ["--model", "--model=MGM_7B", "--config=c.json"])
def test_the_model_is_ours_to_name(checkout, capsys, argument):
    assert argument.partition("=")[0] in refused(capsys, "--vlmevalkit", checkout, "--", argument, "x")


def test_an_environment_without_its_packages(checkout, tmp_path):
    (checkout / "vlmeval" / "config.py").write_text("import validators_of_nowhere\n")
    command = [sys.executable, "-m", "minigemini", "eval", "vlmevalkit", "--vlmevalkit", checkout]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("minigemini: VLMEvalKit in")
    assert "validators_of_nowhere" in done.stderr
    assert "environment of its own" in done.stderr
    assert "lmms-eval" in done.stderr


def test_a_model_of_that_name_is_not_replaced(checkout):
    (checkout / "vlmeval" / "config.py").write_text(f"supported_VLM = {{{name_of('nano')!r}: None}}\n")
    command = [sys.executable, "-m", "minigemini", "eval", "vlmevalkit", "--vlmevalkit", checkout]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "minigemini-nano" in done.stderr


def test_names(tmp_path):
    assert name_of("YanweiLi/MGM-7B") == name_of(str(tmp_path / "MGM-7B") + "/") == "minigemini-MGM-7B"
