"""Each rule on records that it is for, and on those beside them."""

import json
from pathlib import Path

import pytest
from filtering_data import noise
from PIL import Image

from minigemini.conversation import Message, Text, message
from minigemini.data.records import Record
from minigemini.filtering.boilerplate import Boilerplate
from minigemini.filtering.caption_agreement import CaptionAgreement, agreement
from minigemini.filtering.duplicates import EvaluationOverlap, NearDuplicate
from minigemini.filtering.language import Language
from minigemini.filtering.measure import look_at
from minigemini.filtering.picture_rules import AspectRatio, Contrast, Resolution, Unreadable
from minigemini.filtering.rule import Measured
from minigemini.filtering.safety import Safety
from minigemini.filtering.sample import Sample
from minigemini.filtering.text_rules import Length, Patterns, RepeatedCharacters, RepeatedWords
from minigemini.nano import resolve


def said(answer: str, *pictures: Path, question: str = "what is it?") -> Sample:
    shown = message("user", question, [str(picture) for picture in pictures])
    return Sample(Record("a record", (shown, Message("assistant", (Text(answer),)))))


@pytest.mark.parametrize(
    ("rule", "dropped", "kept"),
    [
        (Length(min=3), "two words", "these are three"),
        (Length(max=3), "these are four words", "these are three"),
        (Length(unit="characters", min=5), "four", "fives"),
        (Length(unit="tokens", model="nano", max=6), "a small red circle at the top left", "a small red circle"),
        (RepeatedCharacters(max=5), "so cooooool", "so cooool   !!!!!"),
        (RepeatedWords(max=0.5), "a red dot and " * 6, "a red dot at the left, a blue dot at the right, and a hat"),
        (RepeatedWords(max=0.5), "fine words of some kind\n" + "no, " * 12, "no, no, no"),  # too short to tell
        (Patterns(patterns=["all rights reserved", r"https?://"]), "A hat. All Rights Reserved", "all rights"),
        (Language(languages=["en"], min=0.5), "un petit cercle rouge en haut de la table", "a small red circle"),
        (Language(languages=["en"], min=0.5), "ein kleiner roter Kreis oben auf dem Tisch", "K7 4 x"),
        (Language(languages=["en", "fr"], min=0.5), "маленький красный круг наверху", "un petit cercle rouge en haut"),
    ],
)
def test_texts(rule, dropped, kept):
    assert rule.threshold(rule.measure(said(dropped)))
    assert rule.threshold(rule.measure(said(kept))) is None


def test_pictures(tmp_path):
    noise(tmp_path / "good.png", 0)
    noise(tmp_path / "small.png", 0, (64, 20))
    noise(tmp_path / "thin.png", 0, (640, 64))
    noise(tmp_path / "jpeg.jpg", 0)
    Image.new("RGB", (64, 64), "grey").save(tmp_path / "blank.png")
    on_its_side = Image.Exif()
    on_its_side[0x0112] = 6
    Image.open(tmp_path / "small.png").save(tmp_path / "turned.png", exif=on_its_side)
    rules = {
        "small.png": Resolution(min=32),
        "thin.png": AspectRatio(max=4),
        "blank.png": Contrast(min=2),
        "torn.png": Unreadable(),
        "none.png": Unreadable(),
    }
    (tmp_path / "torn.png").write_bytes((tmp_path / "good.png").read_bytes()[:-50])
    good = tmp_path / "good.png"
    for name, rule in rules.items():
        gone = said("a picture", good, tmp_path / name)  # one bad picture of two is enough
        assert rule.threshold(Measured(*look_at(gone, rule))), name
        assert rule.threshold(Measured(*look_at(said("a picture", good, tmp_path / "jpeg.jpg"), rule))) is None
        assert rule.threshold(Measured(*look_at(said("no picture"), rule))) is None
    assert said("", tmp_path / "turned.png").sizes == [(20, 64)]


def test_a_picture_that_cannot_be_measured_does_not_pass_any_rule_of_pictures(tmp_path):
    for rule in (Resolution(min=1), AspectRatio(max=200), Contrast(min=0)):
        measured = Measured(*look_at(said("a hat", tmp_path / "none.png"), rule))
        assert measured.failed
        assert rule.threshold(measured) == "must be measured"
        assert "none.png" in measured.note


def test_only_what_a_rule_needs_is_opened(tmp_path):
    noise(tmp_path / "torn.png", 0)
    (tmp_path / "torn.png").write_bytes((tmp_path / "torn.png").read_bytes()[:-50])
    assert Resolution(min=1).measure(said("a", tmp_path / "torn.png")).value == 48  # from its head
    assert Length(min=1).measure(said("a", tmp_path / "none.png")).value == 1


def verdicts(rule, samples: list[Sample]) -> list[str | None]:
    """Threshold by which each is dropped."""
    prints = [rule.fingerprint(sample) for sample in samples]
    corpus = rule.compare(lambda: iter(prints))
    found = []
    for number, one in enumerate(prints):
        found.append(rule.threshold(corpus.measure(one)))
        if found[-1] is None:
            corpus.keep(one, f"record {number}")
    return found


NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def test_boilerplate_is_what_many_records_hold():
    notice = "this picture belongs to its maker and may not be copied"
    samples = [said(f"{word} hats. {notice if n < 4 else ''}") for n, word in enumerate(NUMBERS)]
    rule = Boilerplate(max=0.3, at_least=4)
    found = verdicts(rule, samples)
    assert [one is not None for one in found] == [n < 4 for n in range(10)]
    assert set(verdicts(Boilerplate(max=0.4, at_least=4), samples)) == {None}
    assert set(verdicts(Boilerplate(max=0.3, at_least=5), samples)) == {None}
    corpus = rule.compare(lambda: map(rule.fingerprint, samples))
    measured = corpus.measure(rule.fingerprint(samples[0]))
    assert measured.value == 0.4
    assert "in 4 records" in measured.note


def test_near_duplicates_of_pictures_and_text(tmp_path):
    for number in range(3):
        noise(tmp_path / f"{number}.png", number, (96, 96))
    again = tmp_path / "again.jpg"
    Image.open(tmp_path / "0.png").resize((80, 80)).point(lambda grey: min(255, grey + 9)).save(again, quality=80)
    text, other = "a red hat on a chair beside the window", "how many chairs stand in this room of ours?"
    samples = [
        said(text, tmp_path / "0.png"),
        said(other, tmp_path / "0.png"),  # asked about the same picture
        said(text, tmp_path / "1.png"),  # said of another
        said(text.replace("red hat", "red cap"), again),  # nearly the first
        said("only words, and quite some of them, about nothing"),
        said("only words, and quite some of them, about nothing."),
    ]
    least = {"pictures": 0.75, "text": 0.6, "both": 0.6}
    near = {of: verdicts(NearDuplicate(of=of, max=at, same_picture=0.75), samples) for of, at in least.items()}
    gone = {of: [number for number, one in enumerate(found) if one] for of, found in near.items()}
    assert gone == {"pictures": [1, 3], "text": [2, 3, 5], "both": [3, 5]}


def test_the_one_that_stays_is_named(tmp_path):
    rule = NearDuplicate(max=0.8, of="text")
    corpus = rule.compare(lambda: iter(()))
    same = rule.fingerprint(said("a red hat on a chair"))
    assert corpus.measure(same) == Measured(0.0)
    corpus.keep(same, "data.json: record 7")
    assert corpus.measure(same) == Measured(1.0, "like data.json: record 7")


def test_overlap_with_evaluation_sets(tmp_path):
    held = tmp_path / "held"
    (held / "below").mkdir(parents=True)
    for number in range(4):
        noise(tmp_path / f"{number}.png", number, (96, 96))
    Image.open(tmp_path / "0.png").resize((70, 70)).save(held / "below" / "a.jpg")
    record = {"image": "1.png", "caption": "a red hat on a chair"}
    (tmp_path / "eval.jsonl").write_text(json.dumps(record) + "\n")
    samples = [
        said("x", tmp_path / "2.png", tmp_path / "0.png"),
        said("y", tmp_path / "1.png"),
        said("z", tmp_path / "3.png"),
    ]
    rule = EvaluationOverlap(max=0.8, files=[str(held), str(tmp_path / "eval.jsonl")])
    assert [one is not None for one in verdicts(rule, samples)] == [True, True, False]
    twice = [said("z", tmp_path / "3.png"), said("z", tmp_path / "3.png")]
    assert verdicts(rule, twice) == [None, None]  # that they are alike is another rule's
    by_text = EvaluationOverlap(max=0.7, of="text", files=[str(tmp_path / "eval.jsonl")])
    asked = [said("a red hat on a chair", question=""), said("a blue hat under a table", question="")]
    assert [one is not None for one in verdicts(by_text, asked)] == [True, False]
    with pytest.raises(ValueError, match="a folder of pictures, with no text"):
        verdicts(EvaluationOverlap(max=0.7, of="text", files=[str(held)]), asked)
    (tmp_path / "eval.jsonl").write_text('{"question": "?"}\n')
    with pytest.raises(ValueError, match="would let all of them pass"):
        verdicts(rule, asked)


SAFETY = """
def refuse(content):
    if isinstance(content, str):
        return "a weapon" if "gun" in content else None
    if content.size == (33, 33):
        raise RuntimeError("no classifier")
    return "too small" if content.size[0] < 20 else None

def says_yes(content):
    return True
"""


def test_safety_never_fails_open(tmp_path, monkeypatch):
    (tmp_path / "safe_or_not.py").write_text(SAFETY)
    monkeypatch.chdir(tmp_path)
    for name, size in {"good": 64, "small": 16, "strange": 33}.items():
        noise(tmp_path / f"{name}.png", 0, (size, size))
    samples = [
        said("a hat", tmp_path / "good.png"),
        said("a gun", tmp_path / "good.png"),
        said("a hat", tmp_path / "small.png"),
        said("a hat", tmp_path / "strange.png"),
        said("a hat", tmp_path / "none.png"),
    ]
    rule = Safety(function="safe_or_not:refuse")
    measured = rule.load()(samples)
    assert [one.value for one in measured] == [0, 1, 1, None, None]
    assert [rule.threshold(one) for one in measured] == [None, *["must be safe"] * 2, *["must be measured"] * 2]
    assert [one.note for one in measured[1:3]] == ["a weapon", "too small"]
    assert "no classifier" in measured[3].note
    with pytest.raises(ValueError, match=r"a record: safe_or_not:refuse failed.*no classifier"):
        Safety(function="safe_or_not:refuse", on_error="stop").load()(samples)
    (yes,) = Safety(function="safe_or_not:says_yes").load()(samples[:1])
    assert yes.failed
    for wrong, words in {
        "safe_or_not": "not of the form",
        "nowhere_at_all:x": "No module named",
        "safe_or_not:none": "none",
    }.items():
        with pytest.raises(ValueError, match=words):
            Safety(function=wrong)
    assert rule.depends_on() == [str(tmp_path / "safe_or_not.py")]


def test_a_caption_of_ours_must_agree(tmp_path):
    from minigemini.tabletop.language import describe
    from minigemini.tabletop.picture import render
    from minigemini.tabletop.scene import Scene, Thing

    scene = Scene((Thing("large", "red", "circle", 0), Thing("small", "blue", "square", 8)))
    render(scene).save(tmp_path / "scene.png")
    rule = CaptionAgreement(model=str(resolve("nano")), words=3, min=0.5)
    samples = [
        said(describe(scene), tmp_path / "scene.png"),
        said("a small green cross at the center, a large black diamond at the left", tmp_path / "scene.png"),
        said("no picture"),
        said("none there", tmp_path / "none.png"),
    ]
    true, false, wordy, missing = rule.load()(samples)
    assert true.value > 0.9
    assert false.value < 0.3
    assert wordy.value is None
    assert not wordy.failed
    assert missing.failed


def test_agreement_is_rouge():
    assert agreement("a red hat", "A red hat.", 2) == 1
    assert agreement("a red hat", "a blue hat", 1) == pytest.approx(2 / 3)
    assert agreement("hat hat hat", "a hat", 1) == pytest.approx(2 / 5)  # once is once
    assert agreement("hat", "hat", 2) == 0


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (lambda: Length(min=3, unit="tokens"), "goes with unit: tokens"),
        (lambda: Length(min=3, model="nano"), "goes with unit: tokens"),
        (lambda: NearDuplicate(), "neither min nor max"),
        (lambda: NearDuplicate(min=0.3), "its only threshold"),
        (lambda: NearDuplicate(max=1), "its only threshold"),
        (lambda: NearDuplicate(max=0.6, of="pictures"), "from 0.75 on for pictures"),
        (lambda: NearDuplicate(max=0.6, same_picture=0.5), "same_picture: from 0.75 to 1"),
        (lambda: Language(languages=["xx"], min=0.5), "xx: not among"),
        (lambda: Language(languages=[], min=0.5), "languages: there is none"),
        (lambda: Patterns(patterns=["("]), "no regular expression"),
        (lambda: EvaluationOverlap(max=0.9, files=["none.jsonl"]), "none.jsonl: no such file"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, wrong):
    with pytest.raises(ValueError, match=wrong):
        make()
