"""POPE, MME and HallusionBench: what each tool reads from a reply, and the formulas, worked out by hand."""

import pytest
from score_command import line

from minigemini.benchmarks.rules import hallusionbench, mme, pope, yes_no
from minigemini.benchmarks.score import score


@pytest.mark.parametrize(
    ("reply", "of_pope", "lmms_pope", "of_mme", "lmms_mme", "vlmevalkit"),
    [
        ("Yes", "yes", "yes", "yes", "yes", "yes"),
        ("No.", "no", None, "no", "no", "no"),
        (" no", "no", "no", "no", "no", "no"),
        ("  no", "no", "no", "no", "no", "no"),
        ("   no", "no", "no", None, "no", "no"),  # the window of four characters holds "   n"
        ("Nothing", None, None, "no", "no", None),
        ("now yes", "yes", None, "no", "no", "yes"),
        ("y", None, None, None, "yes", None),
        (" N. ", None, None, None, "no", None),
        ("There is not one.", "no", None, None, None, None),
        ("Yes, there is no cat", "no", None, "yes", "yes", None),
        ("Yes. There is no cat", "yes", None, "yes", "yes", None),
        ("NO", None, "no", "no", "no", "no"),  # POPE's script looks for No, not and no
        ("Yes\nit is", "yes", None, "yes", "yes", "yes"),
        ("There is a cat in it", None, None, None, None, None),  # a yes in POPE's script, as is silence
        ("", None, None, None, None, None),
    ],
)
def test_reading(reply, of_pope, lmms_pope, of_mme, lmms_mme, vlmevalkit):
    readers = (yes_no.pope, yes_no.whole_reply, yes_no.mme, yes_no.mme_lmms, yes_no.one_of_the_words)
    assert tuple(read(reply).answer for read in readers) == (of_pope, lmms_pope, of_mme, lmms_mme, vlmevalkit)


def pope_line(number, reply, gold, kind):
    return line(number, reply, {"answer": gold, "image": str(number % 7)}, kind)


def judged(read, *rows):
    return [pope.rule(read)(pope_line(i, *row)) for i, row in enumerate(rows)]


def test_pope_mean_of_splits_is_not_the_pooled_f1():
    """Popular: 1 TP, 1 FP -> F1 2/3; random: 1 TP -> 1. Mean 5/6; pooled 2 TP, 1 FP: 4/5."""
    rows = [("yes", "yes", "popular"), ("yes", "no", "popular"), ("yes", "yes", "random")]
    found = {m.name: m.value for m in pope.metrics(judged(yes_no.pope, *rows))}
    assert found["F1, mean of splits"] == pytest.approx(100 * 5 / 6)
    assert (found["popular precision"], found["popular recall"]) == (50, 100)
    assert found["popular yes ratio"] == 100
    pooled = {m.name: m.value for m in pope.pooled_metrics(pope.vlmevalkit_counts)(judged(yes_no.pope, *rows))}
    assert pooled["F1, pooled"] == pytest.approx(80)


def test_pope_reply_that_cannot_be_read():
    """Wrong either way for us; for VLMEvalKit not a yes; for lmms-eval nowhere, and its yes ratio is the answers'."""
    rows = [("yes", "yes", "random"), ("hm", "no", "random"), ("hm", "yes", "random")]
    verdicts = judged(yes_no.pope, *rows)
    found = {m.name: m.value for m in pope.metrics(verdicts)}
    assert found["F1, mean of splits"] == pytest.approx(50)  # 1 TP, 1 FP, 1 FN
    assert (found["random precision"], found["random recall"]) == (50, 50)
    assert pope.pooled_metrics(pope.vlmevalkit_counts)(verdicts)[0].value == pytest.approx(100 * 2 / 3)
    lmms = {m.name: m.value for m in pope.pooled_metrics(pope.lmms_counts)(verdicts)}
    assert lmms["F1, pooled"] == 100
    assert lmms["random yes ratio"] == pytest.approx(100 * 2 / 3)


def test_a_final_period_is_fatal_in_lmms_eval():
    found = pope.pooled_metrics(pope.lmms_counts)(
        judged(yes_no.whole_reply, ("Yes.", "yes", "random"), ("No.", "no", "random"))
    )
    assert found[0].value == 0


def test_pope_of_another_version_is_refused():
    splits = {"adversarial": 3000, "popular": 3000, "random": 3000}
    lines = [pope_line(i, "yes", "yes", s) | {"id": f"{s}{i}"} for s, n in splits.items() for i in range(n)]
    with pytest.raises(ValueError, match="on the random split of 2910"):
        score("pope", lines)
    assert score("pope", lines, "vlmevalkit").metrics[0].value == 100


def test_pope_silence_is_a_yes_only_when_asked():
    lines = [
        pope_line(i, "", "yes", kind) | {"id": f"{kind}{i}"}
        for kind, n in {"adversarial": 3000, "popular": 3000, "random": 2910}.items()
        for i in range(n)
    ]
    scored = score("pope", lines, official_random=True)
    assert (scored.metrics[0].value, scored.with_fallback[0].value) == (0, 100)
    assert scored.unparsable == 8910


def mme_lines(**changed):
    """Two images a task, two questions an image, all right but what is changed."""
    lines = []
    for task in (*mme.PERCEPTION, *mme.COGNITION):
        for image in "ab":
            for gold in ("Yes", "No"):
                id, reference = f"{task}_{image}_{gold}", {"answer": gold, "image": f"{task}/{image}"}
                lines.append(line(id, changed.get(id, gold), reference, task))
    return lines


def test_mme_formula():
    """One wrong answer of four: 75 for accuracy, one pair of two right: 50. Two wrong in one pair: 50 + 50."""
    scored = score("mme", mme_lines(count_a_Yes="No", OCR_a_Yes="No", OCR_a_No="Yes", code_reasoning_b_No="maybe"))
    found = {metric.name: metric.value for metric in scored.metrics}
    assert (found["count"], found["OCR"], found["code_reasoning"]) == (125, 100, 125)
    assert (found["perception"], found["cognition"]) == (2000 - 75 - 100, 800 - 75)
    assert scored.unparsable == 1


def test_mme_pairs_must_be_pairs():
    with pytest.raises(ValueError, match=r"existence/existence/a has 1 questions"):
        score("mme", mme_lines()[1:])
    with pytest.raises(ValueError, match="tasks missing: count;"):
        score("mme", [one for one in mme_lines() if one["kind"] != "count"])
    odd = mme_lines()
    odd[0]["reference"]["answer"] = "perhaps"
    with pytest.raises(ValueError, match="'perhaps', neither yes nor no"):
        score("mme", odd)


def hallusion(figure, question, reply="yes", answer="yes", category="VD", **more):
    place = {"category": category, "subcategory": "map", "set_id": "0", "figure_id": figure, "question_id": question}
    return line(f"{category}{figure}{question}", reply, {**place, "answer": answer}, **more)


def test_hallusionbench():
    """Two figures, two questions; one answer wrong: 3/4 of the answers, 1/2 of the figures, 1/2 of the questions."""
    lines = [
        hallusion("0", "0", answer="1"),
        hallusion("0", "1", answer=" Yes"),
        hallusion("1", "0", reply="No.", answer="0"),
        hallusion("1", "1", "no"),
    ]
    found = {metric.name: metric.value for metric in score("hallusionbench", lines, "vlmevalkit").metrics}
    assert found == {"aAcc": 75, "fAcc": 50, "qAcc": 50}


def test_hallusionbench_by_a_judge():
    """Unclear (2) is right only for a VS question without its figure, which is no figure for fAcc."""
    lines = [
        hallusion("0", "0", category="VS", grade="2"),
        hallusion("1", "0", category="VS", grade="1"),
        hallusion("0", "0", category="VD", grade="2"),
    ]
    found = {metric.name: metric.value for metric in score("hallusionbench", lines, "official").metrics}
    assert found == pytest.approx({"aAcc": 200 / 3, "fAcc": 50, "qAcc": 50})
    assert score("hallusionbench", [hallusion("0", "0")], "official").status == "needs judge"
    with pytest.raises(ValueError, match="the grade is '7'"):
        hallusionbench.graded(hallusion("0", "0", grade=7))
