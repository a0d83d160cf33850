"""The prompts of each protocol: LLaVA's and MathVista's to the letter of their files, the others' as their authors say."""

import re

import pytest
import shared

from minigemini.benchmarks.benchmark import Sampling
from minigemini.benchmarks.formats.read import text_of
from minigemini.benchmarks.names import BENCHMARKS, form_of
from minigemini.benchmarks.question import Question

SHORT = "\nAnswer the question using a single word or phrase."
LETTER = "\nAnswer with the option's letter from the given choices directly."
PACKED = ["gqa", "pope", "textvqa", "vizwiz"]
BESIDE = ["mmbench", "mme", "mmvet", "scienceqa"] if shared.BESIDE_IS_THERE else []  # may not be passed on
OPTION = re.compile(r"([A-E])\. (.*)")


def question(text, **more):
    return Question(
        **{"id": "1", "kind": "", "images": (), "reference": {}, "place": "file, row 1"} | {"text": text} | more
    )


def prompt(benchmark, protocol, *arguments, **more):
    asked = question(*arguments, **more)
    return text_of(asked, form_of(benchmark, protocol), BENCHMARKS[benchmark])


def parted(text):
    """Question and options of a prompt that lists them."""
    lines = text.split("\n")
    options = [match[2] for line in lines if (match := OPTION.fullmatch(line))]
    return "\n".join(lines[: len(lines) - len(options)]), tuple(options)


@shared.needs_fixtures
@pytest.mark.parametrize("benchmark", [*PACKED, *BESIDE])
def test_llavas_own_files(benchmark):
    """Taken apart into what the data has and put together again, every prompt of LLaVA's question files is as it was."""
    folder = shared.FIXTURES if benchmark in PACKED else shared.BESIDE / "fixtures"
    rows = shared.read_rows("llava_eval_prompts/prompts.jsonl", folder)
    rows = [row for row in rows if row["benchmark"] == benchmark]
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
    assert prompt("mmbench", "llava", "q", choices=("a", "", "c")) == f"q\nA. a{LETTER}"
    assert prompt("mmbench_cn", "llava", "q", choices=("a",), hint="h") == "h\nq\nA. a\n请直接回答选项字母。"


def test_seed_bench_and_vqav2():
    assert prompt("seed_bench", "llava", "q", choices=("a", "b")) == f"q\nA. a\nB. b{LETTER}"
    assert prompt("vqav2", "llava", "q?") == f"q?{SHORT}"
    assert prompt("llava_bench", "llava", "Describe.") == "Describe."


@pytest.mark.parametrize(
    ("benchmark", "protocol", "parts", "wanted"),
    [
        ("ai2d", "lmms", {"text": "q", "choices": ("a", "b")}, f"q\nA. a\nB. b{LETTER}"),
        ("ai2d", "lmms", {"text": "q", "choices": ("a", "", "c")}, f"q\nA. a\nC. c{LETTER}"),  # letters stay
        ("chartqa", "lmms", {"text": "q?"}, "q?\nAnswer the question with a single word."),
        ("docvqa", "lmms", {"text": "q?"}, f"q?{SHORT}"),
        ("mmstar", "official", {"text": "q\nOptions: A: a, B: b"}, f"q\nOptions: A: a, B: b{LETTER}"),
        ("mmstar", "official", {"text": "q", "choices": ("a", "b")}, f"q\nA. a\nB. b{LETTER}"),
        ("blink", "official", {"text": "?", "asked": "Which?\n(A) a\n(B) b", "choices": ("a", "b")}, "Which?\n(A) a\n(B) b"),
        ("realworldqa", "official", {"text": "q\nA. x\nAnswer directly.", "choices": ("x",)}, "q\nA. x\nAnswer directly."),
        ("ocrbench", "official", {"text": "q?"}, "q?"),
        ("hallusionbench", "official", {"text": "q?"}, "q?"),
    ],
)  # fmt: skip
def test_other_prompts(benchmark, protocol, parts, wanted):
    assert prompt(benchmark, protocol, **parts) == wanted


@pytest.mark.parametrize(
    ("benchmark", "protocol", "error"),
    [
        ("seed_bench", "llava", "no options, and this protocol's prompt lists them"),
        ("blink", "official", "its own 'prompt' column, which is not there"),
        ("realworldqa", "official", "the option 'x' is not in the question"),
    ],
)
def test_what_a_prompt_cannot_go_without(benchmark, protocol, error):
    with pytest.raises(ValueError, match=f"file, row 1: .*{error}"):
        prompt(benchmark, protocol, "q", choices=("x",) if benchmark == "realworldqa" else ())


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


ASKED_BY_NOBODY = {
    ("vqav2", "official"),
    ("docvqa", "official"),
    ("docvqa", "paper"),
    ("infovqa", "official"),
    ("infovqa", "paper"),
    ("mmmu", "eval-only"),
}


def test_a_protocol_without_a_prompt_says_who_asks():
    """The tool whose protocol it is drives our model itself; or nobody prescribes the words."""
    without = {
        (name, protocol): chosen.task
        for name, benchmark in BENCHMARKS.items()
        for protocol, chosen in benchmark.protocols.items()
        if chosen.form is None and not benchmark.ours  # ours come as conversations
    }
    assert {pair for pair, task in without.items() if not task} == ASKED_BY_NOBODY
    for (name, protocol), task in without.items():
        who = {"lmms": f"lmms-eval .* {task}", "vlmevalkit": f"minigemini eval vlmevalkit .* {task}"}.get(protocol, "")
        with pytest.raises(
            ValueError, match=rf"{name}@{protocol}: .*{who}.* eval score {name} FILE --protocol {protocol}"
        ):
            form_of(name, protocol)


@pytest.mark.parametrize(
    ("benchmark", "protocol", "tokens"),
    [
        ("textvqa", "llava", 128), ("pope", "llava", 128), ("scienceqa", "llava", 1024), ("mmbench", "llava", 1024),
        ("mmvet", "llava", 1024), ("mathvista", "llava", 1024), ("mmmu", "llava", 128), ("mmstar", "official", 512),
        ("docvqa", "lmms", 32), ("chartqa", "lmms", 16), ("ai2d", "lmms", 16), ("ocrbench", "official", 128),
    ],
)  # fmt: skip
def test_length_of_answers(benchmark, protocol, tokens):
    assert form_of(benchmark, protocol).max_new_tokens == tokens
