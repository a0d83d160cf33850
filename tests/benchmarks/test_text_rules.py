"""ANLS, relaxed accuracy, containment and whole replies: no scored samples are public, so each is worked out by hand."""

import pytest
import score_command

from minigemini.benchmarks.rules import anls, containment, exact_match, relaxed_accuracy
from minigemini.benchmarks.score import score


def line(reply, answers=None, kind="", id="1", **reference):
    return score_command.line(id, reply, reference if answers is None else {"answers": answers}, kind)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("ab", "ab", 0)],
)
def test_edit_distance(a, b, distance):
    assert anls.edit_distance(a, b) == anls.edit_distance(b, a) == distance


@pytest.mark.parametrize(
    ("reply", "answer", "rrc", "paper"),
    [
        ("Paris", "paris", 1, 1),
        ("pariz", "paris", 0.8, 0.8),
        ("ab", "ac", 0.5, 0),  # exactly one half: kept by the script, 0 in the paper
        ("xyz", "paris", 0, 0),
        ("", "", 1, 1),
        ("", "paris", 0, 0),
        ("großer", "groser", 1 - 1 / 7, 1 - 1 / 6),  # the script's length is that in capitals, where "ß" is two letters
        ("groser", "großer", 1 - 1 / 7, 1 - 1 / 6),
        ("pariz    ", "paris", 1 - 1 / 9, 0.8),  # the script's length counts the white space that it folds away
    ],
)
def test_anls(reply, answer, rrc, paper):
    assert anls.rrc_similarity(reply, answer) == pytest.approx(rrc)
    assert anls.paper_similarity(reply, answer) == pytest.approx(paper)


def test_anls_takes_the_best_answer_and_the_mean_over_rows():
    lines = [line("PARIZ ", ["london", "paris?"]), line("rome", ["paris"], id="2")]
    scored = score("docvqa", lines)
    assert [verdict.points for verdict in scored.verdicts] == pytest.approx([1 - 2 / 6, 0])
    assert [(verdict.reading, verdict.path) for verdict in scored.verdicts][0] == ("pariz", "whole reply")
    assert scored.metrics[0].value == pytest.approx(100 / 3)


@pytest.mark.parametrize(
    ("reply", "answer", "right"),
    [
        ("105", "100", True),
        ("106", "100", False),
        ("95", "100", True),
        ("-105", "-100", True),
        ("5%", "0.05", True),
        ("5", "5%", False),  # 5 against 0.05
        ("0.01", "0", False),  # a gold answer of 0 is compared as text
        ("0", "0", True),
        ("0.0", "0", False),
        ("1,000", "1000", False),  # no number
        ("$5", "5", False),
        ("Yes", "yes", True),
        (" yes\n", "yes", True),
        ("2019", "2000", True),  # a year is a number too
    ],
)
def test_relaxed_accuracy(reply, answer, right):
    assert relaxed_accuracy.rule(line(reply, [answer])).points == right


def test_chartqa_gives_all_rows_and_the_mean_of_the_splits():
    lines = [line("1", ["1"], "human", "1"), line("2", ["1"], "augmented", "2"), line("9", ["1"], "augmented", "3")]
    found = {metric.name: metric.value for metric in score("chartqa", lines).metrics}
    assert found == pytest.approx({"accuracy": 100 / 3, "human": 100, "augmented": 0, "mean of splits": 50})
    assert "mean of splits" not in {metric.name for metric in score("chartqa", lines[:1]).metrics}
    assert [relaxed_accuracy.rule(line(reply, ["1"])).path for reply in ("1", "one")] == ["number", "text"]


@pytest.mark.parametrize(
    ("reply", "answer", "kind", "official", "lmms"),
    [
        ("It says STOP.", "Stop", "Regular Text Recognition", 1, 1),
        ("st\nop sign", "st op", "Scene Text-centric VQA", 1, 1),
        ("stop", "st op", "Scene Text-centric VQA", 0, 0),
        ("x ^ { 2 }", "x^{2}", containment.FORMULAS, 1, 1),
        ("X ^ { 2 }", "x^{2}", containment.FORMULAS, 0, 0),  # case counts
        ("X ^ { 2 }", "X^{2}", containment.FORMULAS, 1, 1),
        ("ＳＴＯＰ\u3000now", "stop now", "Regular Text Recognition", 0, 1),  # full width is plain in lmms-eval
        ("ｘ", "x", containment.FORMULAS, 0, 0),
    ],
)
def test_ocrbench(reply, answer, kind, official, lmms):
    assert containment.rule(line(reply, ["nothing", answer], kind)).points == official
    assert containment.lmms_rule(line(reply, ["nothing", answer], kind)).points == lmms


def test_ocrbench_counts_points():
    kinds = ["Regular Text Recognition", "Handwriting Recognition", containment.FORMULAS, "Doc-oriented VQA"]
    lines = [line("yes", ["yes"], kind, str(i)) for i, kind in enumerate(kinds)]
    lines.append(line("no", ["yes"], "Doc-oriented VQA", "4"))
    found = {metric.name: metric.value for metric in score("ocrbench", lines).metrics}
    assert found["points"] == 4
    assert [verdict.path for verdict in score("ocrbench", lines).verdicts] == ["contained"] * 5
    assert found["Text Recognition"] == 2
    assert found["Doc-oriented VQA"] == 1


@pytest.mark.parametrize(
    ("reply", "answer", "rights"),
    [
        ("Yes.", "yes", (1, 1, 1, 1)),
        (" yes", "yes", (0, 1, 1, 1)),
        ("t-shirt", "t-shirt", (1, 1, 1, 1)),
        ("t shirt", "t-shirt", (0, 0, 0, 0)),
        ("tshirt", "t-shirt", (0, 1, 0, 0)),  # all punctuation is ignored
        ("Yes...", "yes", (1, 1, 1, 1)),
        (".yes", "yes", (0, 1, 0, 0)),
        ("c", "C", (0, 1, 1, 0)),  # a letter is a capital in lmms-eval
        ("The answer is C.", "C", (0, 0, 0, 1)),
    ],
)
def test_whole_replies(reply, answer, rights):
    rules = (exact_match.gqa, exact_match.lmms_gqa, exact_match.realworldqa, exact_match.lmms_realworldqa)
    found = tuple(exact_match.rule(rule)(line(reply, answer=answer)).points for rule in rules)
    assert found == rights
