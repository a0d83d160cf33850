"""Gold answers that no reply can equal are refused before the first answer; what a table leaves out is counted."""

import json

import pytest
from question_files import png_base64, tsv_rows, write_image, write_tsv
from score_command import refusal, scored, write_jsonl

from minigemini.benchmarks.formats.read import read_examples
from minigemini.benchmarks.gold_check import unreachable
from minigemini.benchmarks.names import BENCHMARKS
from minigemini.benchmarks.score import score


def table(path, benchmark, *changes):
    row = tsv_rows(benchmark)[0] | {"image": png_base64(1)}
    return write_tsv(path, [row | {"index": str(number)} | change for number, change in enumerate(changes, start=1)])


@pytest.mark.parametrize("gold", ["a", "(A)", "A.", "A ", "circle", "0", "AB", "Ａ", "E"])
@pytest.mark.parametrize("benchmark", ["mmbench", "seed_bench", "scienceqa", "ai2d", "mmstar"])
def test_a_letter_that_is_misspelt(benchmark, gold, tmp_path):
    path = table(tmp_path / "t.tsv", benchmark, {}, {"answer": gold})
    with pytest.raises(ValueError, match=r"t.tsv, index 2: .*('answer' is .*no reply is right|options)"):
        read_examples(benchmark, None, path)


@pytest.mark.parametrize(
    ("benchmark", "gold", "error"),
    [
        ("gqa", {"answer": "Circle"}, "'answer' is 'Circle': no reply is right, not even this one"),
        ("gqa", {"answer": "circle "}, None),  # a reply can end with a space
        ("gqa", {"answer": "circle."}, "'answer' is 'circle.': no reply"),
        ("gqa", {"answer": 5}, "'answer' is 5, not a text"),
        ("gqa", {"answer": None}, "'answer' is None, not a text"),
        ("docvqa@lmms", {"answers": "circle"}, "'answers' is 'circle', not a list of texts"),
        ("docvqa@lmms", {"answers": [5]}, r"'answers' is \[5\], not a list of texts"),
        ("docvqa@lmms", {"answers": []}, r"'answers' is \[\], not a list of texts"),
        ("docvqa@lmms", {"answers": None}, "'answers' is None, not a list of texts"),
        ("chartqa", {"answers": [5]}, r"'answers' is \[5\], not a list of texts"),
        ("pope", {"answer": "maybe"}, "'answer' is 'maybe': no reply"),
        ("ai2d", {"answer": "C", "choices": ["x", "y"]}, "the right answer is 'C', and there are 2 options"),
        ("mmbench", {"answer": "C", "choices": ["x", "y"]}, "the right answer is 'C', and there are 2 options"),
        ("mmbench", {"answer": "A", "choices": []}, "the right answer is 'A', and there are no options"),
    ],
)
def test_gold_answers_of_any_benchmark(benchmark, gold, error, tmp_path, capsys):
    """Read as questions, and scored as stored predictions."""
    name, _, protocol = benchmark.partition("@")
    write_image(tmp_path / "a.png")
    row = {"id": "7", "prompt": "?", "images": ["a.png"], "reference": gold}
    questions = write_jsonl(tmp_path / "q.jsonl", [row])
    predictions = write_jsonl(tmp_path / "p.jsonl", [{"id": "7", "prediction": "x", "reference": gold}])
    arguments = (name, predictions, *(("--protocol", protocol) if protocol else ()))
    if error is None:
        assert read_examples(name, protocol or None, questions)
        assert scored(tmp_path, *arguments)["n"] == 1
        return
    with pytest.raises(ValueError, match=rf"q.jsonl, row 1: {error}"):
        read_examples(name, protocol or None, questions)
    assert "row '7': " + error.replace("\\", "") in refusal(capsys, *arguments)


def test_what_a_published_rule_itself_calls_wrong_is_counted(tmp_path):
    """Ten times "t-shirt" is compared as it is, and the uploaded reply has lost its hyphen."""
    rows = [
        {"id": id, "prediction": "x", "reference": {"answers": [answer] * 10}}
        for id, answer in (("1", "t-shirt"), ("2", "red"))
    ]
    found = scored(tmp_path, "vqav2", write_jsonl(tmp_path / "p.jsonl", rows))
    assert "1 of 2 rows: the published rule calls the gold answer itself wrong" in found["notes"]


def test_every_rule_takes_the_usual_gold_answer():
    """None of the protocols is refused on good data: letters, words, lists of words, yes and no."""
    place = {"category": "VS", "subcategory": "m", "set_id": "0", "figure_id": "1", "question_id": "0"}
    extra = {"choices": ["x", "y"], "is_multimodal": True, "image": "i", "question_type": "multiple-choice", **place}
    for name, benchmark in BENCHMARKS.items():
        for protocol in benchmark.protocols.values():
            answer = "B" if benchmark.options else {"hallusionbench": "1", "mathvista": "[1, 2]"}.get(name, "yes")
            gold = {"answers": ["red"] * 10} if benchmark.several_answers else {"answer": answer}
            problem = (
                {"question_type": "free_form", "answer_type": "list", "precision": None} if name == "mathvista" else {}
            )
            reference = extra | {"l2_category": "fine"} | gold | problem
            line = {"id": "1", "kind": "k", "prediction": "", "reference": reference}
            assert unreachable(protocol, line, protocol.rule(line)) is None, (name, protocol.says)


def test_a_table_without_options(tmp_path, capsys):
    rows = [{"index": "1", "question": "q", "answer": "A", "image": png_base64(1)}]
    for benchmark in ("mmbench", "mmmu", "mmstar", "realworldqa"):
        with pytest.raises(ValueError, match=r"t.tsv: no column 'A'; there are index, question, answer, image"):
            read_examples(benchmark, None, write_tsv(tmp_path / "t.tsv", rows))
    file = write_tsv(tmp_path / "r.tsv", [rows[0] | {"prediction": "A"}])
    assert "no column 'A'" in refusal(capsys, "mmstar", file, "--format", "vlmevalkit", "--protocol", "vlmevalkit")


GAPS = [
    {"A": "Two", "B": "One", "C": "", "D": "Three", "answer": "D"},
    {"A": "", "B": "Two", "C": "One", "D": "Neither", "answer": "C"},
    {"A": "None", "B": "Two", "C": "One", "D": "Three", "answer": "A"},  # pandas takes it for empty
    {"A": "x", "B": "y", "C": "z", "D": "w", "answer": "D"},
]


def test_letters_behind_a_gap_keep_their_text(tmp_path):
    """As in VLMEvalKit: a gap is no option, by letter or by text; a row whose right option it is counts as wrong, and is counted."""
    replies = ["D", "one", "A", "D"]
    path = tmp_path / "r.tsv"
    row = {"question": "?", "category": "count", "l2_category": "x"}
    write_tsv(path, [{"index": str(i)} | row | gap | {"prediction": replies[i]} for i, gap in enumerate(GAPS)])
    found = scored(tmp_path, "mmstar", path, "--format", "vlmevalkit", "--protocol", "vlmevalkit")
    assert [verdict["points"] for verdict in found["verdicts"]] == [1, 1, 0, 1]
    assert "1 of 4 rows: the right option is not among those that are shown" in found["notes"]


def test_options_that_llavas_prompt_leaves_out_are_counted(tmp_path):
    """Its list ends at the first gap."""
    path = table(tmp_path / "t.tsv", "mmbench", *GAPS)
    examples = read_examples("mmbench", None, path)
    prompts = [example.messages[0].text for example in examples]
    assert prompts[0].startswith("Which?\nA. Two\nB. One\nAnswer")
    assert examples[0].reference["choices"] == ["Two", "One", "", "Three"]
    lines = [
        {"id": e.id, "kind": e.kind, "prediction": "A", "prompt": prompt, "reference": e.reference}
        for e, prompt in zip(examples, prompts, strict=True)
    ]
    assert "2 of 4 rows: the right option is not among those that are shown" in score("mmbench", lines).notes


def test_some_rows_without_gold_answers(tmp_path):
    path = write_jsonl(tmp_path / "p.jsonl", [])
    path.write_text(
        "".join(
            json.dumps({"id": i, "prompt": "?", "reference": r}) + "\n" for i, r in enumerate([{"answer": "red"}, {}])
        )
    )
    with pytest.raises(ValueError, match=r"p.jsonl, row 2: no gold answer, and other rows have one"):
        read_examples("gqa", None, path)
