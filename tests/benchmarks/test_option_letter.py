"""How each tool reads the letter of an option, and what is made of letters: worked out by hand."""

import pytest
from score_command import line

from minigemini.benchmarks.rules import lmms_letter, mathvista, mmmu, option_letter
from minigemini.benchmarks.score import score

FRUIT = ("apple", "banana", "cherry", "date")
READERS = {
    "exact": option_letter.exact,
    "scienceqa": option_letter.llava_scienceqa,
    "mmstar": option_letter.mmstar,
    "blink": option_letter.blink,
    "vlmevalkit": option_letter.vlmevalkit,
    "mmmu": mmmu.official_letter,
    "mmmu pro": mmmu.pro_letter,
    "lmms scienceqa": lmms_letter.scienceqa,
    "lmms seed": lmms_letter.seed_bench,
    "lmms ai2d": lmms_letter.ai2d,
    "lmms surest": lmms_letter.surest,
    "lmms blink": lmms_letter.blink,
    "lmms mmmu": mmmu.lmms_letter,
}
NOBODY = "".ljust(len(READERS), "-")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [  # what each of them reads, in their order
        ("B", "BBBBBBBBBBBBB"),
        ("B.", "--B-BBBBBBBBB"),
        ("b", "--B----BBB-B-"),
        ("B\n", "--B-B--BBBBBB"),
        ("B. banana", "-BB-B-BBBBBBB"),
        ("(C)", "--CCCCC--CCCC"),
        ("The answer is C.", "-CC-CCC-T-CCC"),
        ("Answer: C", "--A-CCC-A-CCC"),
        ("The correct answer is (C).", "--T-CCC-T-CCC"),
        ("banana", "--B-B---B--B-"),  # by its first letter, by the text
        ("It must be the cherry, I would say", "--I-CCC-I---C"),
        ("Not A but (D) or (B)", "--N--BB-N-BBB"),
        ("A or B? Answer: D", "--A--DD-A-ADD"),
        ("First (A) is red.\n\nSo (C) it is", "--FC-CC-F-CCC"),
        ("", NOBODY),
    ],
)
def test_reading(reply, expected):
    found = "".join(read(reply, FRUIT).answer or "-" for read in READERS.values())
    assert found == expected


def test_what_only_some_of_them_do():
    assert option_letter.llava_scienceqa("The answer is A. The answer is B.", FRUIT).answer is None
    assert mmmu.lmms_letter("BANANA or so", FRUIT).answer == "A"  # "A " inside a word
    assert mmmu.official_letter("BANANA or so", FRUIT).answer is None
    assert mmmu.pro_letter("A. Answer: B", FRUIT).answer == "B"
    assert mmmu.lmms_letter("A. Answer: B", FRUIT).answer == "B"
    assert mmmu.official_letter("A. Answer: B", FRUIT).answer == "B"


def test_vlmevalkit_in_detail():
    read = option_letter.vlmevalkit
    assert read("B is what I take", FRUIT).answer is None  # the fifth word from the end
    assert read("B is my choice", FRUIT).answer == "B"
    assert read("I would rather take the B here today", FRUIT).answer == "B"
    assert read("The correct answer is **c** because of this and that and more", FRUIT).path == "the answer is"
    for refusal in option_letter.REFUSALS:
        assert read(f"{refusal} A", FRUIT) == ("Z", "refusal")
    assert option_letter.REFUSALS[0] == "Sorry, I can't help with images of people yet."
    assert option_letter.REFUSALS[1:3] == ("I can't process this file.", "I'm sorry, but without the image provided")
    assert option_letter.REFUSALS[3:] == ("Cannot determine the answer",)
    assert read("banana " + "x" * 60, FRUIT).answer is None  # longer than twice all options
    assert read("a banana and a cherry", FRUIT).answer is None  # two options named
    assert read("Failed to obtain answer via API. A", FRUIT).answer is None


def row(id, reply, gold="A", kind="", choices=FRUIT, **reference):
    return line(id, reply, {"answer": gold, "choices": list(choices), **reference}, kind)


def test_mmbench_circular():
    """Question 1: both rotations right; 2: one of two; 3: its only row wrong. 1/3 circular, 3/5 vanilla, 2/3 first pass."""
    lines = [
        row(1, "A", kind="ocr"),
        row(1_000_001, "B", "B", kind="ocr"),
        row(2, "banana", "B", kind="ocr"),
        row(1_000_002, "C", "D", kind="ocr"),
        row(3, "who knows", kind="counting"),
    ]
    scored = score("mmbench", lines)
    found = {metric.name: metric.value for metric in scored.metrics}
    assert found == pytest.approx(
        {"circular accuracy": 100 / 3, "vanilla accuracy": 60, "first pass accuracy": 200 / 3, "ocr": 50, "counting": 0}
    )
    assert [metric.name for metric in scored.metrics][3:] == ["counting", "ocr"]  # in this order, whatever comes first
    assert [metric.n for metric in scored.metrics[:2]] == [3, 5]
    rotated = [metric.name for metric in score("mmbench", lines[1:2]).metrics]
    assert rotated == ["circular accuracy", "vanilla accuracy"]  # neither an unrotated row nor a second kind
    assert len(scored.metrics[0].images) == 3  # the rotations share their image
    with pytest.raises(ValueError, match="index is a whole number"):
        score("mmbench", [row("x", "A")])


def test_a_letter_beyond_the_options_is_wrong():
    assert score("scienceqa", [row(1, "E", is_multimodal=True)]).verdicts[0].points == 0


def test_mmstar_takes_the_mean_of_the_categories():
    lines = [row(1, "A", kind="math"), row(2, "A", kind="logic"), row(3, "B", kind="logic"), row(4, "B", kind="logic")]
    found = {metric.name: metric.value for metric in score("mmstar", lines).metrics}
    assert found == pytest.approx({"mean of categories": 200 / 3, "accuracy": 50, "math": 100, "logic": 100 / 3})


def test_blink_takes_the_mean_of_the_tasks():
    """As its authors print it; what their judge would read is unparsable."""
    lines = [
        row(1, "(A)", kind="Jigsaw"),
        row(2, "so (A) I think", kind="IQ_Test"),
        row(3, "the apple", kind="IQ_Test"),
    ]
    for protocol in ("official", "lmms", "vlmevalkit"):
        assert score("blink", lines, protocol).metrics[0].name == "mean of tasks"
    scored = score("blink", lines)
    assert scored.metrics[0].value == pytest.approx(75)
    assert scored.unparsable == 1


def test_mmstar_of_lmms_eval_takes_the_mean_of_the_finer_categories():
    lines = [row(i, "Answer: A", "AB"[i > 0], "math", l2_category="geometry" if i < 3 else "numbers") for i in range(4)]
    scored = score("mmstar", lines, "lmms")
    assert scored.metrics[0].name == "mean of finer categories"
    assert scored.metrics[0].value == pytest.approx(100 / 6)
    with pytest.raises(ValueError, match="nothing says its 'l2_category'"):
        score("mmstar", [row(1, "A")], "lmms")


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("The answer is 1,234", "1234", True),
        ("x = 2.499", "2.5", True),  # rounded to two places
        ("x = 2.49", "2.5", False),
        ("It is a hormone", "hormone", True),
        ("therefore the result is blue\nno more", "blue", True),
        ("about 1e3", "1000", True),
        ("c", "C", True),
        ("nice", "C", False),  # a single letter needs a space beside it
        ("either one", ["two", "one"], True),
        ("", "x", False),
    ],
)
def test_mmmu_open_answers(reply, gold, right):
    assert mmmu.open_is_right(mmmu.open_candidates(reply), gold) is right


def problem_of(kind):
    types = ("multi_choice", "text") if kind == "choice" else ("free_form", kind)
    problem = dict(zip(("question_type", "answer_type"), types, strict=True))
    return problem | {"choices": list(FRUIT), "precision": 2.0 if kind == "float" else None}


@pytest.mark.parametrize(
    ("extraction", "kind", "expected"),
    [
        ("(B) 8/11", "choice", "banana"),
        ("b", "choice", "date"),  # no letter in lower case; distances: apple 5, banana 5, cherry 6, date 4
        ("bananas", "choice", "banana"),
        ("2.0", "integer", "2"),
        ("2.9", "integer", "2"),
        ("two", "integer", None),
        ("inf", "integer", None),
        ("2.347", "float", "2.35"),
        ("[1, 2]", "list", "[1, 2]"),
    ],
)
def test_mathvista_normalisation(extraction, kind, expected):
    assert mathvista.normalise(extraction, problem_of(kind)).answer == expected


@pytest.mark.parametrize(
    ("reply", "kind", "expected"),
    [
        ("cherry", "choice", ("cherry", "exact")),
        ('It is ripe. The answer is "(B) banana".', "choice", ("banana", "letter")),
        ('Not (A). The answer is "cherry".', "choice", ("cherry", "text of the option")),
        ("(a) is too red, so (d).", "choice", ("date", "letter")),
        ("C.", "choice", ("cherry", "letter")),
        ("c", "choice", (None, "unparsable")),
        ("I take the date", "choice", ("date", "text of the option")),
        ("I take the dates", "choice", (None, "unparsable")),  # a word, not a part of one
        ("apple or banana", "choice", (None, "unparsable")),
        ("(X)", "choice", (None, "unparsable")),
        ("2", "integer", ("2", "number")),
        ("3 and 4 make 7.", "integer", ("7", "number")),
        ("about 1,234.7 of them", "integer", ("1234", "number")),
        ('3 of 4. The answer is "-5".', "integer", ("-5", "number")),
        ("seven", "integer", (None, "unparsable")),
        ("x = 0.126", "float", ("0.13", "number")),
        ("first [1], then [1, 2]", "list", ("[1, 2]", "list")),
        ("1, 2", "list", (None, "unparsable")),
    ],
)
def test_mathvista_read_off(reply, kind, expected):
    """Our own rules, which guess nothing."""
    assert mathvista.read_off(reply, problem_of(kind)) == expected


def test_scienceqa_tells_questions_with_an_image_from_those_without():
    lines = [row(i, "AB"[i > 1], is_multimodal=i > 0) for i in range(4)]
    found = {metric.name: metric.value for metric in score("scienceqa", lines).metrics}
    assert found == pytest.approx({"IMG accuracy": 100 / 3, "accuracy": 50, "text accuracy": 100})
    assert [metric.name for metric in score("scienceqa", lines[1:]).metrics] == ["IMG accuracy", "accuracy"]
    assert [metric.name for metric in score("scienceqa", lines[:1]).metrics] == ["accuracy", "text accuracy"]
