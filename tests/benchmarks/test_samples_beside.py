"""Real model outputs that this repository may not carry (tests/recorded/README.md); collected where they lie beside the checkout."""

import pytest
import shared
from score_command import line, refusal, scored, write_jsonl

from minigemini.benchmarks.rules.mme import COGNITION, PERCEPTION
from minigemini.benchmarks.score import score
from minigemini.evaluation.reporting.diff import compare
from minigemini.evaluation.reporting.stored_run import read_run

SAMPLES = shared.BESIDE / "fixtures"
MME = SAMPLES / "mme_lavin"


def values(scored):
    return {metric.name: metric.value for metric in scored.metrics}


def test_scienceqa():
    rows = shared.read_rows("scienceqa_llava/llava15_13b.jsonl.gz", SAMPLES)
    references = [
        {"answer": r["gold"], "choices": [""] * r["n_choices"], "is_multimodal": r["is_multimodal"]} for r in rows
    ]
    lines = [line(r["id"], r["response"], of) for r, of in zip(rows, references, strict=True)]
    scored = score("scienceqa", lines)
    found = values(scored)
    assert found["accuracy"] == pytest.approx(74.39283187927376, abs=1e-11)
    assert found["IMG accuracy"] == pytest.approx(71.64105106593951, abs=1e-11)
    assert sum(verdict.points for verdict in scored.verdicts) == 3155
    assert scored.unparsable == 5
    assert [v.reading or "FAILED" for v in scored.verdicts] == [r["parsed"] for r in rows]
    assert scored.metrics[0].interval == pytest.approx((69.8, 73.7), abs=0.3)


def mme_lines():
    for task in (*PERCEPTION, *COGNITION):
        for i, text in enumerate((MME / f"{task}.txt").read_text().splitlines()):
            image, question, gold, reply = text.split("\t")
            reference = {"answer": gold, "image": f"{task}/{image}", "question": question}
            yield line(f"{task}/{i}", reply, reference, task)


def test_mme():
    scored = score("mme", list(mme_lines()))
    found = values(scored)
    assert found["perception"] == pytest.approx(963.6114445778312, abs=1e-9)
    assert found["cognition"] == pytest.approx(249.64285714285714, abs=1e-9)
    per_task = {
        "existence": 185.0, "count": 88.3333, "position": 63.3333, "color": 75.0, "posters": 79.5918, "celebrity": 47.3529,
        "scene": 136.75, "landmark": 93.5, "artwork": 87.25, "OCR": 107.5, "commonsense_reasoning": 87.1429,
        "numerical_calculation": 65.0, "text_translation": 47.5, "code_reasoning": 50.0,
    }  # fmt: skip
    assert {task: round(found[task], 4) for task in per_task} == per_task


@pytest.mark.parametrize(("protocol", "cognition"), [("lmms", 249.64), ("vlmevalkit", 248.93)])
def test_mme_in_other_tools(protocol, cognition):
    """Recorded: perception agrees in all three, cognition does not."""
    found = values(score("mme", list(mme_lines()), protocol))
    assert found["perception"] == pytest.approx(963.6114445778312, abs=1e-9)
    assert round(found["cognition"], 2) == cognition


def test_mme_folder(tmp_path, capsys):
    found = scored(tmp_path, "mme", MME, "--format", "mme-tool")
    values = {metric["name"]: metric["value"] for metric in found["metrics"]}
    assert values["perception"] == pytest.approx(963.6114445778312)
    assert values["cognition"] == pytest.approx(249.64285714285714)
    assert found["metrics"][0]["interval"][0] < 963 < found["metrics"][0]["interval"][1]
    assert "first four characters" in found["paths"]
    assert "OCR.txt is missing" not in capsys.readouterr().err


def test_mme_answers_of_llava_join_by_question(tmp_path, capsys):
    """LLaVA's question_id is the image, which has two questions; its prompt lacks the request to answer yes or no."""
    answers = []
    for task in (*PERCEPTION, *COGNITION):
        for text in (MME / f"{task}.txt").read_text().splitlines():
            image, question, _, reply = text.split("\t")
            prompt = question.replace("  Please answer yes or no.", "").replace(" Please answer yes or no.", "")
            prompt += "\nAnswer the question using a single word or phrase."
            answers.append({"question_id": f"{task}/{image}", "prompt": prompt, "text": reply})
    answers.reverse()
    file = write_jsonl(tmp_path / "answers.jsonl", answers)
    arguments = ("--gold", MME, "--format", "llava")
    found = scored(tmp_path, "mme", file, *arguments)
    assert found["metrics"][0]["value"] == pytest.approx(963.6114445778312)
    write_jsonl(file, answers[1:])
    assert "rows are missing" in refusal(capsys, "mme", file, *arguments)


def test_totals_of_mme_have_differences(tmp_path):
    """Every tenth image answered with no: the totals move by what scoring both runs says, and each has an interval."""
    lines = {"a": list(mme_lines())}
    lines["b"] = [
        row | {"prediction": "No"} if int(row["id"].rpartition("/")[2]) // 2 % 10 == 0 else row for row in lines["a"]
    ]
    runs = [read_run(write_jsonl(tmp_path / f"{name}.jsonl", rows), "mme") for name, rows in lines.items()]
    found = {one.name: one for one in compare(*runs).metrics}
    assert found["perception"].a == pytest.approx(963.6114445778312)
    for one, other in zip(runs[0].numbers, runs[1].numbers, strict=True):
        assert found[one.name].value == pytest.approx(other.value - one.value)
    low, high = found["perception"].interval
    assert low < found["perception"].value < high
    # paired, the interval is narrower than that of either run alone
    alone = runs[0].numbers[0].interval
    assert high - low < 0.7 * (alone[1] - alone[0])
