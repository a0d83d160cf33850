"""A conversation as JSON with its pictures by hash, edits and their tree, and what is refused."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Flag

import pytest
import tiny_pipelines
from PIL import Image

from minigemini.conversation import Image as Shown
from minigemini.conversation import Text, find_prompts, message
from minigemini.engine.local import LocalEngine
from minigemini.engine.request import Decoding
from minigemini.generation.edit import edit_again
from minigemini.generation.image_generator import ImageGenerator
from minigemini.media import open_image
from minigemini.serving.assets import Assets
from minigemini.serving.chat_session import ChatSession
from minigemini.serving.edit_tree import compare, edit_tree
from minigemini.serving.events import Done, ImageDrawn, ImageFailed, Notice
from minigemini.serving.picture_events import DrawingOptions, Parent, parent_of
from minigemini.serving.reply_events import ReplyOptions, reply_events
from minigemini.serving.save_conversation import load_conversation, save_conversation

RED, BLUE = Image.new("RGB", (50, 40), "red"), Image.new("RGB", (40, 50), "blue")
QUICK = DrawingOptions(steps=2)
EDIT = DrawingOptions(steps=2, action="edit")


@pytest.fixture
def session(model, processor, generator):
    return ChatSession(LocalEngine(model, processor), generator, max_new_tokens=24)


def new_session(like, **options):
    return ChatSession(like.engine, like.generator, max_new_tokens=24, **options)


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def answer(events):
    (done,) = of(Done, list(events))
    return done.answer


def test_a_conversation_goes_through_json_and_goes_on(session):
    answer(session.reply(["what is ", RED, " beside ", BLUE, "?"], draw=False))
    answer(session.reply("draw it", draw=True, drawing=DrawingOptions(steps=2, count=2)))
    session.branch()
    answer(session.reply("and now?", draw=False))
    session.switch(0)
    text = json.dumps(session.to_json())
    assert "PIL" not in text

    other = new_session(session)
    other.load(json.loads(text), session.assets)
    assert other.to_json() == session.to_json() == json.loads(text)
    assert other.conversation.turns == session.conversation.turns  # records too, out of the pictures
    assert answer(other.reply("what is it?", draw=False)) == answer(session.reply("what is it?", draw=False))
    assert other.to_json() == session.to_json() != json.loads(text)


def test_a_saved_session_has_all_branches_and_is_loaded(session, tmp_path):
    answer(session.reply("draw", [RED], draw=True, drawing=QUICK))
    session.branch()
    (drawn,) = of(ImageDrawn, session.reply("change it", draw=True, drawing=EDIT))
    folder = save_conversation(session, tmp_path / "saved")
    assert sorted(path.name for path in folder.iterdir()) == ["conversation.html", "conversation.json", "pictures"]
    assert len(list((folder / "pictures").iterdir())) == 3
    assert (folder / "conversation.html").read_text("utf-8").count("<section>") == 2
    other = new_session(session)
    load_conversation(other, folder)
    assert other.to_json() == session.to_json()
    assert other.conversation.turns[-1].drawings[0].record == drawn.record

    (picture,) = {asset.key for asset, _ in other.conversation.turns[-1].pictures}
    (folder / "pictures" / f"{picture}.png").unlink()
    before = other.to_json()
    with pytest.raises(ValueError, match=f"saved.*message 3, part .*no picture '{picture}'"):
        load_conversation(other, folder)
    assert other.to_json() == before


def test_pictures_stay_where_they_were_shown(session):
    answer(session.reply(["a <im", "age> ", RED, "b", BLUE], draw=False))
    (asked, _) = session.conversation.turns
    red, blue = session.assets.put(RED), session.assets.put(BLUE)
    assert asked.message.parts == (Text("a < image> "), Shown(red), Text("b"), Shown(blue))
    assert len(asked.notices) == 1
    session.undo()
    answer(session.reply([RED, "draw", BLUE], draw=True, drawing=QUICK))
    assert session.messages[0].parts == (Shown(red), Text("draw"), Shown(blue), Text(" <GEN>"))


REFUSED = {  # by a word of what is said about it
    "model reads": (["word " * 600], {}),
    "nothing to answer": ([" "], {}),
    "no picture to edit": (["change it"], {"drawing": EDIT}),
    "count": (["draw"], {"drawing": DrawingOptions(count=0)}),
    "seed": (["draw"], {"drawing": DrawingOptions(seed=-1)}),
    "steps": (["draw"], {"drawing": DrawingOptions(steps=0)}),
    "guidance": (["draw"], {"drawing": DrawingOptions(guidance=float("nan"))}),
    "size": (["draw"], {"drawing": DrawingOptions(size=(0, 8))}),
    "filter: words": (["something forbidden"], {}),
    "filter: picture": (["look", BLUE], {}),
}


def forbids(content):
    if isinstance(content, str):
        return "words" if "forbidden" in content else None
    return "picture" if content.getpixel((0, 0)) == (0, 0, 255) else None


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_leaves_the_conversation_as_it_was(session, name):
    session.safety = forbids
    answer(session.reply("hello", [RED], draw=False))
    before = json.dumps(session.to_json())
    said, options = REFUSED[name]
    with pytest.raises(ValueError, match=name):
        session.reply(said, **options)
    assert json.dumps(session.to_json()) == before


def test_a_filter_that_fails_lets_nothing_pass(session):
    def fails(content):
        raise KeyError("no weights")

    session.safety = fails
    with pytest.raises(ValueError, match="the safety filter failed"):
        session.reply("hello")
    assert session.to_json()["branches"][0]["messages"] == []


@pytest.mark.parametrize("what", ["prompt", "picture"])
def test_a_refused_drawing_is_not_shown_and_the_words_are_kept(session, what):
    def refuses(content):
        drawn = not isinstance(content, str) if what == "picture" else content != "draw"
        return "not here" if drawn else None

    session.safety = refuses
    events = list(session.reply("draw", draw=True, drawing=QUICK))
    assert [e.reason for e in of(ImageFailed, events)] == ["refused by the safety filter: not here"]
    assert not of(ImageDrawn, events)
    assert find_prompts(session.messages[-1].text)
    assert session.conversation.turns[-1].drawings == []
    assert "not drawn: refused by the safety filter: not here" in session.conversation.turns[-1].notices


def test_each_request_has_its_own_settings(session):
    options = DrawingOptions(count=2, seed=5, steps=3, guidance=2.0, negative_prompt="red", size=(32, 48))
    events = list(session.reply("draw", draw=True, drawing=options))
    drawn = of(ImageDrawn, events)
    assert [e.record.seed for e in drawn] == [5, 6]
    record = drawn[0].record
    assert (record.steps, record.guidance, record.negative_prompt) == (3, 2.0, "red")
    assert drawn[0].image.size == (32, 48)
    assert len(find_prompts(session.conversation.turns[-1].raw)) == 1  # written once
    assert len(session.messages[-1].parts) == 1

    unread = DrawingOptions(steps=2, guidance=1.0, negative_prompt="red", action="generate")
    events = list(session.reply("draw", draw=True, drawing=unread))
    assert any("negative prompt" in e.text for e in of(Notice, events))
    assert of(ImageDrawn, events)[0].record.seed == 2  # two were drawn before


def test_words_are_sampled_and_stopped_as_asked(session):
    free = answer(session.reply("hello", draw=False))
    session.undo()

    def sampled(seed):
        text = answer(session.reply("hello", draw=False, decoding=Decoding(24, temperature=5.0), seed=seed))
        session.undo()
        return text

    assert sampled(1) == sampled(1) != sampled(2)
    stop = free.strip()[3:6]
    done = answer(session.reply("hello", draw=False, decoding=Decoding(24, stop=(stop,))))
    assert done == free[: free.index(stop)]


def test_which_picture_a_drawing_changes():
    first = Parent(RED, "a large red circle at the left")
    second = Parent(BLUE, "a small blue square at the top")
    both = [first, second]
    assert parent_of("a large green circle at the left", both, DrawingOptions()) is first
    assert parent_of("a small blue square at the bottom", both, DrawingOptions()) is second
    assert parent_of("a castle at the sea in the evening", both, DrawingOptions()) is None
    assert parent_of("a castle", both, DrawingOptions(action="edit")) is second
    assert parent_of(first.prompt, both, DrawingOptions(action="generate")) is None
    assert parent_of(first.prompt, both, DrawingOptions(size=(8, 8))) is None
    again = Parent(RED, first.prompt)
    assert parent_of(first.prompt, [first, second, again], DrawingOptions()) is again
    with pytest.raises(ValueError, match="8x8"):
        parent_of(first.prompt, both, DrawingOptions(action="edit", size=(8, 8)))


@pytest.mark.parametrize(
    ("pipeline", "way"),
    [(tiny_pipelines.pixart, "re-prompt"), (tiny_pipelines.stable_diffusion, "image-to-image")],
)
def test_an_edit_is_made_the_best_way_recorded_and_drawn_again(model, processor, tmp_path, pipeline, way):
    generator = ImageGenerator(pipeline(), "tiny")
    session = ChatSession(LocalEngine(model, processor), generator, max_new_tokens=24, assets=Assets(tmp_path))
    list(session.reply("draw", draw=True, drawing=DrawingOptions(steps=4)))
    (parent,) = session.conversation.turns[-1].pictures
    list(session.reply("make it blue", draw=True, drawing=DrawingOptions(steps=4, action="edit")))
    ((edited, record),) = session.conversation.turns[-1].pictures
    assert record.edit == way
    file = tmp_path / f"{edited.key}.png"
    if way == "re-prompt":
        again, _ = generator.draw_again(edited.record())
    else:
        again, _ = edit_again(generator, edited.record(), parent[0].open())
    assert again == open_image(file)


def test_a_generator_that_is_told_what_to_change_hears_the_users_words(model, processor):
    generator = ImageGenerator(tiny_pipelines.instruct_pix2pix(), "tiny")
    session = ChatSession(LocalEngine(model, processor), generator, max_new_tokens=24)
    square = Image.new("RGB", (32, 32), "red")
    (drawn,) = of(ImageDrawn, session.reply(["make it blue", square], draw=True, drawing=EDIT))
    assert (drawn.record.edit, drawn.record.prompt) == ("instruction", "make it blue")
    assert edit_again(generator, drawn.record, square)[0] == drawn.image
    (failed,) = of(ImageFailed, session.reply("draw", draw=True, drawing=DrawingOptions(action="generate")))
    assert failed.reason


def test_pictures_are_drawn_where_one_says(session):
    asked = [message("user", "draw <GEN>")]
    options = ReplyOptions(Decoding(24), True, drawing=QUICK)
    with ThreadPoolExecutor(1) as thread:
        busy = Flag()
        thread.submit(busy.wait)
        events = reply_events(session.engine.stream, session.generator, asked, options, thread=thread)
        with ThreadPoolExecutor(1) as reader:
            drawn = reader.submit(lambda: of(ImageDrawn, list(events)))
            with pytest.raises(TimeoutError):  # the drawing waits for its turn
                drawn.result(3)
            busy.set()
            assert len(drawn.result(60)) == 1
        assert thread.submit(lambda: True).result()  # and the thread is there for the next


def test_the_edit_tree(session):
    events = list(session.reply("draw", draw=True, drawing=QUICK))
    (first,) = [asset for asset, _ in session.conversation.turns[-1].pictures]
    session.branch()
    list(session.reply("blue", draw=True, drawing=DrawingOptions(steps=2, action="edit", seed=4)))
    (second,) = [asset for asset, _ in session.conversation.turns[-1].pictures]
    session.switch(0)
    list(session.reply("green", draw=True, drawing=DrawingOptions(steps=3, seed=9), parent=first))
    (third,) = [asset for asset, _ in session.conversation.turns[-1].pictures]
    tree = edit_tree(session.branches)
    assert of(ImageDrawn, events)[0].record == tree[first.key].record
    parents = {key: node.parents for key, node in tree.items()}
    assert parents == {first.key: (), third.key: (first.key,), second.key: (first.key,)}
    difference = compare(tree, second.key, third.key)
    assert difference.ancestor == first.key
    assert difference.settings["seed"] == (4, 9)
    assert difference.settings["steps"] == (2, 3)
    assert compare(tree, second.key, first.key).ancestor == first.key
    session.undo()
    assert third.key not in edit_tree(session.branches)
    with pytest.raises(ValueError, match="drawn in this conversation"):
        compare(edit_tree(session.branches), third.key, first.key)


def test_a_reply_can_be_cancelled_before_it_is_read(session):
    events = session.reply("hello", draw=False)
    session.cancel()
    assert of(Done, list(events))[0].finish_reason == "cancelled"


def test_assets_are_what_their_names_say(tmp_path):
    assets = Assets(tmp_path)
    asset = assets.put(RED)
    assert asset.open() == RED
    assert asset.record() is None
    assert Assets(tmp_path).get(asset.key) == asset == Assets().put(RED)
    with pytest.raises(ValueError, match="no picture"):
        assets.get("../" + asset.key)
    (tmp_path / f"{asset.key}.png").write_bytes(Assets().put(BLUE).png)
    with pytest.raises(ValueError, match="was changed"):
        assets.get(asset.key)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"role": "tool"}, "message 0"),
        ({"content": [{"type": "video"}]}, "message 0, part 0"),
        ({"content": [{"type": "image", "image": "0" * 64}]}, "message 0, part 0: there is no picture"),
        ({"notices": None}, "message 0"),
    ],
)
def test_what_is_no_conversation_is_named(session, change, named):
    answer(session.reply("hello", draw=False))
    before = session.to_json()
    given = json.loads(json.dumps(before))
    given["branches"][0]["messages"][0] |= change
    with pytest.raises(ValueError, match=named):
        session.load(given, session.assets)
    assert session.to_json() == before
