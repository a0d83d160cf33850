"""Predictions as other tools store them, written to disk as they write them, and scored through the command line."""

import json

import pytest
import shared
from score_command import refusal, scored, write_jsonl

from minigemini.benchmarks.formats import gold, lmms_eval, mgm
from minigemini.benchmarks.formats.join import join
from minigemini.benchmarks.formats.llava import question_of
from minigemini.benchmarks.names import BENCHMARKS
from minigemini.benchmarks.names.pope import OFFSETS
from minigemini.benchmarks.rules.mme import COGNITION, PERCEPTION


@pytest.fixture
def pope_files(tmp_path):
    """LLaVA's answers, and the gold answers of commit e3e3926, from the fixture."""
    rows = shared.read_rows("pope_llava15_13b/rows.jsonl.gz")
    for split, offset in OFFSETS.items():
        labels = [
            {"question_id": r["question_id"] - offset, "image": r["image"], "text": r["question"], "label": r["label"]}
            for r in rows
            if r["category"] == split
        ]
        write_jsonl(tmp_path / f"coco_pope_{split}.json", labels)
    answers = [
        {"question_id": r["question_id"], "prompt": r["question"], "text": r["response"], "metadata": {}} for r in rows
    ]
    return write_jsonl(tmp_path / "answers.jsonl", answers), tmp_path, answers


@shared.needs_fixtures
def test_llava_answers_with_popes_own_labels(pope_files, tmp_path, capsys):
    file, labels, _ = pope_files
    found = scored(tmp_path, "pope", file, "--gold", labels, "--format", "llava")
    assert found["metrics"][0]["value"] == pytest.approx(85.94688091)
    assert (found["protocol"], found["status"], found["n"]) == ("llava", "scored", 8910)
    assert found["metrics"][0]["images"] == 500
    assert len(found["verdicts"]) == 8910
    printed = capsys.readouterr().out
    assert "pope@llava" in printed
    assert "85.95 %" in printed
    assert "unparsable, counted as wrong: 0 of 8910 (0.0%)" in printed


@shared.needs_fixtures
def test_shards_of_mgm(pope_files, tmp_path, capsys):
    """Three shards give the same as one file; two of three are refused."""
    _, labels, answers = pope_files
    folder = tmp_path / "shards"
    folder.mkdir()
    for index in range(3):
        write_jsonl(folder / f"3_{index}.jsonl", answers[index * 2970 : (index + 1) * 2970])
    found = scored(tmp_path, "pope", folder, "--gold", labels, "--format", "mgm")
    assert found["metrics"][0]["value"] == pytest.approx(85.94688091)
    (folder / "3_1.jsonl").unlink()
    assert "1 of 3 shards are missing: 3_1.jsonl" in refusal(capsys, "pope", folder, "--format", "mgm")
    write_jsonl(folder / "2_0.jsonl", [])
    assert "shards CHUNKS_IDX.jsonl of one run" in refusal(capsys, "pope", folder, "--format", "mgm")


@shared.needs_fixtures
def test_missing_unknown_and_doubled_rows_are_refused(pope_files, tmp_path, capsys):
    _, labels, answers = pope_files
    arguments = ("--gold", labels, "--format", "llava")
    file = write_jsonl(tmp_path / "less.jsonl", answers[:-1])
    assert "1 rows are missing, such as '20003000' (8909 rows, 8910 gold" in refusal(capsys, "pope", file, *arguments)
    file = write_jsonl(tmp_path / "twice.jsonl", [*answers, answers[0]])
    assert "1 rows are there twice, such as '1, again 1'" in refusal(capsys, "pope", file, *arguments)
    file = write_jsonl(tmp_path / "more.jsonl", [*answers, answers[0] | {"question_id": 77777}])
    assert "1 rows are without a gold answer, such as '77777'" in refusal(capsys, "pope", file, *arguments)
    assert "give the gold answers with --gold" in refusal(capsys, "pope", file, "--format", "llava")


def test_mme_answers_of_llava_to_images_in_folders_of_their_own(tmp_path):
    """Five tasks have "artwork/images/x.jpg" in LLaVA's question file and "artwork/x.jpg" in the tool's; MM-Vet has 0 and v1_0."""
    answers = []
    for task in (*PERCEPTION, *COGNITION):
        lines = [
            f"x.jpg\tIs it {what}? Please answer yes or no.\t{gold}\n" for what, gold in (("a", "Yes"), ("b", "No"))
        ]
        (tmp_path / f"{task}.txt").write_text("".join(lines))
        id = f"{task}/images/x.jpg" if task == "artwork" else f"{task}/x.jpg"
        answers += [{"question_id": id, "prompt": f"Is it {what}?\nAnswer", "text": "Yes"} for what in "ab"]
    file = write_jsonl(tmp_path / "answers.jsonl", answers)
    found = scored(tmp_path, "mme", file, "--format", "llava", "--gold", tmp_path)
    assert found["metrics"][0]["value"] == 500
    file = write_jsonl(tmp_path / "mmvet.jsonl", [{"question_id": 0, "prompt": "?", "text": "x"}])
    gold = tmp_path / "mm-vet.json"
    gold.write_text(json.dumps({"v1_0": {"imagename": "a.png", "answer": "x", "capability": ["ocr"]}}))
    assert scored(tmp_path, "mmvet", file, "--format", "llava", "--gold", gold)["verdicts"][0]["id"] == "v1_0"


def test_lmms_evals_finer_categories_and_its_tasks_of_blink(tmp_path, capsys):
    """MMStar's average is the mean of the finer categories; BLINK's tasks count their rows from 0 each, and the options are ours."""
    file = tmp_path / "samples.jsonl"
    details = [
        {"question_id": i, "l2_category": kind, "score": 0}
        for i, kind in enumerate(("geometry", "geometry", "biology"))
    ]
    write_jsonl(file, [lmms_row(i, "Answer: A", "AAB"[i], average=one) for i, one in enumerate(details)])
    found = scored(tmp_path, "mmstar", file, "--format", "lmms-eval", "--protocol", "lmms")
    assert (found["metrics"][0]["name"], found["metrics"][0]["value"]) == ("mean of finer categories", 50)
    tasks = [("val_Jigsaw_1", "Jigsaw"), ("val_IQ_Test_1", "IQ_Test")]
    rows = [lmms_row(0, "so (B)", "(B)", blink_acc={"id": id, "sub_task": task}) for id, task in tasks]
    gold = [{"id": id, "kind": task, "reference": {"answer": "B", "choices": ["x", "y"]}} for id, task in tasks]
    write_jsonl(file, rows)
    arguments = ("--format", "lmms-eval", "--protocol", "lmms")
    assert "nothing says its 'choices'" in refusal(capsys, "blink", file, *arguments)
    found = scored(tmp_path, "blink", file, *arguments, "--gold", write_jsonl(tmp_path / "gold.jsonl", gold))
    assert [one["name"] for one in found["metrics"]] == ["mean of tasks", "accuracy", "Jigsaw", "IQ_Test"]
    assert found["metrics"][0]["value"] == 100


@shared.needs_fixtures
def test_mmmu_of_mgm(tmp_path):
    rows = [
        {key: row[key] for key in ("id", "question_type", "answer", "response", "index2ans") if key in row}
        for subject in shared.read_json("mmmu_val_examples/qwen_vl_responses.json").values()
        for row in subject
    ]
    found = scored(
        tmp_path, "mmmu", write_jsonl(tmp_path / "merge.jsonl", rows), "--format", "mgm", "--official-random"
    )
    assert found["metrics"][0]["value"] * 9 == pytest.approx(309)
    assert found["metrics"][0]["controls"]["the tool's fallback"]["value"] * 9 == pytest.approx(325)
    assert found["unparsable"] == {"count": 48, "rate": 48 / 900}
    kinds = {metric["name"] for metric in found["metrics"]}
    assert {"Art_Theory", "Clinical_Medicine"} < kinds


@shared.needs_fixtures
@pytest.mark.parametrize("protocol", ["llava", "rules"])
def test_mathvista_of_mgm(protocol, tmp_path):
    """Rows as model_math_vista.py writes them, and as extract_answer.py then stores them."""
    problems = {row["pid"]: row for row in shared.read_rows("mathvista_testmini/problems.jsonl.gz")}
    replies = shared.read_json("mathvista_testmini/responses_llava_llama_2_13b.json")
    run = shared.read_json("mathvista_testmini/run_llava_llama_2_13b.json")
    rows = [{**problem, "query": "", "response": replies[pid]} for pid, problem in problems.items()]
    file = write_jsonl(tmp_path / "merge.jsonl", rows)
    found = scored(tmp_path, "mathvista", file, "--format", "mgm", "--protocol", protocol)
    assert found["status"] == {"llava": "needs judge", "rules": "scored"}[protocol]
    if protocol == "llava":
        assert found["metrics"] == []
        extracted = {row["pid"]: row | {"extraction": run[row["pid"]][0]} for row in rows}
        file = tmp_path / "extracted.json"
        file.write_text(json.dumps(extracted))
        found = scored(tmp_path, "mathvista", file, "--format", "grades")
        assert found["metrics"][0]["value"] == pytest.approx(26.1)


@shared.needs_fixtures
def test_textvqa_with_its_own_annotations(tmp_path):
    """The image's id is no key: two questions about one image are told apart by the prompt."""
    rows = shared.read_rows("textvqa_first30/rows.jsonl")
    for i, row in enumerate(rows):
        row["image"] = f"image{i // 2}"
    annotations = [
        {"question_id": i, "image_id": r["image"], "question": question_of(r["prompt"]).upper(), "answers": r["gold"]}
        for i, r in enumerate(rows)
    ]
    (tmp_path / "val.json").write_text(json.dumps({"data": annotations}))
    answers = [{"question_id": r["image"], "prompt": r["prompt"], "text": r["llava15_13b"]} for r in reversed(rows)]
    file = write_jsonl(tmp_path / "answers.jsonl", answers)
    found = scored(tmp_path, "textvqa", file, "--gold", tmp_path / "val.json", "--format", "llava")
    assert found["metrics"][0]["value"] == pytest.approx(60.66666667)
    assert (found["metrics"][0]["n"], found["metrics"][0]["images"]) == (30, 15)


@shared.needs_fixtures
def test_judges_files(tmp_path, capsys):
    folder = shared.FIXTURES / "mmvet_llava15"
    found = scored(tmp_path, "mmvet", folder / "llava-v1.5-13b_gpt-4-grade-1runs.json", "--format", "grades")
    assert found["metrics"][0]["value"] == pytest.approx(36.1468, abs=1e-4)
    found = scored(tmp_path, "mmvet", folder / "llava-v1.5-13b.json", "--format", "llava")
    assert (found["status"], found["metrics"]) == ("needs judge", [])
    assert "needs judge: no number" in capsys.readouterr().out
    review = shared.FIXTURES / "llava_bench_wild_llava15" / "llava-v1.5-13b-eval2.jsonl"
    assert round(scored(tmp_path, "llava_bench", review, "--format", "grades")["metrics"][0]["value"], 1) == 72.7
    rows = shared.read_rows("llava_bench_wild_llava15/llava-v1.5-13b-eval2.jsonl")
    rows[3]["content"] = "I cannot say"
    rows[3]["tuple"] = [-1, -1]
    file = write_jsonl(tmp_path / "failed.jsonl", rows)
    assert scored(tmp_path, "llava_bench", file, "--format", "grades")["status"] == "needs judge"
    rows[3]["tuple"] = [9, 9]
    assert "row '3': the review says None" in refusal(
        capsys, "llava_bench", write_jsonl(file, rows), "--format", "grades"
    )
    assert "pope has no judge" in refusal(capsys, "pope", file, "--format", "grades")


def lmms_row(doc_id, reply, target, **fields):
    return {"doc_id": doc_id, "input": "", "target": target, "filtered_resps": [[reply]], "doc_hash": "x", **fields}


def test_lmms_eval_samples(tmp_path, capsys):
    """The ranks write their rows one after the other; MME's fields hold the task and the image."""
    rows = []
    for task in (*PERCEPTION, *COGNITION):
        for i, target in enumerate(["Yes", "No"]):
            metric = {"mme_score": {"question_id": f"{task}/1.jpg", "category": task, "score": 1.0}}
            rows.append(lmms_row(len(rows), "yes." if task == "count" else ["yes", "no."][i], target, **metric))
    file = write_jsonl(tmp_path / "samples_mme.jsonl", rows[::2] + rows[1::2])
    found = scored(tmp_path, "mme", file, "--format", "lmms-eval", "--protocol", "lmms")
    values = {metric["name"]: metric["value"] for metric in found["metrics"]}
    assert (values["perception"], values["count"], values["OCR"]) == (1850, 50, 200)
    assert [verdict["id"] for verdict in found["verdicts"][:3]] == ["0", "1", "2"]
    rows[0]["filtered_resps"] = ["yes", "no"]
    assert "doc_id 0: 2 replies" in refusal(capsys, "mme", write_jsonl(file, rows), "--format", "lmms-eval")


def test_lmms_eval_joins_by_row_number(tmp_path, capsys):
    answers = write_jsonl(
        tmp_path / "gold.jsonl",
        [{"id": f"q{i}", "kind": "k", "reference": {"answer": "AB"[i], "image": "one"}} for i in range(2)],
    )
    file = write_jsonl(tmp_path / "samples.jsonl", [lmms_row(1, "B", "B"), lmms_row(0, "B", "A")])
    arguments = ("--format", "lmms-eval", "--protocol", "lmms", "--gold", answers)
    found = scored(tmp_path, "ai2d", file, *arguments)
    assert [(v["id"], v["points"], v["image"]) for v in found["verdicts"]] == [("q0", 0, "one"), ("q1", 1, "one")]
    assert found["metrics"][0]["interval"] is None  # one image
    write_jsonl(file, [lmms_row(1, "B", "A"), lmms_row(0, "B", "A")])
    assert "doc_id 1: lmms-eval's target is 'A', the gold answer 'B'" in refusal(capsys, "ai2d", file, *arguments)
    write_jsonl(file, [lmms_row(1, "B", "B")])
    assert "doc_id 0 is missing" in refusal(capsys, "ai2d", file, *arguments)


def test_lmms_eval_without_gold_says_what_is_missing(tmp_path, capsys):
    file = write_jsonl(tmp_path / "samples.jsonl", [lmms_row(0, "B", "A")])
    arguments = ("--format", "lmms-eval", "--protocol")
    assert "nothing says its 'choices'" in refusal(capsys, "mmstar", file, *arguments, "vlmevalkit")
    assert "nothing says its 'l2_category'" in refusal(capsys, "mmstar", file, *arguments, "lmms")
    assert lmms_eval.read(file, BENCHMARKS["textvqa"])[0]["reference"] == {"answers": ["A"]}


def test_own_gold_files(tmp_path):
    """The benchmarks' own files, at the size of one or two rows."""
    answers = [{"answer": "a"}] * 10
    files = {
        "vqav2": {"annotations": [{"question_id": 5, "image_id": 9, "answer_type": "other", "answers": answers}]},
        "vizwiz": [{"image": "VizWiz_val_1.jpg", "answer_type": "other", "answers": answers}],
        "gqa": {
            "1": {"isBalanced": True, "types": {"structural": "query"}, "answer": "red", "imageId": "n1"},
            "2": {"isBalanced": False, "types": {"structural": "verify"}, "answer": "no", "imageId": "n1"},
        },
        "seed_bench": {
            "questions": [
                {"question_id": 7, "data_id": "d", "data_type": "image", "answer": "B"}
                | {f"choice_{letter}": letter for letter in "abcd"}
            ]
        },
        "mmvet": {"v1_0": {"imagename": "a.png", "answer": "x", "capability": ["ocr", "math"]}},
        "mmmu": {"validation_Art_Theory_3": {"question_type": "multiple-choice", "ground_truth": "C"}},
    }
    expected = {
        "vqav2": ("5", "other", {"answers": ["a"] * 10, "image": "9"}),
        "vizwiz": ("VizWiz_val_1", "other", {"answers": ["a"] * 10, "image": "VizWiz_val_1.jpg"}),
        "gqa": ("1", "open", {"answer": "red", "image": "n1"}),
        "seed_bench": ("7", "image", {"answer": "B", "choices": ["a", "b", "c", "d"], "image": "d"}),
        "mmvet": ("v1_0", "", {"answer": "x", "capability": ["ocr", "math"], "image": "a.png"}),
        "mmmu": ("validation_Art_Theory_3", "Art_Theory", {"answer": "C", "question_type": "multiple-choice"}),
    }
    for name, content in files.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content))
        (row,) = gold.read(path, BENCHMARKS[name])
        assert (row["id"], row["kind"], row["reference"]) == expected[name]
    with pytest.raises(ValueError, match="not the gold answers of mmvet, 'answer' is missing"):
        gold.read(tmp_path / "mmmu.json", BENCHMARKS["mmvet"])
    (tmp_path / "problems.json").write_text(
        json.dumps({"8": {"answer": 1, "choices": ["x", "y"], "image": "image.png"}, "9": {}})
    )
    (tmp_path / "pid_splits.json").write_text(json.dumps({"test": ["8"]}))
    (row,) = gold.read(tmp_path, BENCHMARKS["scienceqa"])
    assert row["reference"] == {"answer": "B", "choices": ["x", "y"], "is_multimodal": True}


def test_capabilities_of_mmvet(tmp_path):
    content = {
        "v1_0": {"imagename": "a.png", "answer": "x", "capability": ["ocr", "math"]},
        "v1_1": {"imagename": "b.png", "answer": "x", "capability": ["ocr"]},
    }
    (tmp_path / "mm-vet.json").write_text(json.dumps(content))
    grades = {
        id: {"model": ["judge"], "content": ["1"], "score": [score]} for id, score in {"v1_0": 1.0, "v1_1": 0.5}.items()
    }
    (tmp_path / "grades.json").write_text(json.dumps(grades))
    found = scored(
        tmp_path, "mmvet", tmp_path / "grades.json", "--gold", tmp_path / "mm-vet.json", "--format", "grades"
    )
    assert {metric["name"]: metric["value"] for metric in found["metrics"]} == {"total": 75, "ocr": 75, "math": 100}


def test_a_question_that_is_in_the_list_twice():
    """As one of SEED-Bench is; the same twice among the predictions, and only then."""
    answers = [{"id": "7", "kind": "image", "reference": {"answer": letter}} for letter in "AB"]
    rows = [{"id": "7", "kind": "", "prediction": "A", "reference": {}}] * 2
    assert [row["id"] for row in join(BENCHMARKS["seed_bench"], rows, answers)] == ["7", "7, again 1"]
    with pytest.raises(ValueError, match="1 rows are there twice"):
        join(BENCHMARKS["seed_bench"], rows, answers[:1])


def test_our_own_predictions_of_a_question_that_is_in_the_list_twice(tmp_path, capsys):
    """The runner has given the second its number; neither is there twice, and a third is."""
    reference = {"answer": "A", "choices": ["x", "y"]}
    rows = [{"id": id, "kind": "image", "prediction": "A", "reference": reference} for id in ("7", "7, again 1", "8")]
    file = write_jsonl(tmp_path / "predictions.jsonl", rows)
    found = scored(tmp_path, "seed_bench", file)
    assert ([verdict["id"] for verdict in found["verdicts"]], found["metrics"][0]["value"]) == (
        ["7", "7, again 1", "8"],
        100,
    )
    answers = write_jsonl(tmp_path / "gold.jsonl", [rows[0], rows[0], rows[2]])
    assert scored(tmp_path, "seed_bench", file, "--gold", answers)["n"] == 3
    for id in ("7", "7, again 1"):
        write_jsonl(file, [*rows, rows[0] | {"id": id}])
        assert f"1 rows are there twice, such as '{id}'" in refusal(capsys, "seed_bench", file)
        assert "1 rows are there twice, such as '7, again" in refusal(capsys, "seed_bench", file, "--gold", answers)


def test_shards_of_a_run_are_concatenated_by_their_number(tmp_path):
    for index in range(12):
        (tmp_path / f"12_{index}.jsonl").write_text("")
    assert [file.name for file in mgm.shards(tmp_path)] == [f"12_{index}.jsonl" for index in range(12)]


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_hallusionbench_with_the_judges_grades(suffix, tmp_path, capsys):
    """The benchmark's own rows, as its script leaves them: two figures, two questions, one of them unclear."""
    rows = [
        {"category": "VD", "subcategory": "map", "set_id": 0, "figure_id": figure, "question_id": question}
        | {"gt_answer": "1", "model_prediction": f"reply {figure}{question}", "grade": grade}
        for figure, question, grade in [(0, 0, "1"), (0, 1, "1"), (1, 0, "1"), (1, 1, "2")]
    ]
    file = tmp_path / f"graded{suffix}"
    if suffix == ".json":
        file.write_text(json.dumps(rows))
    else:
        write_jsonl(file, rows)
    arguments = ("hallusionbench", file, "--format", "grades", "--protocol", "official")
    found = scored(tmp_path, *arguments)
    assert {metric["name"]: metric["value"] for metric in found["metrics"]} == {"aAcc": 75, "fAcc": 50, "qAcc": 50}
    assert [verdict["id"] for verdict in found["verdicts"]][-1] == "VD_map_0_1_1"
    assert {(v["kind"], v["gold"], v["image"]) for v in found["verdicts"]} == {("VD", "1", "VD/map/0")}
    assert found["verdicts"][2]["answer"] == "reply 10"
    del rows[1]["grade"]
    file.write_text(json.dumps(rows) if suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows))
    assert "a row has no 'grade'" in refusal(capsys, *arguments)


@pytest.mark.parametrize(
    ("prompt", "question"),
    [
        ("What?\nReference OCR token: a, b\nAnswer shortly.", "What?"),
        ("Reference OCR token: a, b\nWhat?", "What?"),  # as some prompts have it
        ("Reference OCR token: a, b", "Reference OCR token: a, b"),
        ("", ""),
    ],
)
def test_the_question_in_a_prompt_of_llava(prompt, question):
    assert question_of(prompt) == question


def test_gold_answers_of_our_own_with_numbers_for_ids(tmp_path):
    """And the kind that LLaVA's answers bring counts where the gold answers have none."""
    answers = write_jsonl(
        tmp_path / "gold.jsonl", [{"id": i, "reference": {"answer": "A", "choices": ["x", "y"]}} for i in (7, 8)]
    )
    rows = [{"question_id": i, "prompt": "", "text": "A", "category": f"kind {i}"} for i in (8, 7)]
    file = write_jsonl(tmp_path / "answers.jsonl", rows)
    found = scored(tmp_path, "ai2d", file, "--format", "llava", "--gold", answers)
    assert [(v["id"], v["kind"], v["points"]) for v in found["verdicts"]] == [("7", "kind 7", 1), ("8", "kind 8", 1)]


@pytest.mark.parametrize("key", ["category", "sub_task", "subdomain", "question_type"])
def test_where_lmms_eval_keeps_the_kind(key, tmp_path):
    details = {"question_type": "last", key: "this"}
    file = write_jsonl(tmp_path / "samples.jsonl", [lmms_row(0, "A", "A", score={"n": 1, **details})])
    assert lmms_eval.read(file, BENCHMARKS["ai2d"])[0]["kind"] == "this"


def test_what_mathvistas_rows_bring(tmp_path):
    """Task, image, and the query for a judge; a row need not have them."""
    problem = {
        "question_type": "free_form",
        "answer_type": "integer",
        "precision": None,
        "choices": None,
        "answer": "1",
    }
    more = {"metadata": {"task": "geometry"}, "image": "images/1.jpg", "question": "How many?"}
    rows = [
        {"pid": 1, "response": "1", **problem, **more, "query": "Hint: ..."},
        {"pid": 2, "response": "1", **problem},
    ]
    one, two = mgm.read(write_jsonl(tmp_path / "merge.jsonl", rows), BENCHMARKS["mathvista"])
    assert (one["id"], one["kind"], one["reference"]["image"]) == ("1", "geometry", "images/1.jpg")
    assert one["reference"]["question"] == "Hint: ..."
    assert (two["kind"], two["reference"]) == ("", problem | {"metadata": {}})
    (tmp_path / "testmini.json").write_text(json.dumps({"1": {**problem, **more}}))
    (row,) = gold.read(tmp_path / "testmini.json", BENCHMARKS["mathvista"])
    assert (row["id"], row["kind"], row["reference"]["question"]) == ("1", "geometry", "How many?")


def test_lines_of_mmes_tool(tmp_path, capsys):
    """Four columns with a reply, also an empty one; the template has three, which is enough for gold answers."""
    for name, reply in (("results", "\tYes"), ("silent", "\t"), ("template", "")):
        (tmp_path / name).mkdir()
        for task in (*PERCEPTION, *COGNITION):
            lines = [
                f"1.jpg\tIs it {what}? Please answer yes or no.\t{gold}{reply}\n"
                for what, gold in (("a", "Yes"), ("b", "No"))
            ]
            (tmp_path / name / f"{task}.txt").write_text("".join(lines))
    found = scored(tmp_path, "mme", tmp_path / "results", "--format", "mme-tool")
    assert found["metrics"][0]["value"] == 500  # half of the answers, no pair
    assert found["verdicts"][0]["id"] == "existence/1.jpg is it a"
    assert found["verdicts"][0]["image"] == "existence/1.jpg"
    assert scored(tmp_path, "mme", tmp_path / "silent", "--format", "mme-tool")["unparsable"]["count"] == 28
    arguments = ("mme", tmp_path / "results", "--format", "mme-tool")
    joined = scored(tmp_path, *arguments, "--gold", tmp_path / "template")
    assert joined["metrics"][0]["value"] == 500
    assert "existence.txt, line 1: 3 columns" in refusal(capsys, "mme", tmp_path / "template", "--format", "mme-tool")
    for columns in (2, 5):
        (tmp_path / "results" / "OCR.txt").write_text("\t".join("x" * columns) + "\n")
        assert f"OCR.txt, line 1: {columns} columns" in refusal(capsys, *arguments)
    (tmp_path / "results" / "OCR.txt").unlink()
    assert "OCR.txt is missing" in refusal(capsys, *arguments)
