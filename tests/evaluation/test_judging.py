"""`minigemini eval judge` against a real local HTTP server, and the number that `eval score` then gives."""

import json
import threading

import pytest
import shared
from judge_server import judge_server
from score_command import line, write_jsonl

from minigemini.benchmarks.names import BENCHMARKS
from minigemini.benchmarks.names.mmvet import as_grade
from minigemini.cli import main
from minigemini.evaluation.judging import client
from minigemini.evaluation.judging.ask import fill, judge_of


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("no_proxy", "*")


def row(id, reply, kind="", **reference):
    return line(id, reply, reference, kind)


PROBLEM = {"question_type": "free_form", "answer_type": "integer", "precision": None, "choices": []}
PLACE = {"category": "VD", "subcategory": "map", "set_id": "0", "figure_id": "1", "question_id": "2"}


def mmvet_row(id, reply="a dog"):
    return row(id, reply, question="What is it?", answer="a dog<AND>a cat", capability=["rec"])


def judge(tmp_path, benchmark, rows, server, *more):
    """The exit code, and the judged lines if there are any."""
    file = rows if not isinstance(rows, list) else write_jsonl(tmp_path / "predictions.jsonl", rows)
    out = tmp_path / "judged.jsonl"
    out.unlink(missing_ok=True)
    given = ("--url", server if isinstance(server, str) else server.url, "--judge-model", "judge")
    files = ("--cache", str(tmp_path / "cache.jsonl"), "--out", str(out))
    code = main(["eval", "judge", benchmark, str(file), *given, *files, *map(str, more)])
    return code, [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def scored(tmp_path, benchmark, *more):
    out = tmp_path / "score.json"
    assert main(["eval", "score", benchmark, str(tmp_path / "judged.jsonl"), "--json", str(out), *more]) == 0
    return json.loads(out.read_text())


def prompt_of(content):
    return content["messages"][-1]["content"]


def test_mmvet(tmp_path, capsys):
    """A number that is cached, beside the judge's own name and a prompt that is not the published one."""
    rows = [mmvet_row(i, f"reply {i}") for i in range(20)]
    with judge_server(lambda number, content: "1.0" if "reply 7\n" in prompt_of(content) else " 0.5 or so") as server:
        code, lines = judge(tmp_path, "mmvet", rows, server)
        assert (code, len(server.requests)) == (0, 20)
        first = (tmp_path / "judged.jsonl").read_bytes()
        assert "20 of 20 rows judged by judge, 20 new replies" in capsys.readouterr().out
        assert judge(tmp_path, "mmvet", rows, server)[0] == 0
        assert len(server.requests) == 20
    assert (tmp_path / "judged.jsonl").read_bytes() == first
    assert [line["id"] for line in lines] == [row["id"] for row in rows]
    assert lines[7]["grade"] == {"model": ["judge-2026"], "content": ["1.0"], "score": [1.0]}
    sent = server.requests[0]
    assert (sent["temperature"], sent["max_tokens"]) == (0, 8)
    assert [message["role"] for message in sent["messages"]] == ["user"]
    assert "Question: What is it?\nRight answer: a dog <AND> a cat\nThe model's answer: reply" in prompt_of(sent)
    found = scored(tmp_path, "mmvet")
    assert (found["status"], found["metrics"][0]["value"]) == ("scored", pytest.approx(52.5))
    assert found["paths"] == {"judge": 20}
    assert "judge: judge-2026" in found["notes"]
    (note,) = [note for note in found["notes"] if "prompt" in note]
    assert note.startswith("the judge's prompt: minigemini's own (sha256 ")
    assert note.endswith("): not comparable with published numbers")
    assert note in capsys.readouterr().out
    assert all(b"secret" not in file.read_bytes() for file in tmp_path.iterdir())


def test_mmvets_tries(tmp_path, capsys):
    """The second try is as cold as the first, and has another sentence; after five the judge has failed, which is not 0.0."""
    with judge_server(lambda number, content: ["good", "1.5", "nan", "", "0.5."][number % 5]) as server:
        _, (line,) = judge(tmp_path, "mmvet", [mmvet_row(0)], server)
        assert [content["temperature"] for content in server.requests] == [0, 0, 0.5, 1, 1.5]
        again = [
            prompt_of(content).endswith("\nPredict the correctness of the answer (digit): ")
            for content in server.requests
        ]
        assert again == [False, True, True, True, True]
        assert len({prompt_of(content) for content in server.requests[1:]}) == 1
        assert line["grade"] == {"model": ["judge-2026"], "content": ["0.5."], "score": [None]}
        assert scored(tmp_path, "mmvet")["status"] == "needs judge"
        assert "judge failed: 1 of 1 rows" in capsys.readouterr().out
    with judge_server(lambda number, content: "0.4" if number else "Grade: 0.4") as server:
        (tmp_path / "cache.jsonl").unlink()
        _, (line,) = judge(tmp_path, "mmvet", [mmvet_row(0)], server)
    assert (line["grade"]["score"], len(server.requests)) == ([0.4], 2)


def test_grades():
    said = {"1": 1, "0.0": 0, ".5 of it": 0.5, "0.3\n\nbecause": 0.3}
    said |= dict.fromkeys(("1.0001", "-0.1", "inf", ""))
    assert {text: as_grade(text) for text in said} == said


@pytest.mark.parametrize("benchmark", ["mmvet", "llava_bench", "hallusionbench", "mathvista"])
@pytest.mark.parametrize("stored", [{}, {"grade": {"score": [None], "content": ""}, "extraction": ""}])
def test_without_a_judges_word_there_are_no_points(benchmark, stored):
    """Neither right nor wrong: not asked, or asked in vain."""
    stored = {**stored, "grade": None} if stored and benchmark == "hallusionbench" else stored
    line = row(0, "reply", answer="1", **PROBLEM, **PLACE) | stored
    protocol = BENCHMARKS[benchmark].protocols["official" if benchmark == "hallusionbench" else "llava"]
    verdict = protocol.rule(line)
    assert (verdict.points, verdict.reading) == (None, None)
    assert verdict.path == ("judge failed" if stored else "not judged")


@pytest.mark.parametrize(("failures", "status"), [(1, "scored"), (2, "needs judge")])
def test_more_than_one_percent_failures_withhold_the_score(failures, status, tmp_path, capsys):
    rows = [mmvet_row(i, f"reply {'bad' if i < failures else i}") for i in range(150)]
    with judge_server(lambda number, content: "?" if "reply bad" in prompt_of(content) else "1.0") as server:
        judge(tmp_path, "mmvet", rows, server)
    found = scored(tmp_path, "mmvet")
    assert found["status"] == status
    assert f"judge failed: {failures} of 150 rows" in found["notes"]
    if status == "scored":
        assert found["metrics"][0]["value"] == pytest.approx(100 * 149 / 150)  # wrong, and the note says so
    else:
        assert found["metrics"] == []


def test_a_server_that_dies_and_a_rerun(tmp_path, capsys):
    """What was replied until then is kept; the rerun asks the rest only, and ends as a run that was not interrupted."""
    rows = [mmvet_row(i, f"reply {i}") for i in range(60)]
    dead = threading.Event()

    def dies(number, content):
        if number >= 25:
            dead.set()
        return (404, "gone") if dead.is_set() else "0.5"

    with judge_server(dies) as server:
        code, lines = judge(tmp_path, "mmvet", rows, server)
    assert (code, lines) == (1, [])
    error = capsys.readouterr().err
    assert error.count("minigemini:") == 1
    assert "/v1/chat/completions: HTTP 404: gone\n" in error
    kept = (tmp_path / "cache.jsonl").read_text().splitlines()
    assert 0 < len(kept) <= 25
    assert len(server.requests) < 60
    with (tmp_path / "cache.jsonl").open("a") as cache:
        cache.write('{"key": "torn')
    with judge_server(lambda number, content: "0.5") as server:
        code, lines = judge(tmp_path, "mmvet", rows, server)
    assert len(server.requests) == 60 - len(kept)
    assert f"{60 - len(kept)} new replies" in capsys.readouterr().out
    assert [line["grade"]["score"] for line in lines] == [[0.5]] * 60


def test_nobody_there_is_one_clear_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(client, "TRIES", 2)
    code, lines = judge(tmp_path, "mmvet", [mmvet_row(i) for i in range(20)], "http://127.0.0.1:9/v1")
    assert (code, lines) == (1, [])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("minigemini:")]
    assert line.startswith("minigemini: http://127.0.0.1:9/v1/chat/completions: cannot be reached (")
    assert line.endswith("Is the server up?")


def test_several_are_asked_at_a_time(tmp_path):
    together = threading.Barrier(8)

    def answer(number, content):
        together.wait(10)  # no reply before there are eight questions
        return "0.5"

    with judge_server(answer) as server:
        assert judge(tmp_path, "mmvet", [mmvet_row(i, str(i)) for i in range(16)], server)[0] == 0


@pytest.mark.parametrize(("benchmark", "reference"), [("mmvet", {}), ("mathvista", {}), ("hallusionbench", {})])
def test_a_row_that_the_server_refuses_is_a_failure_of_that_row(benchmark, reference, tmp_path, capsys):
    rows = [row(i, f"reply {i}", question="?", answer="1", **PROBLEM, **PLACE) for i in range(3)]
    said = {"mmvet": "1.0", "mathvista": "1", "hallusionbench": "correct"}[benchmark]
    with judge_server(lambda number, content: (400, "policy") if "reply 1" in prompt_of(content) else said) as server:
        code, lines = judge(tmp_path, benchmark, rows, server)
    assert code == 0
    assert lines[1]["judge"]["refused"] == "HTTP 400: policy"
    said_of_rows = capsys.readouterr().out
    assert "the server refused 1 rows, such as '1': HTTP 400: policy" in said_of_rows
    assert "2 of 3 rows judged by judge, 2 new replies" in said_of_rows
    protocol = {"hallusionbench": "official"}.get(benchmark, "llava")
    found = scored(tmp_path, benchmark, "--protocol", protocol)
    assert [verdict["path"] for verdict in found["verdicts"]].count("judge failed") == 1
    assert found["status"] == "needs judge"


def test_llava_bench(tmp_path, capsys):
    """The published files of gold answers; a system message; commas; a review without grades is no -1."""
    gold = tmp_path / "llava-bench"
    gold.mkdir()
    questions = [{"question_id": i, "image": "00.jpg", "category": "conv", "text": f"Question {i}?"} for i in range(3)]
    write_jsonl(gold / "questions.jsonl", questions)
    write_jsonl(gold / "context.jsonl", [{"id": "x", "image": "00.jpg", "caption": ["A crater.", "The sea."]}])
    write_jsonl(gold / "answers_gpt4.jsonl", [{"question_id": i, "text": f"Reference {i}"} for i in range(3)])
    answers = write_jsonl(
        tmp_path / "answers.jsonl", [{"question_id": i, "prompt": "", "text": f"Reply {i}"} for i in range(3)]
    )
    reviews = {"Reply 0": "8 6\nBecause.", "Reply 1": "9, 3", "Reply 2": "8 6.5"}

    def answer(number, content):
        return next(review for reply, review in reviews.items() if reply in prompt_of(content))

    with judge_server(answer) as server:
        code, lines = judge(tmp_path, "llava_bench", answers, server, "--gold", gold, "--format", "llava")
    assert code == 0
    sent = server.requests[0]
    assert (sent["temperature"], sent["max_tokens"]) == (0.2, 1024)
    assert sent["messages"][0]["role"] == "system"
    assert "A crater.\nThe sea." in prompt_of(sent)
    assert all(prompt_of(c).index("Reference") < prompt_of(c).index("Reply") for c in server.requests)
    assert [line["grade"]["content"] for line in lines] == list(reviews.values())
    assert {line["judge"]["model"] for line in lines} == {"judge-2026"}
    found = scored(tmp_path, "llava_bench")
    assert found["metrics"][0]["value"] == pytest.approx(100 * 5.167 / 8.333)
    for garbage in ("Both are good.", "8", "-1 -1", "nan nan", "80 75", ""):
        reviews["Reply 2"] = garbage
        (tmp_path / "cache.jsonl").unlink()
        with judge_server(answer) as server:
            judge(tmp_path, "llava_bench", answers, server, "--gold", gold, "--format", "llava")
        found = scored(tmp_path, "llava_bench")
        assert (found["status"], found["paths"]) == ("needs judge", {"judge": 2, "judge failed": 1}), garbage
        assert [verdict["points"] for verdict in found["verdicts"]] == [0.6, 0.3, None]


def test_one_review_of_many_may_be_missing():
    rule, metrics = (getattr(BENCHMARKS["llava_bench"].protocols["llava"], name) for name in ("rule", "metrics"))
    lines = [row(i, "", "conv") | {"grade": {"content": "8 4" if i else ""}} for i in range(4)]
    assert metrics([rule(line) for line in lines])[0].value == pytest.approx(100 * 3 / 8.5)


CHOICE = {"question_type": "multi_choice"}
INTEGER = {"question_type": "free_form", "answer_type": "integer", "answer": "7"}
MATHVISTA = [
    ("1", "So the angle is 135°, or (B).", CHOICE | {"choices": ["145°", "135°"], "answer": "135°"}),
    ("2", "145°", CHOICE | {"choices": ["145°", "135°"], "answer": "145°"}),
    ("3", "seven", INTEGER),
    ("4", " \n", INTEGER),
    ("5", "I cannot tell.", CHOICE | {"choices": ["one", "two"], "answer": "one"}),
]


def test_mathvista(tmp_path):
    """Asked only where the tool asks; "none" is no answer, not the choice that is nearest to the word."""
    common = {"precision": None, "choices": [], "answer_type": "text", "question": "Hint: ... Choices: ..."}
    rows = [row(pid, reply, **common | problem) for pid, reply, problem in MATHVISTA]
    said = {"the angle": "(B) 135°", "seven": " 7\n", "cannot": "None."}
    with judge_server(lambda number, content: next(s for r, s in said.items() if r in prompt_of(content))) as server:
        _, lines = judge(tmp_path, "mathvista", rows, server)
    assert len(server.requests) == 3
    assert [line.get("extraction") for line in lines] == ["(B) 135°", None, "7", "", ""]
    assert ["judge" in line for line in lines] == [True, False, True, False, True]
    found = scored(tmp_path, "mathvista")
    assert [v["points"] for v in found["verdicts"]] == [1, 1, 1, 0, 0]
    assert [v["path"] for v in found["verdicts"]] == ["letter", "exact", "number", "unparsable", "unparsable"]


@shared.needs_fixtures
def test_mathvista_with_a_judge_that_says_what_gpt_4_did(tmp_path):
    """The stored extractions of LLaVA-LLaMA-2-13B's run, through the server and back: 26.1, as published."""
    problems = shared.read_rows("mathvista_testmini/problems.jsonl.gz")
    replies = shared.read_json("mathvista_testmini/responses_llava_llama_2_13b.json")
    run = shared.read_json("mathvista_testmini/run_llava_llama_2_13b.json")
    rows = [{**problem, "query": f"<{problem['pid']}>", "response": replies[problem["pid"]]} for problem in problems]
    file = write_jsonl(tmp_path / "merge.jsonl", rows)

    def answer(number, content):
        pid = prompt_of(content).split("[Question]\n<")[1].split(">")[0]
        return run[pid][0] or ""

    with judge_server(answer) as server:
        judge(tmp_path, "mathvista", file, server, "--format", "mgm")
    found = scored(tmp_path, "mathvista")
    assert found["metrics"][0]["value"] == pytest.approx(26.1)
    assert len(server.requests) == 1000  # it never answers with a bare number or choice


@shared.needs_fixtures
@pytest.mark.parametrize(
    ("benchmark", "stored", "value"),
    [
        ("mmvet", "mmvet_llava15/llava-v1.5-13b_gpt-4-grade-1runs.json", 36.1468),
        ("llava_bench", "llava_bench_wild_llava15/llava-v1.5-13b-eval1.jsonl", 72.8),
    ],
)
def test_a_judge_that_says_what_gpt_4_did(benchmark, stored, value, tmp_path):
    """The recorded replies, through the server and back, give the published numbers."""
    if benchmark == "mmvet":
        replies = {id: grade["content"][0] for id, grade in shared.read_json(stored).items()}
    else:
        replies = {str(review["question_id"]): review["content"] for review in shared.read_rows(stored)}
    rows = [row(id, "reply", question=f"<{id}>", answer="", context="") for id in replies]
    with judge_server(lambda number, content: replies[prompt_of(content).split("<")[-1].split(">")[0]]) as server:
        judge(tmp_path, benchmark, rows, server)
    assert len(server.requests) == len(replies)
    assert scored(tmp_path, benchmark)["metrics"][0]["value"] == pytest.approx(value, abs=0.05)


def hallusion_rows():
    for i, (reply, answer) in enumerate([("Yes.", "1"), ("No.", "1"), ("Who knows?", "0")]):
        place = {"set_id": "0", "figure_id": "0", "question_id": str(i), "category": "VS", "subcategory": "map"}
        yield {**place, "question": "Is it?", "gt_answer": answer, "gt_answer_details": f"Details {i}.", "reply": reply}


def test_hallusionbench(tmp_path):
    """HallusionBench.json as gold; "not clear" is not "unclear", and no reply is none."""
    rows = list(hallusion_rows())
    gold = tmp_path / "HallusionBench.json"
    gold.write_text(json.dumps(rows))
    file = write_jsonl(
        tmp_path / "answers.jsonl", [{"question_id": f"VS_map_0_0_{i}", "text": r["reply"]} for i, r in enumerate(rows)]
    )
    said = ["Correct", "It is incorrect, not correct.", "unclear"]

    def answer(number, content):
        return next(text for i, text in enumerate(said) if f"Reference answer: Details {i}." in prompt_of(content))

    with judge_server(answer) as server:
        _, lines = judge(tmp_path, "hallusionbench", file, server, "--gold", gold, "--format", "llava")
    assert [line["grade"] for line in lines] == [1, 0, 2]
    assert {line["judge"]["model"] for line in lines} == {"judge-2026"}
    found = scored(tmp_path, "hallusionbench", "--protocol", "official")
    assert found["metrics"][0]["value"] == pytest.approx(200 / 3)
    said[2] = "I would not say so."
    (tmp_path / "cache.jsonl").unlink()
    with judge_server(answer) as server:
        _, lines = judge(tmp_path, "hallusionbench", file, server, "--gold", gold, "--format", "llava")
    assert lines[2]["grade"] is None
    assert scored(tmp_path, "hallusionbench", "--protocol", "official")["paths"] == {"judge": 2, "judge failed": 1}


@pytest.mark.parametrize(
    ("benchmark", "protocol", "other"),
    [("hallusionbench", "official", "vlmevalkit"), ("mathvista", "llava", "rules"), ("mmbench", "llava", None)],
)
def test_the_command_that_is_named_is_the_one_that_uses_the_judge(benchmark, protocol, other, tmp_path, capsys):
    """Another protocol's number does not carry the judge's name."""
    choices = ["1", "2"] if benchmark == "mmbench" else []
    answer = "B" if benchmark == "mmbench" else "1"
    rows = [row(1, "It is what I said.", question="?", answer=answer, **PROBLEM | PLACE | {"choices": choices})]
    with judge_server(
        lambda number, content: {"hallusionbench": "correct", "mathvista": "1", "mmbench": "B"}[benchmark]
    ) as server:
        assert judge(tmp_path, benchmark, rows, server)[0] == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == f"the score: minigemini eval score {benchmark} {tmp_path / 'judged.jsonl'} --protocol {protocol}"
    found = scored(tmp_path, benchmark, "--protocol", protocol)
    assert found["metrics"][0]["value"] == 100
    assert "judge: judge-2026" in found["notes"]
    assert found["judges"][0] == "judge: judge-2026"
    if other:
        found = scored(tmp_path, benchmark, "--protocol", other)
        assert found["judges"] == []
        assert f"the lines hold a judge's grades; {other} does not use them" in found["notes"]
        assert not any(note.startswith("judge: ") for note in found["notes"])


@pytest.mark.parametrize(
    ("said", "points", "path"),
    [
        ("B", 1, "judge"),
        ("The letter is B.", 1, "judge"),
        ("Z", 0, "judge"),
        ("A", 0, "judge"),
        ("Hm.", 0, "judge failed"),
    ],
)
def test_mmbench(said, points, path, tmp_path):
    """Only the reply that the rule cannot read is asked about; a judge that cannot say it has failed."""
    reference = {"choices": ["apple", "banana"], "answer": "B", "question": "Which?"}
    rows = [row(5, "B", **reference), row(1000005, "the yellow one", **reference)]
    with judge_server(lambda number, content: said) as server:
        _, lines = judge(tmp_path, "mmbench", rows, server)
    assert len(server.requests) == 1
    assert "Options:\nA. apple\nB. banana\n\nThe model's reply: the yellow one" in prompt_of(server.requests[0])
    assert "judge" not in lines[0]
    found = scored(tmp_path, "mmbench")
    assert found["verdicts"][1]["path"] == path
    if path == "judge":
        assert found["metrics"][0]["value"] == 100 * points
        assert "judge: judge-2026" in found["notes"]
    else:
        assert found["status"] == "needs judge"


def test_a_prompt_of_ones_own(tmp_path, capsys):
    prompt = tmp_path / "official.txt"
    prompt.write_text("x = {{1}}\n{question} | {answer} | {prediction} | ")
    with judge_server(lambda number, content: "0.5") as server:
        _, (line,) = judge(tmp_path, "mmvet", [mmvet_row(0, "a {answer}")], server, "--judge-prompt", prompt)
    assert prompt_of(server.requests[0]) == "x = {1}\nWhat is it? | a dog <AND> a cat | a {answer} | "
    assert line["judge"]["prompt"]["name"] == "official.txt"
    notes = scored(tmp_path, "mmvet")["notes"]
    assert f"the judge's prompt: official.txt (sha256 {line['judge']['prompt']['sha256']})" in notes
    assert len(line["judge"]["prompt"]["sha256"]) == 12
    capsys.readouterr()
    for text, error in {
        "{question} {answer} {prediction} {image}": "official.txt: the field {image} is unknown; the fields are {question},",
        "{question} {prediction}": "official.txt: the field {answer} is missing; the fields are {question}, {answer},",
        "{question.__class__} {answer} {prediction}": "the field {question.__class__} is unknown",
        "{question} {answer} {prediction} {": "official.txt: Single '{' encountered in format string; a brace",
        "{question} {answer} {prediction} {}": "the field {} is unknown",
    }.items():
        prompt.write_text(text)
        assert judge(tmp_path, "mmvet", [mmvet_row(0)], "http://127.0.0.1:9", "--judge-prompt", prompt) == (1, [])
        assert error in capsys.readouterr().err


def test_our_own_prompts_hold_their_fields():
    fields = {"question": "Q", "answer": "A", "prediction": "P", "context": "C", "choices": "O"}
    wanted = {"mmvet": "QAP", "llava_bench": "QAPC", "mathvista": "QP", "hallusionbench": "QAP"}
    wanted |= {"mmbench": "QPO", "mmbench_cn": "QPO"}
    for benchmark, initials in wanted.items():
        held = {name: f"<{initial}>" for name, initial in fields.items() if initial in initials}
        text = fill(judge_of(benchmark).prompt, held, benchmark)
        assert all(text.count(value) == 1 for value in held.values())
    assert {name for name, one in BENCHMARKS.items() if one.judge} == set(wanted)


@pytest.mark.parametrize(
    ("benchmark", "rows", "more", "error"),
    [
        ("pope", [mmvet_row(0)], (), "'pope' has no judge; those that have one are mmbench, mmbench_cn, mathvista"),
        ("mmvet", [mmvet_row(0) | {"grade": {}}], (), "row '0' is judged already"),
        ("mmvet", [row(0, "x", answer="y")], (), "row '0': nothing says its 'question'; give the gold answers"),
        ("mmvet", [row(0, "x", answer="y") | {"prompt": "A chat."}], (), "row '0': nothing says its 'question'"),
        ("mmvet", [row(0, "x", question="y")], (), "row '0': nothing says its 'answer'"),
        ("llava_bench", [mmvet_row(0)], (), "row '0': nothing says its 'context'"),
        ("mmvet", [mmvet_row(0)], ("--out", "{predictions}"), "predictions.jsonl: is read as well; choose another"),
        ("mmvet", [mmvet_row(0)], ("--judge-prompt", "nowhere.txt"), "nowhere.txt: no such file"),
        ("mmvet", [mmvet_row(0)], ("--url", "judge.example"), "'judge.example' is no URL of a judge"),
        ("mmvet", [], (), "mmvet: no rows"),
    ],
)
def test_refusals(benchmark, rows, more, error, tmp_path, capsys):
    """Before anything is asked."""
    with judge_server(lambda number, content: "1") as server:
        more = [text.format(predictions=tmp_path / "predictions.jsonl") for text in more]
        assert judge(tmp_path, benchmark, rows, server, *more) == (1, [])
    assert error in capsys.readouterr().err
    assert server.requests == []
