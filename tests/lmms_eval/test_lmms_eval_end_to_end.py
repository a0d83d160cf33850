"""The real ``lmms-eval`` command on the nano and pictures of the tabletop: replies and score are our own.

Run in an environment of its own by ``make test-lmms-eval``; not part of the default suite.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minigemini.benchmarks.names.tabletop import make_examples
from minigemini.conversation import Image
from minigemini.engine.local import LocalEngine
from minigemini.engine.request import Decoding, Request
from minigemini.evaluation.running.evaluated_model import load

BIN = Path(sys.executable).parent
TASKS = Path(__file__).parent / "tabletop_tasks"
NAMES = ("tabletop_questions", "tabletop_conversations")
QUESTIONS = ["tag", "colour", "count", "existence"]
CONVERSATIONS = ["tag", "edit_1", "edit_2", "draw_or_answer"]  # the edits show several pictures


def examples(kinds):
    return make_examples(kinds, 3, seed=11)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The tasks with their rows and pictures; what lmms-eval calls a data set."""
    folder = tmp_path_factory.mktemp("lmms_eval")
    shutil.copytree(TASKS, folder / "tasks", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pictures").mkdir()
    for name, kinds in (("rows", QUESTIONS), ("conversations", CONVERSATIONS)):
        lines = [json.dumps(row_of(example, folder)) for example in examples(kinds)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return folder


def row_of(example, folder):
    messages, pictures = [], []
    for message in example.messages:
        content = []
        for part in message.parts:
            if isinstance(part, Image):
                path = f"pictures/{example.id.replace('/', '-')}-{len(pictures)}.png"
                part.source.save(folder / path)
                pictures.append(path)
                content.append({"type": "image", "image": path})
            else:
                content.append({"type": "text", "text": part.text})
        messages.append({"role": message.role, "content": content})
    question = messages[-1]["content"][-1]["text"]
    row = {"question": question, "answer": example.reference["answer"], "pictures": pictures}
    return {**row, "messages": json.dumps(messages)}


def run(folder, out, launcher, *arguments):
    """Samples by task, sorted by doc_id, and the results."""
    command = [*launcher, "--model", "minigemini", "--tasks", ",".join(NAMES), "--include_path", folder / "tasks"]
    command += ["--output_path", out, "--log_samples", *arguments]
    environment = {**os.environ, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    said = done.stdout + done.stderr
    assert list(out.rglob("*_results.json")), said[-4000:]  # its exit code is 0 after an error, too
    found = {name: next(out.rglob(f"*_samples_{name}.jsonl")) for name in NAMES}
    rows = {
        name: sorted((json.loads(line) for line in path.read_text().splitlines()), key=lambda row: row["doc_id"])
        for name, path in found.items()
    }
    results = json.loads(next(out.rglob("*_results.json")).read_text())["results"]
    return found, rows, results, said


def replies(rows):
    return {name: [row["filtered_resps"] for row in rows[name]] for name in NAMES}


@pytest.fixture(scope="module")
def four_at_a_time(folder):
    return run(folder, folder / "four", [BIN / "lmms-eval"], "--model_args", "pretrained=nano,batch_size=4")


@pytest.fixture(scope="module")
def ours():
    """Our answers, one by one: questions as lmms-eval asks them by itself, pictures first."""
    engine = LocalEngine(*load("nano", device="cpu"))
    return {
        name: [engine.answer([Request(example.messages, Decoding(80))])[0].text.strip() for example in examples(kinds)]
        for name, kinds in zip(NAMES, (QUESTIONS, CONVERSATIONS), strict=True)
    }


def test_replies_and_score_are_our_own(four_at_a_time, ours):
    _, rows, results, said = four_at_a_time
    assert {
        name: [reply[0] if isinstance(reply, list) else reply for reply in of] for name, of in replies(rows).items()
    } == ours
    for name, kinds in zip(NAMES, (QUESTIONS, CONVERSATIONS), strict=True):
        golds = [example.reference["answer"] for example in examples(kinds)]
        hits = [reply.strip().lower() == gold.strip().lower() for reply, gold in zip(ours[name], golds, strict=True)]
        assert results[name]["exact,none"] == pytest.approx(sum(hits) / len(hits))
        assert sum(hits) / len(hits) > 0.5  # the nano looks at its pictures
    assert said.count("a blank line is what lmms-eval sets by default") == 1


def test_one_at_a_time_gives_the_same_replies(folder, four_at_a_time):
    _, rows, _, _ = run(folder, folder / "one", [BIN / "lmms-eval"], "--model_args", "pretrained=nano")
    assert replies(rows) == replies(four_at_a_time[1])


def test_two_processes_give_the_same_samples(folder, four_at_a_time):
    launcher = [
        BIN / "accelerate",
        "launch",
        "--cpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
    ]
    launcher += ["--main_process_port", "0", "-m", "lmms_eval"]
    _, rows, results, _ = run(folder, folder / "two", launcher, "--model_args", "pretrained=nano", "--batch_size", "4")
    assert replies(rows) == replies(four_at_a_time[1])
    assert [row["doc_id"] for row in rows[NAMES[0]]] == list(range(12))
    for name in NAMES:
        assert results[name]["exact,none"] == four_at_a_time[2][name]["exact,none"]


def test_asked_by_text_and_pictures(folder, four_at_a_time):
    _, rows, _, _ = run(
        folder, folder / "simple", [BIN / "lmms-eval"], "--model_args", "pretrained=nano,batch_size=4", "--force_simple"
    )
    assert replies(rows)[NAMES[0]] == replies(four_at_a_time[1])[NAMES[0]]


def test_our_scorer_reads_the_samples(folder, four_at_a_time):
    found, _, results, _ = four_at_a_time
    command = [BIN / "minigemini", "eval", "score", "realworldqa", found[NAMES[0]], "--format", "lmms-eval"]
    out = folder / "scored.json"
    subprocess.run([*command, "--protocol", "lmms", "--json", out], check=True, capture_output=True)
    scored = json.loads(out.read_text())
    assert scored["n"] == 12
    assert scored["metrics"][0]["value"] / 100 == pytest.approx(results[NAMES[0]]["exact,none"])
