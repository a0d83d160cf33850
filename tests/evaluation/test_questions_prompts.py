"""The prompts of each protocol: LLaVA's and MathVista's to the letter of their files, the others' as their sources say."""

import re

import pytest
import shared

from minigemini.benchmarks.benchmark import Sampling
from minigemini.benchmarks.prompts.harness import LMMS_EVAL_TASKS, VLMEVALKIT_DATA
from minigemini.benchmarks.prompts.table import FORMS, form_of, text_of
from minigemini.benchmarks.protocols import BENCHMARKS
from minigemini.benchmarks.question import Question

SHORT = "\nAnswer the question using a single word or phrase."
LETTER = "\nAnswer with the option's letter from the given choices directly."
OPTION = re.compile(r"([A-E])\. (.*)")


def question(text, **more):
    return Question(
        **{"id": "1", "kind": "", "images": (), "reference": {}, "place": "file, row 1"} | {"text": text} | more
    )


def prompt(benchmark, protocol, *arguments, **more):
    asked = question(*arguments, **more)
    return text_of(asked, form_of(benchmark, protocol), protocol)


def parted(text):
    """Question and options of a prompt that lists them."""
    lines = text.split("\n")
    options = [match[2] for line in lines if (match := OPTION.fullmatch(line))]
    return "\n".join(lines[: len(lines) - len(options)]), tuple(options)


@shared.needs_fixtures
@pytest.mark.parametrize("benchmark", ["mme", "gqa", "pope", "textvqa", "vizwiz", "mmvet", "scienceqa", "mmbench"])
def test_llavas_own_files(benchmark):
    """Taken apart into what the data has and put together again, every prompt of LLaVA's question files is as it was."""
    rows = [row for row in shared.read_rows("llava_eval_prompts/prompts.jsonl") if row["benchmark"] == benchmark]
    assert len(rows) == 8
    for row in rows:
        wanted = row["text"]
        parts = {}
        text = wanted.split("\n")[0]
        if benchmark == "textvqa":
            parts["ocr"] = tuple(wanted.split("\n")[1].removeprefix("Reference OCR token: ").split(", "))
        elif benchmark == "mme":
            text += "  Please answer yes or no."  # one or two spaces: the data has both
        elif benchmark in ("mmbench", "scienceqa"):
            wanted = (
                wanted.removeprefix("<image>\n") + LETTER
            )  # the runner adds the request, and the template the image
            text, parts["choices"] = parted(wanted.removesuffix(LETTER))
            if benchmark == "scienceqa" and text.startswith("Context: "):
                parts["hint"], _, text = text.removeprefix("Context: ").rpartition("\n")
            elif benchmark == "mmbench":
                parts["hint"], _, text = text.rpartition("\n")
        assert prompt(benchmark, "llava", text, **parts) == wanted


@shared.needs_fixtures
def test_mathvistas_own_queries():
    queries = shared.read_json("mathvista_testmini/queries_first20.json")
    problems = {row["pid"]: row for row in shared.read_rows("mathvista_testmini/problems.jsonl.gz")}
    assert len(queries) == 20
    for pid, query in queries.items():
        problem = problems[pid]
        text = re.search(r"\nQuestion: (.*?)(?: \(Unit: [^)]*\))?(?:\nChoices:.*)?$", query, re.DOTALL)[1]
        for protocol in ("llava", "rules"):
            built = prompt("mathvista", protocol, text, reference=problem, choices=tuple(problem["choices"] or ()))
            assert built == query


def test_a_decimal_place_that_mathvista_does_not_know():
    problem = {"answer_type": "float", "precision": 3.0}
    with pytest.raises(ValueError, match=r"file, row 1: MathVista has no prompt for 'float' with 3.0"):
        prompt("mathvista", "llava", "q", reference=problem)
    assert "two decimal places" in prompt("mathvista", "llava", "q", reference=problem | {"precision": 2.0})


def test_mmmu_has_one_empty_line_and_one_image():
    asked = prompt("mmmu", "llava", "What is in <image 1>?", choices=("x", "y"))
    assert (
        asked
        == "What is in <image 1>?\n(A) x\n(B) y\n\nAnswer with the option's letter from the given choices directly."
    )
    assert prompt("mmmu", "llava", "How many?") == f"How many?{SHORT}"
    two = question("<image 2>", images=("first", "second"))
    assert form_of("mmmu", "llava").images(two) == ("first",)
    assert form_of("mmmu", "llava").sampling is None


def test_mgm_is_the_same_prompt_sampled():
    assert prompt("mmmu", "mgm", "q", choices=("x",)) == prompt("mmmu", "llava", "q", choices=("x",))
    assert form_of("mmmu", "mgm").sampling == Sampling(temperature=1.0, num_beams=5)
    assert form_of("mmmu", "mgm").max_new_tokens == 128
    assert "sampled at temperature 1 with 5 beams" in BENCHMARKS["mmmu"].protocols["mgm"].says
    assert BENCHMARKS["mmmu"].protocols["mgm"].rule is not None


def test_textvqa_keeps_the_line_of_no_tokens_and_refuses_to_go_without():
    assert prompt("textvqa", "llava", "q?", ocr=()) == f"q?\nReference OCR token: {SHORT}"
    with pytest.raises(ValueError, match="file, row 1: no OCR tokens"):
        prompt("textvqa", "llava", "q?")


def test_mmbench_stops_at_the_first_missing_cell():
    """A real option "None" is lost, and what follows it."""
    assert prompt("mmbench", "llava", "q", choices=("a", "None", "c"), hint="nan") == f"q\nA. a{LETTER}"
    assert prompt("mmbench_cn", "llava", "q", choices=("a",), hint="h") == "h\nq\nA. a\n请直接回答选项字母。"


def test_seed_bench_and_vqav2():
    assert prompt("seed_bench", "llava", "q", choices=("a", "b")) == f"q\nA. a\nB. b{LETTER}"
    assert prompt("vqav2", "llava", "q?") == f"q?{SHORT}"
    assert prompt("llava_bench", "llava", "Describe.") == "Describe."


@pytest.mark.parametrize(
    ("benchmark", "protocol", "parts", "wanted"),
    [
        ("ai2d", "lmms", {"text": "q", "choices": ("a", "b")}, f"q\nA. a\nB. b{LETTER}"),
        ("chartqa", "lmms", {"text": "q?"}, "q?\nAnswer the question with a single word."),
        ("docvqa", "lmms", {"text": "q?"}, f"q?{SHORT}"),
        ("mmstar", "official", {"text": "q\nOptions: A: a, B: b"}, f"q\nOptions: A: a, B: b{LETTER}"),
        ("mmstar", "official", {"text": "q", "choices": ("a", "b")}, f"q\nA. a\nB. b{LETTER}"),
        ("blink", "official", {"text": "?", "asked": "Which?\n(A) a\n(B) b", "choices": ("a", "b")}, "Which?\n(A) a\n(B) b"),
        ("realworldqa", "official", {"text": "q\nPlease answer directly."}, "q\nPlease answer directly."),
        ("ocrbench", "official", {"text": "q?"}, "q?"),
    ],
)  # fmt: skip
def test_where_authors_or_everybody_else_has_a_prompt(benchmark, protocol, parts, wanted):
    assert prompt(benchmark, protocol, **parts) == wanted


def test_blink_needs_its_own_words():
    with pytest.raises(ValueError, match="file, row 1: BLINK is asked by its own 'prompt' column"):
        prompt("blink", "official", "q", choices=("a",))


def test_mmmu_pro():
    asked = question("Is it <image 2>?", choices=("x", "<image 1>"), images=("one", "two"))
    form = form_of("mmmu_pro", "official")
    assert form.text(asked) == (
        "Is it [image]?\nA. x\nB. [image]\nAnswer with the option letter from the given choices directly."
    )
    assert form.images(asked) == ("two", "one")
    vision = question("", choices=("x", "y"), images=("page",))
    assert "The last line of your response" in form.text(vision)
    assert form.images(vision) == ("page",)


UNKNOWN = {
    ("vqav2", "official"),
    ("docvqa", "official"),
    ("docvqa", "paper"),
    ("infovqa", "official"),
    ("infovqa", "paper"),
    ("mmmu", "eval-only"),
}
ASKED_BY_TOOLS = {("lmms", name) for name in LMMS_EVAL_TASKS} | {("vlmevalkit", name) for name in VLMEVALKIT_DATA}


def test_every_protocol_has_prompts_or_says_what_to_run_instead():
    pairs = {(name, protocol) for name, benchmark in BENCHMARKS.items() for protocol in benchmark.protocols}
    known = {(name, protocol) for protocol, forms in FORMS.items() for name in forms}
    by_tools = {(name, protocol) for protocol, name in ASKED_BY_TOOLS}
    assert known | by_tools | UNKNOWN == pairs
    assert not known & by_tools
    for name, protocol in by_tools | UNKNOWN:
        with pytest.raises(ValueError, match=f"eval score {name} .*--protocol {protocol}"):
            form_of(name, protocol)


def test_the_command_that_answers_under_a_tools_protocol():
    with pytest.raises(
        ValueError, match=r"lmms-eval --model minigemini .*--tasks mme; minigemini eval score mme \S+_samples_mme.jsonl"
    ):
        form_of("mme", "lmms")
    with pytest.raises(
        ValueError, match=r"minigemini eval vlmevalkit .*--data AI2D_TEST; minigemini eval score ai2d \S+_AI2D_TEST.tsv"
    ):
        form_of("ai2d", "vlmevalkit")
    with pytest.raises(
        ValueError, match=r"cat \S+_samples_blink_\*.jsonl > blink.jsonl; minigemini eval score blink blink.jsonl"
    ):
        form_of("blink", "lmms")


@pytest.mark.parametrize(
    ("benchmark", "protocol", "tokens"),
    [
        ("textvqa", "llava", 128), ("pope", "llava", 128), ("scienceqa", "llava", 1024), ("mmbench", "llava", 1024),
        ("mmvet", "llava", 1024), ("mathvista", "llava", 1024), ("mmmu", "llava", 128), ("docvqa", "lmms", 32),
        ("chartqa", "lmms", 16), ("ocrbench", "official", 128), ("realworldqa", "official", 16), ("blink", "official", 1024),
    ],
)  # fmt: skip
def test_length_of_answers(benchmark, protocol, tokens):
    assert form_of(benchmark, protocol).max_new_tokens == tokens
