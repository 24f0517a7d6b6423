"""The slides: whole, in order, alone, and for everybody; an answer waits until it is asked for."""

import re
from dataclasses import replace
from itertools import accumulate

import nbformat
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import expect

from course_lib.check.question import questions
from course_lib.plans import load_plans, sections_of
from tests.axe import violations
from tests.browser import real_browser
from tests.play.browsers import firefox, wait_for
from tools import build_slides
from tools.build_slides import slides_page
from tools.course_files import ROOT
from tools.deck import deck, title_of

PLANS = {part.id: part for plan in load_plans().values() for part in plan.parts}
ROOM = "http://192.168.1.5:8765/#7K4QX"
LAPTOP, PHONE = {"width": 1280, "height": 720}, {"width": 320, "height": 640}
PLAY = """<!doctype html><title>Play</title><body><script>
document.body.append(location.hash);
parent.postMessage("it runs", "*");
</script>"""
OVERFLOW = """() => {
  const stage = document.querySelector(".now .stage");
  return [stage.scrollHeight - stage.clientHeight, stage.scrollWidth - stage.clientWidth];
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The decks, and beside them something that stands for the play page."""
    folder = tmp_path_factory.mktemp("build")
    (folder / "play").mkdir()
    (folder / "play" / "inside-an-llm.html").write_text(PLAY, encoding="utf-8")
    assert build_slides.main([str(folder / "slides"), "--room", ROOM]) == 0
    return folder / "slides"


@pytest.fixture(scope="module")
def browser():
    with real_browser() as browser:
        yield browser


@pytest.fixture
def opened(folder, browser):
    """Opens a plan's deck; at the end nothing was asked of anybody, and nothing went wrong."""
    pages, asked, wrong = [], [], []

    def open_deck(name="90-minutes", view=LAPTOP, theme="light", hash=""):
        page = browser.new_page(viewport=view, color_scheme=theme)
        pages.append(page)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        page.goto((folder / f"{name}.html").as_uri() + hash)
        page.locator("html[data-ready]").wait_for()
        return page

    yield open_deck
    for page in pages:
        page.close()
    assert wrong == [] and [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.fixture(scope="module")
def soups(folder):
    return {
        name: BeautifulSoup((folder / f"{name}.html").read_bytes(), "html.parser") for name in PLANS
    }


def kept_cells(plan):
    """The cells of a plan's sections, in order."""
    for step in plan.steps:
        if step.notebook:
            (path,) = (ROOT / "notebooks").glob(f"{step.notebook}_*.ipynb")
            notebook = nbformat.read(path, as_version=4)
            have = dict(sections_of(notebook))
            yield from (notebook.cells[i] for section in step.sections for i in have[section])


def place(soup_or_page, text):
    """The number of the first slide whose title begins with `text`."""
    for slide in soup_or_page.select(".slide"):
        if slide.select_one(".title").get_text().startswith(text):
            return int(slide["id"])
    raise AssertionError(f"no slide begins with {text}")


# ---- What is in it ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLANS)
def test_every_step_is_there_with_its_minutes_and_its_clock(name, soups):
    plan, steps = PLANS[name], soups[name].select(".slide.step")

    begins = [0, *accumulate(step.minutes for step in plan.steps)]
    wanted = [
        (step.what.lower(), f"{at // 60}:{at % 60:02d} for {step.minutes} minutes")
        for step, at in zip(plan.steps, begins, strict=False)
    ]
    found = [(s.h2.get_text().lower(), s.select_one(".when").get_text()) for s in steps]
    assert found == wanted


@pytest.mark.parametrize("name", PLANS)
def test_every_picture_is_there_once_with_its_words(name, soups):
    cells = list(kept_cells(PLANS[name]))
    words = [
        output.data["text/plain"]
        for cell in cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    drawn = [alt for cell in cells for alt in re.findall(r"!\[([^\]]+)\]\(\S+\.svg\)", cell.source)]
    images = soups[name].select(".card img")

    assert [image["alt"] for image in images if "/png;" in image["src"]] == list(
        dict.fromkeys(words)
    )
    assert [image["alt"] for image in images if "/svg+xml;" in image["src"]] == drawn
    assert len(words) > 2 and (drawn or name.startswith("two-days"))


@pytest.mark.parametrize("name", PLANS)
def test_every_guess_is_asked_once_and_the_quiz_at_the_end(name, soups):
    code = "\n".join(c.source for c in kept_cells(PLANS[name]) if c.cell_type == "code")
    guesses = re.findall(r'^guess\("([\w-]+)"\)', code, re.M)
    slides = soups[name].select(".slide")
    asked = [slide for slide in slides if slide.select_one(".answer")]
    quiz = PLANS[name].quiz

    assert [slide.select_one(".answer")["data-guess"] for slide in asked] == [*guesses, *quiz]
    assert slides[-len(quiz) - 1 : -1] == asked[-len(quiz) :]
    assert {vote for step in PLANS[name].steps for vote in step.votes} <= set(guesses)
    numbers = [questions()[one].notebook.partition("_")[0] for one in quiz]
    assert list(dict.fromkeys(numbers)) == list(
        dict.fromkeys(s.notebook for s in PLANS[name].steps if s.notebook)
    )
    for slide in asked:
        one = questions()[slide.select_one(".answer")["data-guess"]]
        assert slide.h2.get_text() == one.ask
        listed = [option.get_text() for option in slide.select(".body > .options > li")]
        assert listed == [option.text for option in one.options]
        answer = slide.select_one(".answer").get_text()
        told = [one.why, *(each.why for each in (*one.options, *one.traps))]
        assert all(why in answer for why in told)
        [right] = slide.select(".right")
        so = one.option(one.right).text if one.options else one.told(one.answer)
        assert right.b.get_text() == so


def test_a_picture_has_its_finding_as_title():
    assert title_of("Loss curve, training: from 1", "curve(losses)") == ""
    assert title_of("4 views, a strange fourth: b", 'f("a strange fourth")') == "a strange fourth"
    assert title_of("Bars, Six leads all: a 1", 'bars(x, "Six leads all")') == "Six leads all"
    titles = [slide.title for slide in deck(PLANS["90-minutes"]) if slide.finding]
    assert "Virat Tendulkar bats like Sachin" in titles and len(titles) == len(set(titles)) == 5


def test_notes_say_for_whom_and_what_to_leave(soups):
    for name, soup in soups.items():
        notes = soup.select_one(".slide").aside.get_text()
        assert f"{PLANS[name].slack} minutes at the end are slack." in notes
        assert all(remark.replace("`", "") in notes for remark in PLANS[name].remarks.values())
    assert "For schools:" in soups["two-days-1"].select_one(".slide").get_text()
    assert "Let learners write the loop, play the game" in soups["two-days-2"].aside.get_text()


def test_what_we_know_waits_for_the_end_and_exercises_have_names(soups):
    slides = soups["two-days-1"].select(".slide")
    titles = [slide.select_one(".title").get_text() for slide in slides]

    assert "What we now know" not in titles and titles[-1] == "What do we know now?"
    assert "A language model on a disk is a large file of numbers" in slides[-1].aside.get_text()
    (names,) = slides[titles.index("Exercises")].select(".sections")
    assert "How few? (20 minutes or as long as you like, a leaderboard)" in names.get_text()
    assert len(names.select("li")) == 5


def test_what_is_written_in_class_stands_on_a_slide(soups):
    slide = soups["two-days-3"].select(".slide")[place(soups["two-days-3"], "Who may look") - 1]
    assert [line for line in slide.pre.get_text().split("\n") if line.startswith("def ")] == [
        "def causal_mask(T):",
        "def attention(q, k, v):",
    ]
    helpers = soups["two-days-3"].select(".slide")[place(soups["two-days-3"], "Three helpers") - 1]
    assert "def " not in helpers.pre.get_text()  # these are for the evening


def test_what_others_wrote_stays_text():
    evil = "<script>alert(1)</script> & 'x' \""
    plan = PLANS["90-minutes"]
    steps = (replace(plan.steps[-1], what=evil, say=evil, late=evil),)
    soup = BeautifulSoup(
        slides_page(replace(plan, title=evil, audience=evil, steps=steps)), "html.parser"
    )

    assert len(soup.select("script")) == 1 and soup.h1.get_text() == soup.title.get_text() == evil
    assert soup.select_one(".slide.step aside").get_text().count(evil) == 2


def test_the_room_stands_on_the_first_slide(soups, capsys, tmp_path):
    first = soups["half-day"].select_one(".slide")
    assert first.img["alt"] == f"QR code of {ROOM}" and first.img["src"].startswith(
        "data:image/svg"
    )
    assert first.a["href"] == ROOM
    assert not BeautifulSoup(slides_page(PLANS["half-day"]), "html.parser").select(".room")
    assert build_slides.main([str(tmp_path), "--room", "javascript:alert(1)"]) == 1
    assert "expected the room's address, as http://" in capsys.readouterr().err


def test_a_quiz_is_made_of_quiz_questions():
    with pytest.raises(ValueError, match="six-share is no quiz"):
        deck(replace(PLANS["90-minutes"], quiz=("six-share",)))


def test_a_step_plays_on_what_the_play_page_has():
    plan = PLANS["90-minutes"]
    with pytest.raises(ValueError, match="has chat and explorer, and no 'piano'"):
        deck(replace(plan, steps=(replace(plan.steps[-1], play="piano"),)))


# ---- In a browser -------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("name", PLANS)
def test_no_answer_is_seen_before_it_is_asked_for(name, opened):
    page = opened(name, PHONE)  # all slides below one another
    text = page.locator("body").inner_text()
    asked = [
        questions()[fold]
        for fold in page.locator(".answer").evaluate_all(
            "all => all.map((one) => one.dataset.guess)"
        )
    ]
    whys = [why for one in asked for why in (one.why, *(o.why for o in one.options)) if why]

    assert len(whys) > 10 and not [why for why in whys if why in text]
    page.evaluate("document.querySelectorAll('.answer').forEach((one) => { one.open = true; })")
    open_text = page.locator("body").inner_text()
    assert [why for why in whys if why not in open_text] == []
    folds = page.locator("details.behind")
    assert folds.count() > 2
    expect(page.locator("details.behind:not([open])")).to_have_count(0)


@pytest.mark.browser
def test_keys_lead_through_it_and_first_to_the_answer(opened, soups):
    at = place(soups["90-minutes"], '"Virat Tendulkar"')
    page = opened(hash=f"#{at}")
    slide, keys = page.locator(f'[id="{at}"]'), page.keyboard
    total = len(deck(PLANS["90-minutes"]))
    seen = page.locator(".slide:visible")
    right = slide.locator(".right")

    expect(seen).to_have_count(1)
    expect(slide).to_be_visible()
    expect(right).to_be_hidden()
    keys.press("Space")
    expect(right).to_contain_text("Sachin Tendulkar's")
    for key, moved in (
        ("ArrowRight", 1), ("ArrowLeft", 0), ("PageDown", 1), ("ArrowDown", 2), ("ArrowUp", 1),
        ("PageUp", 0), ("Space", 1),
    ):  # fmt: skip
        keys.press(key)
        expect(page).to_have_url(re.compile(f"#{at + moved}$"))
        expect(seen).to_have_attribute("id", str(at + moved))
    expect(page.locator(".now .title")).to_be_visible()  # the result opened with the answer
    expect(page.locator("#place")).to_have_text(f"{at + 1} of {total}")
    expect(page.locator("#clock")).to_contain_text("plan 0:25")
    keys.press("End")
    expect(page.locator(".now .title")).to_have_text("What do we know now?")
    keys.press("Home")
    expect(page.locator("h1")).to_be_visible()
    page.evaluate("location.hash = '#7'")
    expect(seen).to_have_attribute("id", "7")
    page.get_by_role("button", name="Back").click()
    expect(seen).to_have_attribute("id", "6")
    keys.press("Space")  # goes on, and doesn't press Back again
    expect(seen).to_have_attribute("id", "7")
    keys.press("ArrowLeft")
    expect(page.locator("#heard")).to_contain_text(f"Slide 6 of {total}: ")


@pytest.mark.browser
def test_a_swipe_leads_through_it_and_a_scroll_does_not(opened):
    page = opened(hash="#2")
    swipe = """([across, down]) => {
        const target = document.body;
        const at = (clientX, clientY) => new Touch({ identifier: 1, target, clientX, clientY });
        const start = at(600, 300), end = at(600 + across, 300 + down);
        const said = (kind, touches) => target.dispatchEvent(
            new TouchEvent(kind, { touches, changedTouches: [end], bubbles: true }));
        said("touchstart", [start]);
        said("touchend", []);
    }"""
    seen = page.locator(".slide:visible")
    for move, number in ((-200, 20), 3), ((30, 0), 3), ((-100, 90), 3), ((200, 0), 2):
        page.evaluate(swipe, move)
        expect(seen).to_have_attribute("id", str(number))


@pytest.mark.browser
def test_letters_show_notes_and_help_and_can_be_switched_off(opened, soups):
    page = opened(hash=f"#{place(soups['90-minutes'], 'Base, SFT')}")
    notes, keys = page.locator(".now .notes"), page.keyboard

    expect(notes).to_be_hidden()
    keys.press("n")
    expect(notes).to_contain_text('Then ask "What is the main language of Dukiland?"')
    expect(notes).to_contain_text("When you are late, cut: the country, 5 minutes.")
    expect(page.get_by_role("button", name="Notes")).to_have_attribute("aria-pressed", "true")
    keys.press("?")
    help = page.get_by_role("dialog", name="Keys")
    help.get_by_label("n, f and ? are keys").uncheck()
    keys.press("Escape")
    expect(help).to_be_hidden()
    page.locator("body").click(position={"x": 5, "y": 5})
    keys.press("n")
    expect(notes).to_be_visible()
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("document.fullscreenElement")


@pytest.mark.browser
def test_the_live_page_comes_when_it_is_asked_for(opened, soups):
    page = opened(hash=f"#{place(soups['90-minutes'], 'Next token after')}")
    assert page.locator("iframe").count() == 0
    page.keyboard.press("ArrowRight")  # opens the fold: the guess before it was never asked
    live = page.locator(".now .live")
    address = live.get_by_role("link").get_attribute("href")
    assert address.startswith("../play/inside-an-llm.html#%7B%22text%22")
    live.get_by_role("button", name="Run it here").click()
    state = address.partition("#")[2]
    expect(live.frame_locator("iframe").locator("body")).to_contain_text(state)
    expect(live.locator(".card")).to_have_count(0)


@pytest.mark.browser
@pytest.mark.parametrize("name", PLANS)
def test_every_slide_fits(name, opened):
    page, too_large, n = opened(name), [], len(deck(PLANS[name]))
    for number in range(1, n + 1):
        page.evaluate("(to) => { location.hash = to; }", f"#{number}")
        page.locator(f'[id="{number}"].now').wait_for()
        sizes = [page.evaluate(OVERFLOW)]
        page.evaluate(
            "document.querySelectorAll('.now details').forEach((one) => { one.open = true; })"
        )
        sizes.append(page.evaluate(OVERFLOW))
        too_large += [(number, size) for size in sizes if max(size) > 0]
    assert too_large == []
    page.set_viewport_size(PHONE)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.get_by_role("button", name="Notes").click()
    assert page.locator(".slide:visible").count() == n
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_use_it(theme, opened):
    page = opened(theme=theme)
    seen = set()
    for number, slide in enumerate(deck(PLANS["90-minutes"], ROOM), 1):
        if slide.kind in seen:
            continue
        seen.add(slide.kind)
        page.evaluate("(to) => { location.hash = to; }", f"#{number}")
        page.locator(f'[id="{number}"].now').wait_for()
        if page.locator(".now details:not([open])").count():
            page.keyboard.press("Space")
        assert violations(page, "html") == []
    page.keyboard.press("n")
    page.keyboard.press("?")
    assert violations(page, "html") == []
    assert len(seen) == 8

    page = opened(view=PHONE, theme=theme)
    assert violations(page, "html") == []
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.get_by_role("button", name="Notes").click()
    assert violations(page, "html") == []


@pytest.mark.browser
def test_the_page_allows_itself_nothing_from_elsewhere(folder, browser):
    page = browser.new_page()
    page.goto((folder / "90-minutes.html").as_uri())
    refused = """(address) => new Promise((told) => {
        addEventListener("securitypolicyviolation", (event) => told(event.violatedDirective));
        document.body.append(Object.assign(new Image(), { src: address }));
    })"""
    assert page.evaluate(refused, "http://127.0.0.1:9/picture.png") == "img-src"
    page.close()


@pytest.mark.browser
def test_firefox_shows_it_from_the_disk_too(folder, tmp_path):
    with firefox(tmp_path) as browser:
        browser.open((folder / "90-minutes.html").as_uri() + "#7")
        now = "document.querySelector('.slide.now')?.id"
        wait_for(lambda: browser.evaluate(f"{now} ?? null") == "7", "slide 7")
        answer = "document.querySelector('.now .right').checkVisibility()"
        assert not browser.evaluate(answer)
        browser.type(" ")
        wait_for(lambda: browser.evaluate(answer), "the answer")
        browser.type("\ue014")  # the arrow to the right
        wait_for(lambda: browser.evaluate(f"{now} ?? null") == "8", "slide 8")
        assert browser.evaluate("document.querySelector('.now img').naturalWidth") > 100
        assert browser.evaluate(OVERFLOW.replace("() =>", "(() =>", 1) + ")()") == [0, 0]
        live = "document.querySelector('.live button')"
        browser.evaluate(f"{live}.click()")
        wait_for(
            lambda: browser.evaluate("document.querySelector('iframe')?.src ?? null"), "the page"
        )
        assert browser.errors() == []
