"""`minigemini eval diff`: the statistics against hand counts, real outputs of two models, and what is refused."""

import json
import math
from fractions import Fraction
from math import comb
from pathlib import Path

import pytest
import shared
from score_command import line, write_jsonl

from minigemini.benchmarks.score import score
from minigemini.benchmarks.statistics.paired import mcnemar
from minigemini.cli import main
from minigemini.evaluation.reporting.diff import compare
from minigemini.evaluation.reporting.scored import as_result
from minigemini.evaluation.reporting.stored_run import read_run
from minigemini.evaluation.reporting.table import write_result


def choice(id, right, **reference):
    reference = {"answer": "A", "choices": ["x", "y"], **reference}
    return line(id, "AB"[not right], reference)


def runs(folder, a, b, images=None):
    """Two runs of SEED-Bench, whose rule is that the reply is the letter."""
    found = []
    for name, rights in (("a", a), ("b", b)):
        rows = [choice(i, right, image=images[i] if images else i) for i, right in enumerate(rights)]
        found.append(read_run(write_jsonl(folder / f"{name}.jsonl", rows), "seed_bench"))
    return found[0], found[1]


def exact(lost, gained):
    """The binomial tail on both sides, as a fraction."""
    rows = lost + gained
    return float(min(Fraction(1), Fraction(2 * sum(comb(rows, k) for k in range(min(lost, gained) + 1)), 2**rows)))


def test_mcnemar_by_hand():
    assert mcnemar(1, 8) == mcnemar(8, 1) == 2 * (1 + 9) / 512
    assert mcnemar(0, 4) == 0.125
    assert mcnemar(5, 5) == mcnemar(0, 0) == 1
    assert mcnemar(170, 150) == pytest.approx(exact(170, 150), rel=1e-15)
    # with many rows as the normal distribution, with its correction for continuity
    assert mcnemar(4000, 4200) == pytest.approx(math.erfc(199 / math.sqrt(8200) / math.sqrt(2)), rel=0.01)
    assert mcnemar(0, 14233) == 0.0  # 2^-14232 is smaller than any float


def test_the_interval_of_a_difference_of_accuracies(tmp_path):
    """Of 2000 independent rows 60 are lost and 100 gained: its variance is ((60 + 100) - 40^2 / 2000) / 2000^2."""
    a = [True] * 60 + [False] * 100 + [True] * 1000 + [False] * 840
    b = [False] * 60 + [True] * 100 + [True] * 1000 + [False] * 840
    found = compare(*runs(tmp_path, a, b))
    half = 196 * math.sqrt(160 - 40**2 / 2000) / 2000
    assert found.metrics[0].value == pytest.approx(2)
    assert found.metrics[0].interval == pytest.approx((2 - half, 2 + half), abs=0.1)  # values are 0.05 apart
    assert found.metrics[0].p == pytest.approx(exact(60, 100), abs=0.002)  # swapping rows is McNemar's test
    assert (found.verdict, len(found.lost), len(found.gained)) == ("better", 60, 100)


@pytest.mark.parametrize(("gained", "verdict"), [(4, "not resolvable"), (5, "not resolvable"), (6, "better")])
def test_few_flips_are_not_a_difference(tmp_path, gained, verdict):
    """All one way; exact p is 2 / 2^gained. The bootstrap's interval alone is beyond zero for four already."""
    found = compare(*runs(tmp_path, [False] * 200, [i < gained for i in range(200)]))
    assert found.metrics[0].interval[0] > 0
    assert found.verdict == verdict
    assert found.mcnemar == 2 / 2**gained


def test_flips_on_one_image_are_one_flip(tmp_path):
    a, b = [False] * 400, [i < 40 for i in range(400)]
    assert compare(*runs(tmp_path, a, b)).verdict == "better"
    clustered = compare(*runs(tmp_path, a, b, images=[i // 40 for i in range(400)]))
    assert (clustered.metrics[0].value, clustered.verdict) == (10, "not resolvable")
    assert clustered.mcnemar < 1e-11  # which takes the rows as independent, and says so
    assert "on 10 images" in clustered.sentence()


def test_order_does_not_matter_and_equal_runs_are_equal(tmp_path, capsys):
    a, b = [i % 3 == 0 for i in range(90)], [i % 4 == 0 for i in range(90)]
    one = compare(*runs(tmp_path, a, b))
    rows = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    write_jsonl(tmp_path / "b.jsonl", rows[::-1])
    again = compare(read_run(tmp_path / "a.jsonl", "seed_bench"), read_run(tmp_path / "b.jsonl", "seed_bench"))
    assert one.as_result().as_json() == again.as_result().as_json()

    file = str(tmp_path / "a.jsonl")
    assert main(["eval", "diff", file, file, "--benchmark", "seed_bench"]) == 0
    assert "not resolvable at n = 90: no row differs in its points" in capsys.readouterr().out


def test_the_exit_code_is_for_ci(tmp_path, capsys):
    runs(tmp_path, [True] * 100, [i >= 12 for i in range(100)])
    a, b, out = (str(tmp_path / name) for name in ("a.jsonl", "b.jsonl", "out/diff.json"))
    assert main(["eval", "diff", a, b, "--benchmark", "seed_bench", "--json", out]) == 1
    printed = capsys.readouterr().out
    assert "B is worse than A in accuracy, at n = 100" in printed
    assert "rows only B has right: 0, only A: 12; exact McNemar p = 0.0004883" in printed
    written = json.loads(Path(out).read_text())
    assert written["about"]["verdict"] == "worse"
    assert written["about"]["flips"] == {"lost": [str(i) for i in range(12)], "gained": [], "mcnemar_p": 2 / 2**12}
    assert written["differences"][0]["difference"] == pytest.approx(-12)
    assert main(["eval", "diff", b, a, "--benchmark", "seed_bench"]) == 0


def test_fractions_of_a_point_have_no_mcnemar(tmp_path):
    answers = ["red"] * 3 + ["blue"] * 7
    files = []
    for name, replies in (("a", ["red", "green"]), ("b", ["blue", "green"])):
        rows = [line(i, reply, {"answers": answers}) for i, reply in enumerate(replies)]
        files.append(read_run(write_jsonl(tmp_path / f"{name}.jsonl", rows), "textvqa"))
    found = compare(*files)
    assert (found.mcnemar, found.gained, found.lost) == (None, ["0"], [])


def refusal(capsys, *arguments):
    assert main(["eval", "diff", *map(str, arguments)]) == 1
    return capsys.readouterr().err


def test_another_judge_is_another_number(tmp_path, capsys):
    def graded(name, model, digest):
        judge = {"model": model, "prompt": {"name": "mine.txt", "sha256": digest}}
        row = line("v1_0", "a cat", {"answer": "cat"}, grade={"score": [1.0]}, judge=judge)
        return write_jsonl(tmp_path / f"{name}.jsonl", [row])

    a, same = graded("a", "m", "1"), graded("same", "m", "1")
    assert main(["eval", "diff", str(a), str(same), "--benchmark", "mmvet"]) == 0
    capsys.readouterr()
    for other in (graded("b", "n", "1"), graded("c", "m", "2")):
        assert "judge: 'judge: m; the judge's prompt: mine.txt (sha256 1)' in" in refusal(
            capsys, a, other, "--benchmark", "mmvet"
        ).replace('"', "'")


def test_what_cannot_be_compared_is_refused(tmp_path, capsys):
    rows = [choice(i, i > 3, image=i) for i in range(8)]
    a = write_jsonl(tmp_path / "a.jsonl", rows)
    seed = ("--benchmark", "seed_bench")
    b = write_jsonl(tmp_path / "b.jsonl", rows[:5] + rows[6:])
    assert f"rows: '5' is in {a}, not in {b} (1 such rows)" in refusal(capsys, a, b, *seed)
    assert f"rows: '5' is in {a}, not in {b} (1 such rows)" in refusal(capsys, b, a, *seed)
    write_jsonl(b, [*rows[:6], choice(6, True, image=6, answer="B"), *rows[7:]])
    assert f"row '6': gold is 'A' in {a}, 'B' in {b}" in refusal(capsys, a, b, *seed)
    write_jsonl(b, [*rows[:6], choice(6, True, image="another"), *rows[7:]])
    assert f"row '6': image is '6' in {a}, 'another' in {b}" in refusal(capsys, a, b, *seed)
    assert "predictions need --benchmark" in refusal(capsys, a, b)

    scored = {protocol: tmp_path / f"{protocol}.json" for protocol in ("llava", "lmms")}
    for protocol, out in scored.items():
        assert main(["eval", "score", "seed_bench", str(a), "--protocol", protocol, "--json", str(out)]) == 0
    capsys.readouterr()
    assert "protocol: 'llava' in" in refusal(capsys, scored["llava"], scored["lmms"])
    assert "its protocol is 'llava', not 'lmms'" in refusal(capsys, *[scored["llava"]] * 2, "--protocol", "lmms")
    (tmp_path / "other.json").write_text('{"verdicts": [{"id": "1"}]}')
    assert "no results of `minigemini eval`" in refusal(capsys, *[tmp_path / "other.json"] * 2)
    assert "no such file" in refusal(capsys, tmp_path / "nothing.json", a)

    write_jsonl(a, [{"id": "v1_0", "prediction": "a cat", "reference": {}}])
    assert "needs judge; there is no number to compare" in refusal(capsys, a, a, "--benchmark", "mmvet")


def test_what_score_writes_is_what_predictions_give(tmp_path):
    """Through the file of `eval score --json` nothing is lost."""
    stored = []
    for run in runs(tmp_path, [i % 3 == 0 for i in range(60)], [i % 2 == 0 for i in range(60)]):
        out = run.path.with_suffix(".json")
        assert main(["eval", "score", "seed_bench", str(run.path), "--json", str(out)]) == 0
        stored.append(read_run(out))
    fresh = [read_run(tmp_path / f"{name}.jsonl", "seed_bench") for name in "ab"]
    assert stored[0].verdicts == fresh[0].verdicts
    assert stored[0].answers == fresh[0].answers == ["AB"[i % 3 != 0] for i in range(60)]
    assert compare(*stored).metrics == compare(*fresh).metrics
    assert compare(*stored).lost == compare(*fresh).lost


def tabletop(folder, right, colour="red"):
    """A finished run of `eval tabletop`, without the model."""
    folder.mkdir()
    lines = []
    for kind, rights in right.items():
        for i, is_right in enumerate(rights):
            gold = ("draw", "answer")[i % 2] if kind == "draw_or_answer" else colour
            wrong, good = (
                ("<h>", "no")[:: 1 if gold == "answer" else -1] if gold != colour else ("blue", f" {colour.title()} ")
            )
            reference = {"answer": gold}
            lines.append(line(f"{kind}-{i}", good if is_right else wrong, reference, kind))
    write_result(folder, as_result(score("tabletop", lines)))
    return folder


def test_folders_of_the_tabletop(tmp_path, capsys):
    good = {"colour": [True] * 30, "draw_or_answer": [True] * 10}
    bad = {"colour": [i > 9 for i in range(30)], "draw_or_answer": [i > 0 for i in range(10)]}
    a, b = tabletop(tmp_path / "a", good), tabletop(tmp_path / "b", bad)
    assert main(["eval", "diff", str(a), str(b)]) == 1
    assert "B is worse than A in mean of kinds, at n = 40" in capsys.readouterr().out
    found = compare(read_run(a), read_run(b))
    assert {one.name: (one.a, round(one.b, 3)) for one in found.metrics} == {
        "mean of kinds": (100, round((200 / 3 + 90) / 2, 3)),
        "colour": (100, 66.667),
        "draw_or_answer": (100, 90),
    }
    other = tabletop(tmp_path / "c", good, colour="cyan")  # as of another seed
    assert "row 'colour-0': gold is 'red' in" in refusal(capsys, a, other)
    (b / "results.json").unlink()
    assert "no results.json" in refusal(capsys, a, b)


# Real outputs of two models


def seed_bench(folder, model):
    rows = shared.read_rows("seedbench_image/rows.jsonl.gz")
    lines = [line(i, row[model] or "", {"answer": row["gold"]}) for i, row in enumerate(rows)]
    return read_run(write_jsonl(folder / f"{model}.jsonl", lines), "seed_bench")


@shared.needs_fixtures
def test_llava_and_gpt4v_on_seed_bench(tmp_path):
    rows = shared.read_rows("seedbench_image/rows.jsonl.gz")
    lost = sum(row["llava15_13b"] == row["gold"] != row["gpt4v"] for row in rows)
    gained = sum(row["gpt4v"] == row["gold"] != row["llava15_13b"] for row in rows)
    assert (lost, gained) == (1827, 1950)
    assert gained - lost == 9831 - 9708
    found = compare(seed_bench(tmp_path, "llava15_13b"), seed_bench(tmp_path, "gpt4v"))
    assert (len(found.lost), len(found.gained)) == (lost, gained)
    assert found.mcnemar == pytest.approx(exact(lost, gained), rel=1e-12)
    assert found.mcnemar == pytest.approx(0.0471, abs=1e-4)
    assert found.metrics[0].p == pytest.approx(found.mcnemar, abs=0.01)
    half = 196 * math.sqrt(lost + gained) / len(rows)
    assert found.metrics[0].interval == pytest.approx((123 / 142.33 - half, 123 / 142.33 + half), abs=0.05)


@shared.needs_fixtures
def test_llava_and_qwen_on_mmmu(tmp_path):
    """36.6 and 34.3: two points that nobody can resolve with 900 questions."""
    found, right = [], []
    for model in ("llava1.5_13b", "qwen_vl"):
        parsed = shared.read_json(f"mmmu_val_examples/{model}_expected_parsed.json")
        lucky = shared.read_json("mmmu_val_examples/expected.json")[model]["random_fallback_ids"]
        right.append({id for id, row in parsed.items() if row["correct"]} - set(lucky))
        rows = []
        for subject, part in shared.read_json(f"mmmu_val_examples/{model}_responses.json").items():
            for row in part:
                choices = [row["index2ans"][letter] for letter in row.get("all_choices", [])]
                rows.append(line(row["id"], row["response"], {"answer": row["answer"], "choices": choices}, subject))
        found.append(read_run(write_jsonl(tmp_path / f"{model}.jsonl", rows), "mmmu"))
    compared = compare(*found)
    assert sorted(compared.lost) == sorted(right[0] - right[1])
    assert sorted(compared.gained) == sorted(right[1] - right[0])
    assert (len(compared.lost), len(compared.gained)) == (170, 150)
    assert compared.mcnemar == pytest.approx(exact(170, 150), rel=1e-12)
    assert compared.metrics[0].value == pytest.approx(-20 / 9)
    assert compared.verdict == "not resolvable"


@shared.needs_fixtures
def test_f1_of_pope_has_a_difference(tmp_path):
    rows = shared.read_rows("pope_llava15_13b/rows.jsonl.gz")
    files = []
    for name, every in (("pope-a", 0), ("pope-b", 25)):
        lines = []
        for i, row in enumerate(rows):
            reply = "maybe" if every and i % every == 0 else row["response"]
            reference = {"answer": row["label"], "image": row["image"]}
            lines.append(line(row["question_id"], reply, reference, row["category"]))
        files.append(read_run(write_jsonl(tmp_path / f"{name}.jsonl", lines), "pope"))
    compared = compare(*files)
    assert compared.metrics[0].name == "F1, mean of splits"
    assert compared.metrics[0].a == pytest.approx(85.94688, abs=1e-5)
    assert (compared.metrics[0].n, compared.metrics[0].images) == (8910, 500)
    assert compared.verdict == "worse"
    assert compared.b.unparsable == 357
