"""The web page in a real Chromium, on a real server with the nano."""

import base64
import io
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import KEYS, running  # the one beside
from PIL import Image

from minigemini.generation.generation_record import read_record
from minigemini.generation.image_generator import ImageGenerator
from minigemini.serving.http.app import new_app
from minigemini.serving.http.door import LOOPBACK

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
SCREENSHOTS = os.environ.get("SCREENSHOTS")
"""A folder to keep the README's pictures of the page in (``make screenshots``); drawings take all their steps then."""
PICTURE = Path(__file__).parents[3] / "minigemini" / "serving" / "page" / "examples" / "tags.png"


@pytest.fixture(scope="module")
def address(served):
    if SCREENSHOTS:
        served.generator = ImageGenerator.from_pretrained("nano")
    with running(new_app(served, hosts=LOOPBACK)) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    with visit(browser, address) as page:
        yield page


@contextmanager
def visit(browser, address, refused=0, **options):
    """A new visitor's page. No request of it leaves the machine, and it complains of nothing but what the server refuses.

    Args:
        refused: the status that it refuses something with.
    """
    dots = 2 if SCREENSHOTS else 1
    context = browser.new_context(viewport={"width": 1100, "height": 880}, device_scale_factor=dots, **options)
    page = context.new_page()
    page.set_default_timeout(30_000)
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.goto(address)
    page.wait_for_function(
        "() => document.getElementById('model').textContent || document.querySelector('dialog[open]')"
    )
    yield page
    context.close()
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((f"{address}/", "data:", "blob:"))] == []
    assert [said for said in complaints if f"with a status of {refused}" not in said] == []


def say(page, words, answers):
    """And wait until there are as many answers on the page."""
    page.fill("#words", words)
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('words').value === ''")  # taken: its answer is begun
    page.wait_for_function(
        "n => document.querySelectorAll('article.assistant[aria-busy=false]').length === n", arg=answers, timeout=30_000
    )
    page.wait_for_selector("#send:not([hidden])")


def prompts(page):
    return page.locator("article.assistant .prompt").all_inner_texts()


def keep_screenshot(page, name):
    if SCREENSHOTS:
        page.mouse.move(0, 0)
        page.evaluate("() => document.activeElement.blur()")
        page.wait_for_timeout(500)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        picture.save(Path(SCREENSHOTS) / f"{name}.png", optimize=True)


def test_a_picture_is_asked_about(page):
    page.set_input_files("#files", PICTURE)
    page.wait_for_selector("#attached img[src]")
    say(page, "what is the tag of the yellow circle?", 1)
    assert page.locator("article.assistant").inner_text().split() == ["Answer", "K7"]
    assert page.locator("article.user img").get_attribute("alt") == f"your picture {PICTURE.name}"


def test_where_an_answer_looked_is_shown_over_its_picture(page):
    page.set_input_files("#files", PICTURE)
    page.wait_for_selector("#attached img[src]")
    say(page, "what is the tag of the yellow circle?", 1)
    eye = page.get_by_role("button", name="Where it looked")
    eye.focus()
    page.keyboard.press("Enter")
    overlay = page.get_by_alt_text(f"Where the answer looked in your picture {PICTURE.name}: most at the top left")
    overlay.wait_for()
    assert page.evaluate("document.activeElement.ariaPressed") == "true"  # the focus is where it was
    assert page.evaluate("one => one.naturalWidth / one.naturalHeight", overlay.element_handle()) == 1
    assert "of its attention, most at the top left" in page.inner_text(".looked .made")
    keep_screenshot(page, "page")
    switch = page.get_by_role("switch", name="Overlay", checked=True)
    switch.click()
    assert page.locator(".overlay").get_attribute("alt") == f"your picture {PICTURE.name}"
    page.wait_for_function("() => getComputedStyle(document.querySelector('.overlay')).opacity === '0'")
    eye.click()
    assert page.locator(".looked").count() == 0
    page.click("#new")
    say(page, "how are you?", 1)
    assert eye.count() == 0


def test_draw_edit_twice_undo_branch_and_reload(page):
    say(page, "draw a large red circle at the top left", 1)
    say(page, "make it blue", 2)
    say(page, "move it to the center", 3)
    drawn = [
        "a large red circle at the top left",
        "a large blue circle at the top left",
        "a large blue circle at the center",
    ]
    assert prompts(page) == drawn
    assert [picture.get_attribute("alt") for picture in page.locator("figure img").all()] == drawn
    assert "seed" in page.locator("figure .made").first.inner_text()

    page.click("#undo")
    assert prompts(page) == drawn[:2]
    assert page.input_value("#words") == "move it to the center"
    page.click("#redo")
    assert prompts(page) == drawn

    page.locator("article.user", has_text="make it blue").get_by_label("Change this message").click()
    say(page, "make it green", 2)
    assert prompts(page) == [drawn[0], "a large green circle at the top left"]
    page.locator("article.user", has_text="make it green").get_by_label("Branch before").click()
    assert prompts(page) == drawn

    page.reload()
    page.wait_for_selector("article.assistant >> nth=2")
    assert prompts(page) == drawn
    page.wait_for_function("() => [...document.querySelectorAll('figure img')].every(one => one.naturalWidth > 0)")
    page.click("#show-gallery")
    assert page.locator("#drawings img").count() == 4  # of both branches
    page.emulate_media(color_scheme="dark")
    keep_screenshot(page, "page_branches")


def test_a_prompt_is_changed_by_hand(page):
    say(page, "draw a large red circle at the top left", 1)
    page.get_by_label("Change the prompt and draw again").click()
    page.get_by_label("Prompt of the drawing").fill("a small green cross at the bottom")
    page.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_function(
        "() => document.querySelector('.prompt')?.textContent === 'a small green cross at the bottom'"
    )
    page.wait_for_selector("#send:not([hidden])")
    assert page.locator("article.assistant .branch").inner_text() == "2/2"


def test_an_answer_is_stopped(page, served, generator):
    drawn_with, served.generator = served.generator, generator.with_settings(steps=200)
    try:
        page.fill("#words", "draw a large red circle at the top left")
        page.keyboard.press("Enter")
        preview = page.locator(".underway img")
        preview.wait_for()
        assert preview.get_attribute("alt") == "Not finished: a large red circle at the top left"
        assert page.locator("progress[value]").count() == 1
        page.keyboard.press("Escape")
        page.get_by_text("Stopped.").wait_for()
    finally:
        served.generator = drawn_with
    say(page, "draw a small blue square at the center", 1)  # what got no answer is left beside the branch
    assert prompts(page) == ["a small blue square at the center"]
    assert page.locator("article.user .branch").inner_text() == "2/2"


def set_all(page, **settings):
    page.click("#show-settings")
    for name, value in settings.items():
        field = page.locator(f"#settings [name={name}]")
        field.select_option(value) if name == "action" else field.fill(value)
    page.click("#show-settings")


def drawn(page):
    """The records of the drawings on the page, in the files that one may save."""
    page.wait_for_function("() => [...document.querySelectorAll('a[download]')].every(one => one.href)")
    records = []
    for link in page.locator("a[download]").all():
        with page.expect_download() as saved:
            link.click()
        records.append(read_record(saved.value.path()))
    return records


def test_settings_of_drawings_are_honoured_and_kept(page):
    asked = {"count": "2", "size": "64x48", "steps": "3", "guidance": "2.5", "seed": "7", "negative_prompt": "a square"}
    set_all(page, **asked)
    say(page, "draw a large red circle at the top left", 1)
    records = drawn(page)
    assert [(one.width, one.height, one.steps, one.guidance, one.negative_prompt) for one in records] == [
        (64, 48, 3, 2.5, "a square")
    ] * 2
    assert [one.seed for one in records] == [7, 8]
    first, second = (figure.bounding_box() for figure in page.locator("figure").all())
    assert first["y"] == second["y"]
    page.click("#show-settings")
    page.reload()
    page.wait_for_selector("article.assistant")
    assert {name: page.input_value(f"#settings [name={name}]") for name in asked} == asked
    set_all(page, count="", size="", seed="", action="generate")
    say(page, "make it blue", 2)
    assert (drawn(page)[2].edit, drawn(page)[2].parents) == (None, [])
    page.click("#show-gallery")
    assert page.locator("#drawings .tree > li").count() == 2  # of one prompt, side by side


def test_settings_of_words_are_honoured(page):
    bodies = []
    page.on("request", lambda request: bodies.append(request.post_data_json) if request.method == "POST" else None)
    page.set_input_files("#files", PICTURE)
    page.wait_for_selector("#attached img[src]")
    words = {"stop": "7", "temperature": "0.01", "top_p": "0.9", "seed": "3", "max_tokens": "20"}
    set_all(page, **words)
    page.select_option("#draw", "never")
    say(page, "what is the tag of the yellow circle?", 1)
    assert page.locator("article.assistant p").inner_text() == "K"
    numbers = {"temperature": 0.01, "top_p": 0.9, "seed": 3, "max_completion_tokens": 20, "draw": "never", "stop": "7"}
    assert {name: bodies[0][name] for name in numbers} == numbers
    set_all(page, stop="", max_tokens="1")
    say(page, "and of the red square?", 2)
    page.locator(".notice", has_text="the answer was cut at 1 tokens").wait_for()


def test_what_the_server_refuses_is_said_in_words_and_can_be_tried_again(browser, address):
    with visit(browser, address, refused=400) as page:
        set_all(page, system="Be brief.")
        say(page, "draw a large red circle at the top left", 1)
        page.get_by_role("alert").filter(has_text="system").wait_for()  # the nano's template knows no such role
        set_all(page, system="", size="4000x4000")
        page.get_by_role("button", name="Try again").click()
        assert "2048" in page.get_by_role("alert").filter(has_text="size").inner_text()
        set_all(page, size="48 by 48")
        page.get_by_role("button", name="Try again").click()
        assert page.inner_text("#problem").startswith("Size of drawings")
        page.get_by_role("button", name="All as it was").click()
        page.get_by_role("button", name="Try again").click()
        page.wait_for_selector("figure img[src]")
        assert page.locator("article.assistant .branch").inner_text() == "3/3"


def test_the_key_is_asked_for_once(browser, served):
    with running(new_app(served, KEYS, LOOPBACK)) as address, visit(browser, address, refused=401) as page:
        for key in ("wrong", KEYS[1]):
            page.wait_for_function("() => document.querySelector('dialog[open] input:focus')?.value === ''")
            page.keyboard.type(key)
            page.keyboard.press("Enter")
        page.wait_for_function("() => document.getElementById('model').textContent === 'nano'")
        page.reload()
        page.wait_for_function("() => document.getElementById('model').textContent === 'nano'")
        assert page.locator("dialog[open]").count() == 0


GIVE = """([kind, base64]) => {
  const file = new File([Uint8Array.from(atob(base64), one => one.charCodeAt(0))], "given.png", {type: "image/png"})
  const data = new DataTransfer()
  data.items.add(file)
  const event = kind === "paste" ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true})
    : new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true})
  document.getElementById("words").dispatchEvent(event)
}"""


def test_pictures_are_pasted_and_dropped(page):
    file = base64.b64encode(PICTURE.read_bytes()).decode()
    page.evaluate(GIVE, ["dragenter", file])
    assert page.locator("#drop").is_visible()
    for number, kind in enumerate(("drop", "paste"), 1):
        page.evaluate(GIVE, [kind, file])
        page.wait_for_selector(f"#attached li:nth-child({number}) img[src]")
    assert not page.locator("#drop").is_visible()
    page.get_by_label("Remove given.png").first.click()
    assert page.locator("#attached li").count() == 1

    page.set_input_files("#files", [{"name": "a.svg", "mimeType": "image/svg+xml", "buffer": b"<svg/>"}])
    page.get_by_text("a.svg: not a picture").wait_for()
    page.set_input_files("#files", [{"name": "b.png", "mimeType": "image/png", "buffer": b"nothing"}])
    page.get_by_text("b.png: a broken picture").wait_for()
    assert page.locator("#attached li").count() == 1


def test_conversations_are_kept_renamed_and_deleted(page):
    page.fill("#words", "how are")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("you?")
    page.keyboard.press("Enter")
    page.wait_for_selector("article.assistant[aria-busy=false]")
    assert page.inner_text(".said") == "how are\nyou?"
    page.click("#new")
    assert page.locator("article").count() == 0
    say(page, "what is a square?", 1)
    titles = page.locator("#conversations .open")
    assert titles.all_inner_texts() == ["what is a square?", "how are"]

    page.get_by_label("Rename what is a square?").click()
    page.locator("dialog[open] input").fill("Squares")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Squares").wait_for()
    titles.get_by_text("how are").click()
    page.get_by_text("you?").wait_for()
    page.reload()
    page.get_by_text("you?").wait_for()  # the one that was open
    page.get_by_label("Delete how are").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_function("() => document.querySelectorAll('#conversations li').length === 1")
    page.reload()
    page.locator("#conversations li").wait_for()
    assert titles.all_inner_texts() == ["Squares"]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_a_phone(browser, address, colours):
    with visit(browser, address, color_scheme=colours, has_touch=True) as page:
        page.set_viewport_size({"width": 380, "height": 720})
        say(page, "draw a large red circle at the top left", 1)
        page.click("#show-settings")
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
        page.click("#show-settings")
        assert not page.locator("#new").is_visible()
        page.click("#menu")
        assert page.locator("#new").is_visible()
        page.keyboard.press("Escape")
        if colours == "light":
            keep_screenshot(page, "page_phone")
        light = page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]) > 128")
        assert light == (colours == "light")


def test_everything_has_a_name(page):
    """For those who hear the page: buttons and fields are named, and every picture has a text."""
    say(page, "draw a large red circle at the top left", 1)
    page.click("#show-settings")
    assert page.locator("img:not([alt])").count() == 0
    tree = page.locator("body").aria_snapshot()
    nameless = re.findall(r"^\s*- (?:button|textbox|combobox|spinbutton|link)(?!.* \").*$", tree, re.MULTILINE)
    assert nameless == []
    page.focus("#words")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "choose"
