"""Every rule of ours that bears lmms-eval's name against that tool's own task: verdict by verdict, then number by number.

The tool's tasks are built from its own files, on a row in the form of the data they name; a reply goes through the task's filters, its
``process_results`` and, where the verdict is only made there, its aggregation. Ours goes from the same row through our reader.
"""

import copy
import json
import random
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import lmms_eval.tasks
import pytest
import shared
from lmms_eval.api.task import ConfigurableMessagesTask
from lmms_eval.utils import load_yaml_config

from minigemini.benchmarks.formats.parquet import KEPT_BACK, Record
from minigemini.benchmarks.names import BENCHMARKS, protocol_of
from minigemini.benchmarks.rules.mme import COGNITION, PERCEPTION
from minigemini.benchmarks.score import score

TASKS = {
    "textvqa": "textvqa/textvqa_val.yaml",
    "vqav2": "vqav2/vqav2_val.yaml",
    "vizwiz": "vizwiz_vqa/vizwiz_vqa_val.yaml",
    "gqa": "gqa/gqa.yaml",
    "scienceqa": "scienceqa/scienceqa.yaml",
    "pope": "pope/pope.yaml",
    "mme": "mme/mme.yaml",
    "seed_bench": "seedbench/seedbench.yaml",
    "mmmu": "mmmu/mmmu_val.yaml",
    "ai2d": "ai2d/ai2d.yaml",
    "mmstar": "mmstar/mmstar.yaml",
    "blink": "blink/blink_counting.yaml",
    "realworldqa": "realworldqa/realworldqa.yaml",
    "chartqa": "chartqa/chartqa.yaml",
    "docvqa": "docvqa/docvqa_val.yaml",
    "infovqa": "infovqa/infovqa_val.yaml",
    "ocrbench": "ocrbench/ocrbench.yaml",
}
FRUIT = ["apple", "banana", "cherry", "date"]
FORMULAS = "Handwritten Mathematical Expression Recognition"


def test_every_rule_of_that_name_is_compared():
    assert set(TASKS) == {name for name, published in BENCHMARKS.items() if "lmms" in published.protocols}


# ------------------------------------------------------------------------------------------------------- replies and golds

BRIEF = """
{} {}. {}, {}: {}; {}! {}? ({}) ({}). ({} {}) {}). [{}] <{}> "{}" '{}' `{}` **{}** *{}*. _{}_
${}$ \\boxed{{{}}} .{} ,{} -{} {}- {}/ {}={} {}。 {}： （{}） 【{}】 ｛{}｝ 「{}」 {}です 答案是{} 答案为{}。 选{}
정답은{} 답:{} 옵션{} 答えは{} 正解は{} {}{} {}{}. {}1 {}x x{} {}_x é{} {}é
"""
DRESSES = BRIEF.split() + [
    " {}", "{} ", "\t{}\n", "\n{}", "{}\n", "{}\n\n", "{}\r\n", ". {}", "{} .", "( {} )", "{} )", "{}. banana",
    "{} banana", "{}) banana", "({}) banana", "{}: banana", "{}, banana", "{} - banana", "{}\nbanana",
    "{}\n\nBecause A is wrong.", "banana {}", "banana. {}", "Option {}", "option {}", "option {}.", "Option ({}).",
    "options {}", "The answer is {}", "The answer is {}.", "the answer is ({}).", "The answer is: {}",
    "The answer is option {}.", "The correct answer is {}.", "the correct answer is ({}) banana",
    "The best answer is {}, not A.", "The best option is {}.", "The correct option is ({}).", "My answer is {}",
    "My choice is {}!", "The choice is {}.", "I choose {}.", "I pick {} because A is red", "I select ({})",
    "Answer: {}", "Answer:{}", "answer {}", "Answer - {}", "ANSWER: ({})", "Answers: {}", "answers are {}",
    "The answer would be {}", "Answering, {}", "the answer is {}, because D is a dog",
    "The answer is B. No, the answer is {}.", "Answer: A\nAnswer: {}", "answer is {} and the correct answer is C",
    "Final answer\n{}", "I think it is {}.", "I think the answer is {} because C", "It is {} here", "not A but {}",
    "A or {}?", "{} or A", "{} and B", "{}, B", "(A) is red.\n(B) is blue.\nSo ({})", "(C) or ({})", "({}) or (C)",
    "A. no B. no {}. yes", "A: no {}: yes", "A) no {}) yes", "Because a dog is there, {}.",
    "Because the dog is there, it must be {}", "{} is the right one", "So it's {} then, I would say so",
    "The answer is\n\n{}", "I would take ({}) for many reasons, all of them good", "choice {}", "Choice: {}",
    "it is {}|", "1. {}", "{} {}",
]  # fmt: skip
LETTERS = ["A", "B", "C", "D", "E", "a", "b", "d", "ſ", "K", "Ａ", "Б", "İ"]
SENTENCES = [
    "", " ", "\n", ".", "...", "?", "(", ")", "()", "( )", "banana", "Banana.", "a banana", "An apple",
    "BANANA or so", "Dog", "cherry", "It must be the cherry, I would say", "I think that it is a banana here",
    "I do not know", "None", "nan", "null", "123", "3.5", "no", "yes", "ABCD", "A B C D", "a b c d", "ABC", "AB",
    "Cannot determine the answer", "Sorry", "😀", "日本語", "\u3000B\u3000", "\xa0B\xa0", "B\u200b", "option",
    "the answer is", "The answer is not here", "answer", "Answer:", "i choose", "选",
    "Not A, not B, not C, not D, none of them is it", "Date or apple; apple or date: both are words that are here",
]  # fmt: skip
CHOICES = list(dict.fromkeys([form.replace("{}", letter) for form, letter in product(DRESSES, LETTERS)] + SENTENCES))
WORDS = [
    "yes", "Yes", "YES.", "yes!", "No", "no", "no.", "No, it is not", "Nope", "not", "now", "none", "None", "n", "y",
    "N.", "Y", "ye", "eyes", " yes", "\nno", "yes\n", "y es", "y.e.s", "The answer is yes", "Yes, there is no dog",
    "nO", "yes no", "1", "0", "true", "ｙｅｓ", "yeſ", "red", "Red.", "red,", "a red", "the red", "An apple", "apples",
    "two", "2", "2.0", "02", "2%", "200%", "0.02", "2.05", "2.1", "2.11", "-2", "+2", "1.9", "1.89", "1,000", "1000",
    "1,050", "1000.0", "1 000", "$5", "5", "5 %", "5.", "0", "0.0", "-0", "0%", "nan", "inf", "-inf", "1e3", "1e-3",
    "1_000", "１２", "12", "12:30", "3/4", "1,2", "a,b", "zero", "ten", "unanswerable", "Unanswerable.", "t-shirt",
    "t shirt", "tshirt", "it's", "its", "dont", "don't", "somebody'd", "somebodyd", "dog's", "dogs", "U.S.A.",
    "e.g.", "3.", ".5", "a.b.c", '.' * 40, 'x' + '.' * 40, "groß", "GROSS", "gross", "İstanbul", "istanbul",
    "i̇stanbul", "ﬁsh", "fish", "ＡＢＣ\u3000１", "ABC 1", "abc 1", "x^{2}", "X ^ { 2 }", "x^{2} + 1", "\\frac{1}{2}",
    "ｘ^{2}", "line\nbreak", "line break", "linebreak", "tab\tbreak", "  spaced   out  ", "spaced out", "", " ", ".",
    ",", "?", "[1, 2]", "['red', 'blue']", "{a}", '"red"', "'red'", "“red”", "I'm", "im", "i've", "ive",
    "well-known", "red (dark)", "red/blue", "red\\blue", "red; blue", "red: blue", "a", "the", "café", "café",
    "日本語", "😀", "B", "b", "C.", "Downhill", "downhill", "The answer is C.", "pariz", "paris",
    "Paris is the capital of France",
]  # fmt: skip

GOLDS = [word for word in WORDS if word == word.strip() and word not in KEPT_BACK]  # what a data set has for an answer


def ten(*answers):
    """Ten human answers: the first seven times, or as many as there are left."""
    return [answers[0]] * (10 - len(answers[1:])) + list(answers[1:])


HUMAN = [[word] * 10 for word in WORDS[::4]] + [
    ten("red", "Red.", "a red", "red,"),
    ten("2", "two", "2.0", "2"), ten("yes", "no", "no", "no"), ten("no", "yes", "yes"), ten("its", "it's"),
    ten("unanswerable", "red", "red"), ["red"] * 3 + ["blue"] * 7, ["t-shirt", "t shirt", "tshirt"] + ["dress"] * 7,
    WORDS[:10], WORDS[30:40],
]  # fmt: skip
OPEN = WORDS + [
    "The answer is 1,234", "x = 2.499", "x = 2.5\nso y = 3", "therefore the result is blue\nno more", "about 1e3",
    "It is a hormone.", "either two or one", "It could be red. Or it is 12.5", "final answer 7", "is ", "so", "= 5",
    "a=b=4", "-1,000.5", "c", "nice",
]  # fmt: skip
MMMU = {"id": "validation_Art_1", "question": "?", "options": str(FRUIT), "question_type": "multiple-choice"}


def rows_of(benchmark):
    """Rows as the tool's data has them, each with another right answer."""
    letters = [{"question": "?", "answer": letter} for letter in "ABCD"]
    human = [{"question": "?", "question_id": 1, "answers": answers} for answers in HUMAN]
    rows = {
        "textvqa": lambda: [row | {"image_id": "1"} for row in human],
        "vqav2": lambda: [
            row | {"answer_type": "other", "answers": [{"answer": one, "answer_id": i} for i, one in enumerate(row["answers"])]}
            for row in human
        ],
        "vizwiz": lambda: [row | {"question_id": "VizWiz_val_1.jpg", "category": "other"} for row in human],
        "gqa": lambda: [{"id": "1", "question": "?", "answer": word, "types": {"structural": "query"}} for word in GOLDS],
        "scienceqa": lambda: [
            {"question": "?", "hint": "", "choices": FRUIT[:size], "answer": right} for size in (2, 4) for right in range(size)
        ],
        "pope": lambda: [
            {"question_id": "1", "question": "?", "category": "random", "answer": answer} for answer in ("yes", "no", "No ")
        ],
        "mme": lambda: [
            {"question_id": "count/1.png", "question": "?", "category": "count", "answer": answer} for answer in ("Yes", "No", "No.")
        ],
        "seed_bench": lambda: [
            row | {"question_id": "1", "data_type": "image", **{f"choice_{one}": one for one in "abcd"}} for row in letters
        ],
        "mmmu": lambda: [MMMU | {"answer": letter} for letter in "ABCD"]
        + [
            MMMU | {"answer": answer, "options": "[]", "question_type": "open"}
            for answer in [word for word in GOLDS if word != "[1, 2]"] + ["['4', 'four']"]
        ],
        "ai2d": lambda: [{"question": "?", "options": FRUIT, "answer": str(right)} for right in range(4)],
        "mmstar": lambda: [row | {"index": 1, "category": "math", "l2_category": "geometry"} for row in letters],
        "blink": lambda: [
            {"idx": "val_Counting_1", "question": "?", "prompt": "?", "choices": FRUIT[:size], "answer": f"({letter})",
             "sub_task": "Counting"}
            for size in (2, 4) for letter in "ABCD"[:size]
        ],
        "realworldqa": lambda: letters + [{"question": "?", "answer": word} for word in GOLDS],
        "chartqa": lambda: [{"question": "?", "type": "human_test", "answer": word} for word in GOLDS],
        "docvqa": lambda: [{"question": "?", "questionId": "1", "answers": [word]} for word in WORDS]
        + [{"question": "?", "questionId": "1", "answers": WORDS[32:40]}],
        "ocrbench": lambda: [
            {"question": "?", "question_type": kind, "dataset": "HME100k" if kind == FORMULAS else "other", "answer": answers}
            for kind in ("Regular Text Recognition", "Doc-oriented VQA", FORMULAS)
            for answers in [[word] for word in WORDS] + [["red", "x^{2}"]]
        ],
    }  # fmt: skip
    return rows["docvqa" if benchmark == "infovqa" else benchmark]()


def replies_to(benchmark, row):
    if benchmark in ("scienceqa", "seed_bench", "ai2d", "mmstar", "blink"):
        return CHOICES
    if benchmark == "mmmu":
        return OPEN if row["question_type"] == "open" else CHOICES
    if benchmark == "realworldqa":
        return CHOICES if row["answer"] in tuple("ABCD") else WORDS
    return WORDS


# --------------------------------------------------------------------------------------------------------- the two sides


@pytest.fixture(scope="module")
def task_of(tmp_path_factory):
    """The tool's task on a file with one row, as its own file says but for the place of the data."""
    tasks = {}

    def build(benchmark):
        if benchmark not in tasks:
            config = load_yaml_config(str(Path(lmms_eval.tasks.__file__).parent / TASKS[benchmark]))
            data = tmp_path_factory.mktemp(benchmark) / "row.jsonl"
            row = rows_of(benchmark)[0]
            data.write_text(json.dumps(row | {"hint": "", "ocr_tokens": []}) + "\n")
            here = {"data_files": {config["test_split"]: str(data)}}
            config |= {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": here, "process_docs": None}
            tasks[benchmark] = ConfigurableMessagesTask(config=config, model_name="minigemini")
        return tasks[benchmark]

    return build


def processed(task, row, reply):
    """What the tool keeps of a reply: metric -> value."""
    (ensemble,) = task._filters
    for one in ensemble.filters:
        one = one() if isinstance(one, type) else one
        (reply,) = one.apply([[reply]], [row]) if one.apply.__name__ == "apply" else ([reply],)
        reply = reply[0] if isinstance(reply, list) else reply
    return task.process_results(copy.deepcopy(row), [reply])


def verdict_of(task, row, reply):
    """0..1, as the tool counts it."""
    kept = processed(task, row, reply)
    name = next(
        name
        for name in ("exact_match", "anls", "relaxed_overall", "seed_all", "mmmu_acc", "blink_acc", "average", *kept)
        if name in kept
    )
    value = kept[name]
    if name in ("seed_all", "mmmu_acc"):
        return task.aggregation()[name]([value])
    if isinstance(value, dict):
        return float(value["is_correct"] if name == "blink_acc" else value["score"])
    return float(value)


def line_of(benchmark, row, reply, id="1"):
    """Our line of the same row, by our reader of the tool's data."""
    picture = (("picture", None),)
    columns = BENCHMARKS[benchmark].columns
    assert columns is not None
    question = columns(Record(row, {"image": picture, "image_1": picture}, "row"), 1)
    return {"id": id, "kind": question.kind, "prediction": reply, "reference": question.reference}


def compare(benchmark, task, pairs):
    """Raises AssertionError with the first rows on which the two differ."""
    _, protocol = protocol_of(benchmark, "lmms")
    differ = []
    for row, reply in pairs:
        tool, ours = verdict_of(task, row, reply), protocol.rule(line_of(benchmark, row, reply)).points
        if ours != pytest.approx(tool, abs=1e-12):
            differ.append((row.get("answer", row.get("answers")), reply, f"tool {tool}, ours {ours}"))
    assert differ[:10] == [], f"{len(differ)} differ"


@pytest.fixture
def no_luck(monkeypatch):
    """MMMU's random letter for a reply without one becomes none: it is no rule."""
    monkeypatch.setattr(random, "choice", lambda letters: "")


@pytest.mark.parametrize("benchmark", TASKS)
def test_verdict_by_verdict(benchmark, task_of, no_luck):
    rows = rows_of(benchmark)
    pairs = [(row, reply) for row in rows for reply in replies_to(benchmark, row)]
    assert len(pairs) > 400 if benchmark in ("pope", "mme") else len(pairs) > 3000
    compare(benchmark, task_of(benchmark), pairs)


def test_the_tasks_are_called_as_we_say(task_of):
    asked = {name: task for name in TASKS if (task := BENCHMARKS[name].protocols["lmms"].task)}
    names = {benchmark: task_of(benchmark).config.task for benchmark in asked if benchmark != "blink"}
    assert names | {"blink": "blink"} == asked


# ------------------------------------------------------------------------------------------------------ what models replied


def mmmu_examples():
    gold = shared.read_json("mmmu_val_examples/answer_dict_val.json")
    for model in ("llava1.5_13b", "qwen_vl"):
        for rows in shared.read_json(f"mmmu_val_examples/{model}_responses.json").values():
            for row in rows:
                choices = [row["index2ans"][letter] for letter in row.get("all_choices", ())]
                asked = {"id": row["id"], "question": "?", "options": str(choices), "answer": str(row["answer"])}
                yield asked | {"question_type": gold[row["id"]]["question_type"]}, row["response"]


def mme_examples():
    if not shared.BESIDE_IS_THERE:
        pytest.skip("MME's sample may not be passed on: it is not in tests/recorded")
    for task in (*PERCEPTION, *COGNITION):
        for text in (shared.BESIDE / "fixtures" / "mme_lavin" / f"{task}.txt").read_text().splitlines():
            image, question, answer, reply = text.split("\t")
            name = f"{task}/{image}"
            yield {"question_id": name, "question": question, "answer": answer, "category": task}, reply


def scienceqa_examples():
    if not shared.BESIDE_IS_THERE:
        pytest.skip("ScienceQA's sample may not be passed on: it is not in tests/recorded")
    for row in shared.read_rows("scienceqa_llava/llava15_13b.jsonl.gz", shared.BESIDE / "fixtures"):
        right = "ABCDE".index(row["gold"])
        yield {"question": "?", "hint": "", "choices": [""] * row["n_choices"], "answer": right}, row["response"]


def seed_bench_examples():
    for row, model in product(shared.read_rows("seedbench_image/rows.jsonl.gz"), ("llava15_13b", "gpt4v")):
        asked = {"question": "?", "question_id": "1", "data_type": "image", "answer": row["gold"]}
        yield asked | {f"choice_{one}": one for one in "abcd"}, row[model] or ""


def pope_examples():
    for row in shared.read_rows("pope_llava15_13b/rows.jsonl.gz"):
        asked = {"question_id": "1", "question": "?", "category": row["category"], "answer": row["label"]}
        yield asked, row["response"]
        yield asked, f"{row['response']}."  # which that tool cannot read


def textvqa_examples():
    for row, model in product(shared.read_rows("textvqa_first30/rows.jsonl"), ("llava15_13b", "other_model")):
        yield {"question": "?", "question_id": 1, "image_id": "1", "answers": row["gold"]}, row[model]


def vizwiz_examples():
    pairs = shared.read_rows("vqa_answer_normalizer_vizwiz/pairs.jsonl.gz")
    for number, (raw, clean) in enumerate(pairs):
        answers = ten(raw, clean, *(other for other, _ in pairs[number : number + 3]))
        yield {"question": "?", "question_id": "VizWiz_val_1.jpg", "category": "other", "answers": answers}, clean
        yield {"question": "?", "question_id": "VizWiz_val_1.jpg", "category": "other", "answers": answers[::-1]}, raw


EXAMPLES = {
    "mmmu": mmmu_examples,
    "mme": mme_examples,
    "scienceqa": scienceqa_examples,
    "seed_bench": seed_bench_examples,
    "pope": pope_examples,
    "textvqa": textvqa_examples,
    "vizwiz": vizwiz_examples,
}


@shared.needs_fixtures
@pytest.mark.parametrize("benchmark", EXAMPLES)
def test_what_models_replied(benchmark, task_of, no_luck):
    compare(benchmark, task_of(benchmark), list(EXAMPLES[benchmark]()))


# --------------------------------------------------------------------------------------------------------------- numbers


def numbers(task, rows):
    """The tool's numbers of rows with replies, in percent or points as it prints them."""
    kept = [processed(task, row, reply) for row, reply in rows]
    found = {}
    for name, aggregate in task.aggregation().items():
        values = [one[name] for one in kept if name in one]
        if values:
            found[name] = aggregate(values)
    return found


def ours(benchmark, rows, partial=True):
    lines = [line_of(benchmark, row, reply, str(number)) for number, (row, reply) in enumerate(rows)]
    return {one.name: one.value for one in score(benchmark, lines, "lmms", partial=partial).metrics}


@shared.needs_fixtures
def test_numbers_of_pope(task_of):
    rows = [(row, reply) for number, (row, reply) in enumerate(pope_examples()) if number % 7]  # some with a period
    tool, found = numbers(task_of("pope"), rows), ours("pope", rows)
    assert found["F1, pooled"] == pytest.approx(100 * tool["pope_f1_score"])
    assert found["accuracy"] == pytest.approx(100 * tool["pope_accuracy"])
    random = [(row, reply) for row, reply in rows if row["category"] == "random"]
    tool = numbers(task_of("pope"), random)
    for name in ("precision", "recall", "yes ratio"):
        assert found[f"random {name}"] == pytest.approx(100 * tool[f"pope_{name.replace(' ', '_')}"]), name


@shared.needs_fixtures
def test_numbers_of_mme(task_of):
    rows = list(mme_examples())
    tool, found = numbers(task_of("mme"), rows), ours("mme", rows)
    assert found["perception"] == pytest.approx(tool["mme_perception_score"])
    assert found["cognition"] == pytest.approx(tool["mme_cognition_score"])


@shared.needs_fixtures
def test_number_of_mmmu(task_of, no_luck):
    rows = list(mmmu_examples())[:900]
    assert ours("mmmu", rows)["accuracy"] == pytest.approx(100 * numbers(task_of("mmmu"), rows)["mmmu_acc"], abs=1e-3)


def test_number_of_mmstar(task_of):
    """The mean of the finer categories, which are not equally large."""
    kinds = (
        [("math", "geometry")] * 3
        + [("math", "statistical reasoning")] * 5
        + [("logical reasoning", "diagram reasoning")]
    )
    rows = [
        (
            {"index": number, "question": "?", "answer": "B", "category": category, "l2_category": finer},
            "Answer: " + "BA"[number % 2],
        )
        for number, (category, finer) in enumerate(kinds)
    ]
    found = ours("mmstar", rows)
    assert found["mean of finer categories"] == pytest.approx(100 * numbers(task_of("mmstar"), rows)["average"])
    assert found["mean of finer categories"] != pytest.approx(found["accuracy"])


def test_number_of_ocrbench(task_of, tmp_path, monkeypatch):
    task = task_of("ocrbench")
    rows = [(row, reply) for row in rows_of("ocrbench")[::5] for reply in WORDS[::9]]
    aggregate = task.aggregation()["ocrbench_accuracy"]
    kept = [processed(task, row, reply)["ocrbench_accuracy"] for row, reply in rows]
    points = aggregate(kept, SimpleNamespace(output_path=str(tmp_path)))
    assert ours("ocrbench", rows)["points"] == pytest.approx(1000 * points)


def test_numbers_of_chartqa(task_of):
    rows = [
        (row | {"type": kind}, reply)
        for kind, part in (("human_test", WORDS[30:60]), ("augmented_test", WORDS[:9]))
        for row in rows_of("chartqa")[::4]
        if not row["answer"].endswith("inf")  # no reply is right, which we refuse
        for reply in part
    ]
    tool, found = numbers(task_of("chartqa"), rows), ours("chartqa", rows)
    assert found["accuracy"] == pytest.approx(100 * tool["relaxed_overall"])
    assert found["human_test"] == pytest.approx(100 * tool["relaxed_human_split"])
    assert found["augmented_test"] == pytest.approx(100 * tool["relaxed_augmented_split"])


def test_a_reply_is_not_read_by_another_rule(task_of):
    """The comparison sees a rule that differs: our rule of MMStar's authors is not the tool's."""
    _, protocol = protocol_of("mmstar", "official")
    row = rows_of("mmstar")[1]
    assert verdict_of(task_of("mmstar"), row, "Answer: B") == 1
    assert protocol.rule(line_of("mmstar", row, "Answer: B")).points == 0
    assert sys.modules["lmms_eval"].__file__.startswith(sys.prefix)
