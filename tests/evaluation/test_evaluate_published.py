"""`minigemini eval` on published benchmarks: small ones in their own layout, answered by a tiny random model."""

import json
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from minigemini.benchmarks.rules.mme import COGNITION, PERCEPTION
from minigemini.cli import main
from minigemini.evaluation.reporting.stored_run import find_parts, read_run
from minigemini.evaluation.running.ablate import ablate
from minigemini.evaluation.running.evaluate import evaluate
from minigemini.evaluation.running.rows import read_parts
from minigemini.evaluation.running.suite import Settings, load_suite
from minigemini.tabletop.benchmark import examples as tabletop_examples


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """AI2D and MME in our own lines, with tabletop pictures: questions with letters, and two questions for each of four images."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "images").mkdir()
    choices, pairs = [], []
    for number, example in enumerate(tabletop_examples(4, seed=1, types=("colour", "existence"))):
        picture, question = example["messages"][0].parts
        name = f"images/{number}.png"
        picture.source.save(folder / name)
        if example["type"] == "colour":
            options = list(example["choices"])[:4]
            choices.append(
                {
                    "id": f"row {number}",
                    "kind": ("even", "odd")[number % 2],
                    "question": question.text,
                    "choices": options,
                    "images": [name],
                    "reference": {"answer": "A", "choices": options, "image": name},
                }
            )
        else:
            tasks = (*PERCEPTION, *COGNITION) if not pairs else ("count",)  # all fourteen once, and counting again
            for task in tasks:
                image = f"{task}/{number}.png"
                for text, answer in ((question.text, "Yes"), (f"Is it not so: {question.text}", "No")):
                    pairs.append(
                        {
                            "id": image,
                            "kind": task,
                            "question": text,
                            "images": [name],
                            "reference": {"answer": answer, "image": image, "question": text},
                        }
                    )
    for name, rows in (("ai2d", choices), ("mme", pairs)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def suite(data):
    path = data / "suite.yaml"
    path.write_text(
        f"batch_size: 3\ndata: {data}\nparts:\n  ai2d: {{path: ai2d.jsonl, blind: true}}\n  mme@llava: {{path: mme.jsonl}}\n"
    )
    return str(path)


@pytest.fixture(scope="module")
def model(checkpoints):
    return str(checkpoints / "model")


@pytest.fixture(scope="module")
def finished(suite, model, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "run"
    assert evaluate(suite, model, out) == 0
    return out


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(path):
    return json.loads(path.read_text())


def test_every_part_is_answered_scored_and_can_be_scored_again(finished, tmp_path):
    assert sorted(path.name for path in finished.iterdir()) == [
        "ai2d@lmms", "mme@llava", "results.json", "results.md"
    ]  # fmt: skip
    ai2d = read(finished / "ai2d@lmms" / "results.json")
    assert (ai2d["n"], ai2d["metrics"][0]["name"], ai2d["metrics"][0]["n"]) == (4, "accuracy", 4)
    assert all("blind" in one["controls"] for one in ai2d["metrics"])
    mme = read(finished / "mme@llava" / "results.json")
    assert {one["name"] for one in mme["metrics"]} >= {"perception", "count"}
    assert not any(one["controls"] for one in mme["metrics"])
    together = read(finished / "results.json")
    assert together["parts"]["mme@llava"]["metrics"] == mme["metrics"]
    assert together["parts"]["mme@llava"]["verdicts"] == []
    markdown = (finished / "results.md").read_text()
    assert "| accuracy |" in markdown
    assert "not comparable with published numbers" in markdown
    again = tmp_path / "again.json"
    predictions = finished / "mme@llava" / "model" / "predictions.jsonl"
    assert main(["eval", "score", "mme", str(predictions), "--protocol", "llava", "--json", str(again)]) == 0
    assert read(again)["metrics"] == mme["metrics"]


@pytest.mark.slow
def test_an_interrupted_run_and_any_number_of_processes_leave_the_same_bytes(finished, suite, model, tmp_path):
    """Two real processes; then a folder as two killed ones may leave it is finished by one."""
    before = files(finished)
    out = tmp_path / "two"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "minigemini", "eval", suite, "--model", model, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("perception") == 1  # one of them prints
    assert files(out) == before

    part = out / "mme@llava" / "model"
    lines = (part / "predictions.jsonl").read_text().splitlines(keepends=True)
    (part / "predictions.jsonl").write_text("".join(lines[5:7]))
    (part / "predictions.1.jsonl").write_text("".join(lines[:2]) + lines[2][:20])
    (out / "ai2d@lmms" / "blind" / "predictions.jsonl").write_text("")
    assert evaluate(suite, model, out) == 0
    assert files(out) == before


@pytest.mark.slow
def test_killed_in_the_middle(finished, suite, model, tmp_path):
    """kill -9 as soon as something is written, as often as it takes."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "minigemini", "eval", suite, "--model", model, "--out", str(out), "batch_size=3"]
    kills = 0
    for _ in range(20):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        written = sum(path.stat().st_size for path in out.rglob("*.jsonl"))
        while process.poll() is None:
            if sum(path.stat().st_size for path in out.rglob("predictions.jsonl")) > written:
                process.kill()
                process.wait()
                kills += 1
                break
        else:
            assert process.returncode == 0, process.stderr.read() if process.stderr else ""
            break
        if kills == 2:
            break
    assert kills >= 1
    assert evaluate(suite, model, out) == 0
    assert files(out) == files(finished)


def test_limit_is_of_images_so_that_pairs_stay_together(suite, model, tmp_path):
    assert evaluate(suite, model, tmp_path, Settings(limit=1), controls=False) == 0
    ids = [row["id"] for row in read(tmp_path / "mme@llava" / "results.json")["verdicts"]]
    assert len(ids) == 2 * 14
    assert len(read(tmp_path / "ai2d@lmms" / "results.json")["verdicts"]) == 2  # of each kind one
    assert not (tmp_path / "ai2d@lmms" / "blind").exists()


def test_data_that_is_missing_is_said_before_the_model_is_loaded(suite, tmp_path, data):
    with pytest.raises(ValueError, match=r"^ai2d: .*nothing.jsonl: no such file"):
        evaluate(suite, "nano", tmp_path, Settings(overrides=["parts.ai2d.path=nothing.jsonl"]))
    with pytest.raises(ValueError, match=r"mme: /nowhere: .*\npope: /nowhere: "):  # each of them
        evaluate("mme,pope", "nano", tmp_path, Settings(overrides=["data=/nowhere"]))


def test_another_question_under_the_same_id_is_refused(finished, suite, model, data, tmp_path):
    changed = data / "changed.jsonl"
    changed.write_text((data / "ai2d.jsonl").read_text().replace("what ", "which ").replace("?", "??"))
    with pytest.raises(ValueError, match=r"of the example .* prompt, reference are not what it was"):
        evaluate(suite, model, finished, Settings(overrides=["parts.ai2d.path=changed.jsonl"]))


def test_what_would_give_a_wrong_number_is_refused(suite, data, tmp_path, capsys):
    """Before the model is loaded."""
    file = str(data / "ai2d.jsonl")
    with pytest.raises(ValueError, match="ai2d.jsonl is one file, for 2 benchmarks; give the folder"):
        evaluate("ai2d,mmstar", "nano", tmp_path, Settings(overrides=[f"data={file}"]))
    with pytest.raises(ValueError, match="ai2d is there twice"):
        evaluate("ai2d,ai2d", "nano", tmp_path, Settings(overrides=[f"data={file}"]))
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        main(["eval", suite, "--out", str(tmp_path / "file" / "x"), "--model", "nano"])
    assert "file is a file, and a folder is needed" in capsys.readouterr().err
    assert main(["eval", "score", "ai2d", str(tmp_path)]) == 1
    assert "predictions are in its model/predictions.jsonl" in capsys.readouterr().err
    (tmp_path / "null.jsonl").write_text('{"id": "1", "prediction": null, "reference": {}}\n')
    assert main(["eval", "score", "ai2d", str(tmp_path / "null.jsonl")]) == 1
    assert "row '1': the prediction is None, not a text" in capsys.readouterr().err


def test_a_broken_picture_is_found_before_the_first_answer(data, model, tmp_path):
    rows = [json.loads(line) for line in (data / "ai2d.jsonl").read_text().splitlines()]
    rows[3]["images"] = ["broken.png"]
    (tmp_path / "broken.png").write_bytes((data / "images" / "0.png").read_bytes()[:9])
    for number in range(3):
        (tmp_path / rows[number]["images"][0]).parent.mkdir(exist_ok=True)
        (tmp_path / rows[number]["images"][0]).write_bytes((data / rows[number]["images"][0]).read_bytes())
    (tmp_path / "ai2d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"broken\.png: not a picture"):
        evaluate("ai2d", model, out, Settings(overrides=[f"data={tmp_path}"]))
    assert not list(out.rglob("predictions.jsonl"))


def test_where_a_part_finds_its_data_and_its_images(data, tmp_path):
    (tmp_path / "q").mkdir()
    shutil.copy(data / "ai2d.jsonl", tmp_path / "q" / "mine.jsonl")
    suite = load_suite("ai2d", [f"data={tmp_path}", "parts.ai2d.path=q/mine.jsonl"])
    with pytest.raises(ValueError, match="ai2d: .*images"):
        read_parts(suite, None)  # they do not lie beside the questions
    shutil.copytree(data / "images", tmp_path / "pictures" / "images")
    suite = load_suite("ai2d", [f"data={tmp_path}", "parts.ai2d={path: q/mine.jsonl, images: pictures}"])
    (part,) = read_parts(suite, None)
    assert [example.images[0].open().size for example in part.examples] == [
        Image.open(data / example.reference["image"]).size for example in part.examples
    ]


def test_a_test_split_is_answered_and_written_for_upload(data, model, tmp_path):
    rows = [json.loads(line) for line in (data / "ai2d.jsonl").read_text().splitlines()]
    for number, row in enumerate(rows):
        row["id"], row["reference"] = str(number), {"choices": row["choices"]}
    (data / "mmbench.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out"
    assert evaluate("mmbench", model, out, Settings(overrides=[f"data={data}"])) == 0
    part = out / "mmbench@llava"
    results = read(part / "results.json")
    assert (results["status"], results["metrics"], results["n"]) == ("no gold answers", [], 4)
    assert "**no gold answers: no number**" in (part / "results.md").read_text()
    assert "upload.xlsx is what the benchmark's server takes" in (part / "results.md").read_text()
    assert (part / "upload.xlsx").is_file()
    assert read_run(part).status == "no gold answers"
    with pytest.raises(ValueError, match="mmbench@llava: no gold answers, so there is no number to compare"):
        ablate("mmbench", model, tmp_path / "ablate", settings=Settings(overrides=[f"data={data}"]))


def test_a_text_with_the_image_marker_is_named(data, model, tmp_path):
    rows = [json.loads(line) for line in (data / "ai2d.jsonl").read_text().splitlines()]
    rows[2] = {**rows[2], "question": "what is <image>?", "images": []}
    for row in rows:
        row["images"] = []
    (tmp_path / "ai2d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ValueError, match="ai2d@lmms: example 'row 2': "):
        evaluate("ai2d", model, tmp_path / "out", Settings(overrides=[f"data={tmp_path}"]))


def test_another_suite_in_the_same_folder_takes_nothing_away(finished, data, model, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    assert evaluate("mmstar", model, out, Settings(overrides=[f"data={data / 'ai2d.jsonl'}"])) == 0
    assert sorted(part.name for part in find_parts(out)) == ["ai2d@lmms", "mme@llava", "mmstar@official"]


def test_runs_are_compared_part_by_part(finished, tmp_path, capsys):
    out = tmp_path / "diff.json"
    assert main(["eval", "diff", str(finished), str(finished), "--json", str(out)]) == 0
    assert set(read(out)["parts"]) == {"ai2d@lmms", "mme@llava"}
    assert capsys.readouterr().out.count("not resolvable at n =") == 2
    run = read_run(finished / "ai2d@lmms")
    assert (run.benchmark, set(run.numbers[0].controls)) == ("ai2d", {"blind"})
    with pytest.raises(ValueError, match="has several parts; name one: .*ai2d@lmms"):
        read_run(finished)


def test_the_report_shows_the_pictures_and_where_the_answers_looked(finished, model, tmp_path, capsys):
    out = tmp_path / "report.html"
    assert main(["eval", "report", str(finished), "--model", model, "--pictures", "2", "--out", str(out)]) == 0
    text = out.read_text().partition('id="data">')[2].partition("</script>")[0]
    ai2d, mme = json.loads(text)
    assert [part["benchmark"] for part in (ai2d, mme)] == ["ai2d", "mme"]
    for part in (ai2d, mme):
        assert all(row["pictures"] for row in part["rows"])
        assert sum(any(one["looked"] for one in row["pictures"]) for row in part["rows"]) <= 2
    assert len(mme["pictures"]) < len(mme["rows"]) + 4  # two rows show one picture
    assert ai2d["columns"] == ["blind"]
