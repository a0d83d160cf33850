"""`minigemini eval report`: the page in a real browser, its filters clicked, and what untrusted text can do to it (nothing)."""

import base64
import hashlib
import io
import json
import re

import browser
import pytest
import shared
from PIL import Image
from score_command import line, write_jsonl

from minigemini.benchmarks.names import BENCHMARKS
from minigemini.cli import main
from minigemini.evaluation.reporting.expected import EXPECTED, PublishedNumber, read_published
from minigemini.evaluation.reporting.page import as_text, page, page_data
from minigemini.evaluation.reporting.row_pictures import InlinedPictures
from minigemini.evaluation.reporting.stored_run import read_run
from minigemini.evaluation.running.evaluate import evaluate

needs_browser = pytest.mark.skipif(browser.CHROMIUM is None, reason="no chromium")
EVIL = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'\"`${1}<!-- &lt; \u2028"


def choice(id, reply, kind="", **reference):
    reference = {"answer": "A", "choices": ["x y", "z w"], **reference}
    return line(id, reply, reference, kind, prompt=f"question {id}")


def data_of(file):
    stored = re.search('<script type="application/json" id="data">(.*?)</script>', file.read_text("utf-8"), re.DOTALL)
    (part,) = json.loads(stored[1])
    return part


def report(*arguments):
    return main(["eval", "report", *map(str, arguments)])


@pytest.fixture
def two_runs(tmp_path):
    """120 rows of two kinds. Before: every third wrong. Now: every fourth wrong, every tenth unparsable."""
    replies = {
        "before": ["B" if i % 3 == 0 else "A" for i in range(120)],
        "now": ["cannot say" if i % 10 == 1 else "B" if i % 4 == 0 else "A" for i in range(120)],
    }
    return tuple(
        write_jsonl(
            tmp_path / f"{name}.jsonl",
            [choice(i, reply, ("even", "odd")[i % 2], image=i // 2) for i, reply in enumerate(texts)],
        )
        for name, texts in replies.items()
    )


@needs_browser
def test_filters_are_clicked_and_counted(two_runs, tmp_path, capsys):
    before, now = two_runs
    out = tmp_path / "report.html"
    assert report(now, "--against", before, "--benchmark", "ai2d", "--out", out) == 0
    wrong = {i for i in range(120) if i % 4 == 0 or i % 10 == 1}
    was_wrong = set(range(0, 120, 3))
    found = browser.run(
        out,
        """
        const seen = {title: document.title, all: shown(), cards: document.querySelectorAll("article").length};
        const chip = id => document.getElementById(id).querySelector("small").textContent;
        seen.pages = document.getElementById("pages").textContent;
        click("next"); click("next");
        seen.last = ids();
        for (const id of ["verdict-wrong", "verdict-right", "verdict-unparsable", "flip-lost", "flip-gained", "flip-any-flip"]) {
          click(id); seen[id] = [shown(), chip(id)]; seen[id + " ids"] = ids(); click(id);
        }
        seen.afterwards = shown();
        click("verdict-wrong"); click("flip-lost"); seen.both = shown();
        value("kind", "odd"); seen.three = ids();
        click("verdict-all"); click("flip-lost"); seen.odd = shown();
        value("search", "QUESTION 11"); await later(); seen.search = ids();
        value("search", "no such words"); await later(); seen.nothing = document.getElementById("nothing").textContent;
        value("search", ""); await later(); value("path", "unparsable"); seen.path = shown();
        seen.pressed = [...document.querySelectorAll("[aria-pressed=true]")].map(button => button.id);
        return seen;
        """,
    )
    assert (found["title"], found["all"], found["cards"]) == ("ai2d@lmms", 120, 50)
    assert found["pages"] == "previouspage 1 of 3next"
    assert found["last"] == [str(i) for i in range(100, 120)]
    assert found["verdict-wrong"] == [len(wrong), str(len(wrong))]
    assert found["verdict-right"] == [120 - len(wrong), str(120 - len(wrong))]
    assert found["verdict-unparsable ids"] == [str(i) for i in range(1, 120, 10)]
    assert {int(id) for id in found["flip-lost ids"]} == wrong - was_wrong
    assert {int(id) for id in found["flip-gained ids"]} == was_wrong - wrong
    assert found["flip-any-flip"][0] == len(wrong ^ was_wrong)
    assert found["afterwards"] == 120
    assert found["both"] == len(wrong - was_wrong)
    assert {int(id) for id in found["three"]} == {i for i in wrong - was_wrong if i % 2}
    assert found["odd"] == 60
    assert found["search"] == ["11", "111", "113", "115", "117", "119"]
    assert found["nothing"] == "No row passes all filters."
    assert found["path"] == 12
    assert found["pressed"] == ["verdict-all"]


@needs_browser
def test_the_numbers_on_the_page(two_runs, tmp_path, capsys):
    before, now = two_runs
    out = tmp_path / "report.html"
    assert report(now, "--against", before, "--benchmark", "ai2d", "--out", out) == 0
    text = browser.run(out, "return document.body.innerText;")
    wrong = sum(i % 4 == 0 or i % 10 == 1 for i in range(120))
    assert f"{100 - wrong / 1.2:.2f} %" in text
    assert "Unparsable, counted as wrong: 12 of 120 (10.0 %)" in text
    assert "120 rows; the published data has 3088 (test): not comparable" in text
    assert "66.67 %" in text  # before
    assert "rows gained" in text
    assert "not resolvable at n = 120 on 60 images" in text


@needs_browser
def test_untrusted_text_stays_text(tmp_path, capsys):
    """In every place that a file can fill; no answer could be right to such a gold answer, so it is refused before."""
    rows = [choice(EVIL + "1", EVIL, EVIL, answer="A", image=EVIL), choice(EVIL + "2", "A", "all", image="2")]
    rows[0]["prompt"] = EVIL
    file = write_jsonl(tmp_path / "evil.jsonl", rows)
    out = tmp_path / "report.html"
    assert report(file, "--against", file, "--benchmark", "ai2d", "--out", out) == 0
    assert out.read_text("utf-8").count("<script") == 2
    data = data_of(out)
    assert {data["rows"][0][key] for key in ("kind", "prompt", "answer", "image")} == {EVIL}
    body = """
        const texts = [...document.querySelectorAll("article")][0].innerText;
        const kind = document.getElementById("kind");
        kind.selectedIndex = 2;
        kind.dispatchEvent(new Event("change"));
        return {title: document.title, texts, all: document.querySelectorAll("script, img, iframe, object, link").length,
                kind_all: ids(), inline: document.querySelectorAll("[onerror], [onclick], [onload]").length};
    """
    found = browser.run(out, body)
    assert found["title"] == "ai2d@lmms"
    assert found["all"] == 3  # data, the page's script, ours
    assert found["inline"] == 0
    assert found["texts"].count("document.title='owned'</script>") >= 6
    assert found["kind_all"] == [EVIL + "2"]  # a kind with the name "all" is a kind


@needs_browser
def test_the_policy_keeps_a_foreign_script_and_the_network_out(two_runs, tmp_path, capsys):
    out = tmp_path / "report.html"
    assert report(two_runs[0], "--benchmark", "ai2d", "--out", out) == 0
    text = out.read_text("utf-8")
    policy = re.search('Content-Security-Policy" content="([^"]*)"', text)[1]
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert not re.search(r'(src|href)="?(https?:)?//', text)
    out.write_text(text.replace("</body>", "<script>document.title = 'owned'</script></body>"))
    found = browser.run(out, "let reached = true; try { await fetch('data:,x'); } catch { reached = false; }"
                             "return [document.title, reached];")  # fmt: skip
    assert found == ["ai2d@lmms", False]


@needs_browser
@shared.needs_fixtures
def test_nine_thousand_rows(tmp_path, capsys):
    rows = shared.read_rows("pope_llava15_13b/rows.jsonl.gz")
    lines = []
    for row in rows:
        reference = {"answer": row["label"], "image": row["image"]}
        lines.append(line(row["question_id"], row["response"], reference, row["category"], prompt=row["question"]))
    out = tmp_path / "report.html"
    assert report(write_jsonl(tmp_path / "pope.jsonl", lines), "--benchmark", "pope", "--out", out) == 0
    assert out.stat().st_size < 3e6
    found = browser.run(
        out,
        """
        const seen = {all: shown(), cards: document.querySelectorAll("article").length};
        click("verdict-wrong"); seen.wrong = shown();
        value("kind", "random"); seen.random = shown();
        value("search", "snowboard"); await later(); seen.search = shown();
        seen.text = document.getElementById("summary").innerText;
        return seen;
        """,
    )
    wrong = [row for row in rows if row["response"].lower() != row["label"]]
    random = [row for row in wrong if row["category"] == "random"]
    assert (found["all"], found["cards"], found["wrong"]) == (8910, 50, len(wrong))
    assert found["random"] == len(random) == 349
    assert found["search"] == sum("snowboard" in row["question"] for row in random) > 0
    assert re.search(r"LLaVA-1.5-13B\s+85.9\s+commit e3e3926", found["text"])
    assert re.search(r"this run\s+85.95", found["text"])
    assert "MODEL_ZOO.md" in found["text"]


def test_images_of_a_benchmark(tmp_path, capsys):
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    Image.new("RGB", (640, 320), "red").save(folder / "sub" / "one.jpg")
    Image.new("RGBA", (40, 20), (0, 0, 255, 255)).save(folder / "two.png")
    Image.new("RGB", (8, 8), "white").save(tmp_path / "secret.png")
    names = ["sub/one.jpg", "two", "sub/one.jpg", "../secret.png", str(tmp_path / "secret.png"), "none.jpg"]
    rows = [choice(i, "A", image=name) for i, name in enumerate(names)]
    file, out = write_jsonl(tmp_path / "run.jsonl", rows), tmp_path / "report.html"
    assert report(file, "--benchmark", "ai2d", "--data", folder, "--out", out) == 0
    assert f"3 images are not in {folder}, such as ../secret.png" in capsys.readouterr().out
    data = data_of(out)
    assert [[one["picture"] for one in row["pictures"]] for row in data["rows"]] == [[0], [1], [0], [], [], []]
    shown = [Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) for uri, _ in data["pictures"]]
    assert [(image.format, image.size) for image in shown] == [("JPEG", (256, 128)), ("PNG", (40, 20))]
    assert shown[1].getpixel((0, 0)) == (0, 0, 255)
    (folder / "two.png").write_text("no picture")
    assert report(file, "--benchmark", "ai2d", "--data", folder, "--out", out) == 1
    assert "two.png: not a picture" in capsys.readouterr().err
    assert report(file, "--benchmark", "ai2d", "--data", tmp_path / "nowhere", "--out", out) == 1


def test_a_run_that_needs_a_judge_is_shown_without_a_number(tmp_path, capsys):
    file = write_jsonl(tmp_path / "a.jsonl", [{"id": "v1_0", "prediction": "a cat", "reference": {}}])
    out = tmp_path / "report.html"
    assert report(file, "--benchmark", "mmvet", "--out", out) == 0
    data = data_of(out)
    assert (data["status"], data["metrics"], data["rows"][0]["points"]) == ("needs judge", [], None)
    assert report(file, "--benchmark", "mmvet", "--model", "nano", "--out", out) == 1
    assert "does not say which weights answered" in capsys.readouterr().err


def test_readings_and_gold_answers_as_text():
    assert as_text(None) == ""
    assert as_text("B") == "B"
    assert as_text(["red", "red", "blue"]) == "red (2), blue"
    assert as_text([0.5, "x"]) == '[0.5, "x"]'


# The tabletop, answered by a tiny random model

SUITE = """
batch_size: 3
parts:
  tabletop:
    seed: 5
    examples_per_kind: 3
    image_generator: {folder}/generator
    kinds: {{colour: {{}}, edit_1: {{}}, draw_or_answer: {{}}, drawn_picture: {{}}}}
"""


@pytest.fixture(scope="module")
def answered(checkpoints, tmp_path_factory):
    folder = tmp_path_factory.mktemp("answered")
    (folder / "suite.yaml").write_text(SUITE.format(folder=checkpoints))
    evaluate(str(folder / "suite.yaml"), str(checkpoints / "model"), folder / "run", controls=False)
    return folder / "run"


def test_where_a_tabletop_answer_looked(answered, checkpoints, tmp_path, capsys):
    out = tmp_path / "report.html"
    assert report(answered, "--model", checkpoints / "model", "--pictures", 2, "--out", out) == 0
    data = data_of(out)
    assert [row["kind"] for row in data["rows"]] == [
        kind for kind in ("colour", "edit_1", "draw_or_answer", "drawn_picture") for _ in range(3)
    ]
    for row in data["rows"]:
        pictures = [one for one in row["pictures"] if not one["looked"]]
        if row["kind"] == "drawn_picture":
            assert [one["caption"] for one in pictures] == ["drawn"]
        if row["kind"] == "colour":
            assert len(pictures) == 1
    looked = [one["caption"] for row in data["rows"] for one in row["pictures"] if one["looked"]]
    assert len([row for row in data["rows"] if any(one["looked"] for one in row["pictures"])]) == 2
    assert len(looked) == 4
    assert re.fullmatch(r"where the answer looked: \d+% of its attention is here.*", looked[0])
    assert looked[1] == "mining: where each token looks in its cell"
    assert "where the answer looked is drawn for 2 rows" in data["notes"][-1]
    for row in data["metrics"]:
        assert row["name"] in ("mean of kinds", "colour", "edit_1", "draw_or_answer", "drawn_picture")


def test_another_model_did_not_answer(answered, checkpoints, tmp_path, capsys):
    out = tmp_path / "report.html"
    assert report(answered, "--model", checkpoints / "low_res", "--out", out) == 1
    assert "has other weights than the model that answered" in capsys.readouterr().err
    assert not out.exists()


def test_other_examples_are_not_shown_for_these_answers(answered, tmp_path, capsys):
    results = json.loads((answered / "tabletop" / "results.json").read_text())
    folder = tmp_path / "run"
    (folder / "model").mkdir(parents=True)
    (folder / "drawn").mkdir()
    for part in ("model", "drawn"):
        (folder / part / "predictions.jsonl").write_bytes(
            (answered / "tabletop" / part / "predictions.jsonl").read_bytes()
        )
    results["about"]["seed"] = 6
    (folder / "results.json").write_text(json.dumps(results))
    assert report(folder, "--out", tmp_path / "report.html") == 1
    assert "is another example today" in capsys.readouterr().err


# Published numbers


def test_read_published_are_of_known_protocols():
    """MMMU's test set is scored by EvalAI alone."""
    numbers = read_published()
    keys = [(one.benchmark, one.split, one.metric, one.protocol, one.model) for one in numbers]
    assert len(set(keys)) == len(keys)
    for one in numbers:
        if one.benchmark not in ("tabletop", "mmmu_test"):
            assert one.protocol in BENCHMARKS[one.benchmark].protocols, one
        assert one.source
        assert one.value > 0 or one.benchmark == "tabletop", one
    value = {(one.model, one.benchmark, one.metric): one.value for one in numbers}
    assert value["MGM-34B-HD", "mme", "cognition"] == 482
    assert value["MGM-7B", "textvqa", "accuracy"] == 65.2
    assert value["LLaVA-1.5-13B", "scienceqa", "IMG accuracy"] == 71.6
    shipped = {one["name"]: one["value"] for one in json.loads((EXPECTED / "nano.json").read_text())["metrics"]}
    assert value["nano", "tabletop", "tag"] == shipped["tag"] > 70
    assert sum(one.model.startswith("MGM") for one in numbers) == 8 * 11 - 5


def test_read_published_stand_beside_their_own_protocol_only(tmp_path):
    rows = [{"id": str(i), "prediction": "red", "reference": {"answers": ["red"] * 10}} for i in range(5000)]
    file, part = write_jsonl(tmp_path / "run.jsonl", rows), write_jsonl(tmp_path / "part.jsonl", rows[:-1])
    shown = {}
    for name, predictions, protocol in (("llava", file, "llava"), ("lmms", file, "lmms"), ("part", part, "llava")):
        run = read_run(predictions, "textvqa", protocol)
        shown[name] = page_data(run, None, [[] for _ in run.verdicts], InlinedPictures(), [])["published"]
    assert shown["lmms"] == shown["part"] == {"metrics": [], "models": [], "sources": []}
    assert len(shown["llava"]["models"]) == 13
    assert {model["split"] for model in shown["llava"]["models"]} == {"val, OCR tokens in the prompt"}
    assert len(shown["llava"]["sources"]) == 2


def test_a_wrong_entry_is_named(tmp_path):
    entry = vars(PublishedNumber("mme", "", "perception", "llava", "m", 1.0, "s"))
    (tmp_path / "a.json").write_text(json.dumps([entry, entry | {"note": "?"}]))
    with pytest.raises(ValueError, match=r"a.json, entry 1: .*note"):
        read_published(tmp_path)


def test_the_same_run_gives_the_same_bytes(two_runs):
    run = read_run(two_runs[0], "ai2d")
    made = [page([page_data(run, None, [[] for _ in run.verdicts], InlinedPictures(), [])]) for _ in range(2)]
    assert made[0] == made[1]
