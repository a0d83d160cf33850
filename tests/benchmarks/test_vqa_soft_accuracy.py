"""The rule worked out by hand; the m4c cleaning and accuracy are also checked on real outputs in test_fixture_scores."""

import pytest
import score_command

from minigemini.benchmarks.rules import vqa_soft_accuracy as vqa


def line(reply, answers):
    return score_command.line(1, reply, {"answers": answers})


@pytest.mark.parametrize(("matches", "accuracy"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)])
def test_each_annotator_is_left_out_in_turn(matches, accuracy):
    """With 2 matches: two annotators leave one match (1/3), eight leave two (2/3): (2/3 + 16/3) / 10 = 0.6; not 2/3."""
    answers = ["cat"] * matches + [f"other {i}" for i in range(10 - matches)]
    assert vqa.soft_accuracy("cat", answers) == pytest.approx(accuracy)
    assert vqa.m4c_accuracy(line("Cat.", answers)).points == pytest.approx(accuracy)


@pytest.mark.parametrize(
    ("raw", "m4c", "official", "corrected"),
    [
        ("The two dogs", "2 dogs", "2 dogs", "2 dogs"),
        ("None", "0", "0", "0"),
        ("dont", "don't", "don't", "don't"),
        ("couldnt've", "couldn't've", "couldn't've", "couldn't've"),
        ("somebody'd", "somebodyd", "somebodyd", "somebodyd"),
        ("wendy's", "wendy 's", "wendy's", "wendy's"),  # m4c alone sets the 's apart
        ("3.", "3", "3", "3."),  # the mistyped look-behind
        ("$3.50.", "$3.50", "$3.50", "$3.50."),
        ("red, white", "red white", "red white", "red white"),
        ("1,000", "1000", "1000", "1000"),
        ("left/right", "left right", "left right", "left right"),  # touches no space: a space
        ("left / right", "left right", "left right", "left right"),
        ("a - b-c", "bc", "bc", "bc"),  # one "-" touches a space, so all of them go; "a" is an article
        ("(top)", "top", "top", "top"),
        ("line\nbreak\t", "line break", "line break", "line break"),
    ],
)
def test_cleaning(raw, m4c, official, corrected):
    without = vqa.plain_words(vqa.without_punctuation(vqa.one_line(raw), vqa.PERIOD_CORRECTED))
    assert (vqa.m4c(raw), vqa.official(raw), without) == (m4c, official, corrected)


def test_only_the_first_32_periods_go():
    """re.UNICODE, which is 32, is passed as the count."""
    assert vqa.without_punctuation("a." * 40) == "a" * 32 + "a." * 8


def test_official_does_not_clean_where_all_answers_are_equal():
    assert vqa.official_accuracy(line("Yes", ["yes"] * 10)).points == 0
    assert vqa.official_accuracy(line("yes", ["yes"] * 10)).points == 1
    assert vqa.official_accuracy(line("Yes", ["yes"] * 9 + ["no"])).points == 1
    assert vqa.uploaded_accuracy(line("Yes", ["yes"] * 10)).points == 1  # an upload was cleaned before


def test_lmms_eval_cleans_equal_answers_of_vqav2_too():
    assert vqa.lmms_vqav2_accuracy(line("Yes.", ["yes"] * 10)).points == 1
    assert vqa.lmms_vqav2_accuracy(line("the dog's", ["dog's"] * 10)).points == 1
    assert vqa.lmms_vqav2_accuracy(line("yes", ["no"] * 10)).points == 0


def test_ten_answers_are_needed():
    with pytest.raises(ValueError, match="row '1': 9 human answers"):
        vqa.m4c_accuracy(line("cat", ["cat"] * 9))
    with pytest.raises(ValueError, match="'answers'; give the gold answers with --gold"):
        vqa.m4c_accuracy(score_command.line(1, "", {}))
