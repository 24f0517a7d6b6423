"""The site: whole, described, alone, and for everybody; its explorers and chats run."""

import functools
import http.server
import os
import re
import threading
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from playwright.sync_api import expect

from course_lib.plans import load_plans
from tests.axe import violations
from tests.browser import real_browser
from tools import build_site, make_bundle
from tools.live_states import live_of

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
READ = "notebooks/02_next_token_prediction.html"  # the one with two explorers and many guesses
RESOURCES = "script[src], img[src], iframe[src], source[src], link[href]"
SECONDS = 60  # that the site may take, of one core


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, and the seconds that it took a core."""
    folder = tmp_path_factory.mktemp("site") / "site"
    before = os.times()
    assert build_site.main([str(folder)]) == 0  # a warning of Sphinx would be an error
    spent = [after - start for after, start in zip(os.times()[:4], before[:4], strict=True)]
    return folder, sum(spent)


@pytest.fixture(scope="module")
def folder(site):
    return site[0]


@pytest.fixture(scope="module")
def soups(folder):
    """Address -> page, without the play pages, which have tests of their own."""
    paths = [path for path in folder.rglob("*.html") if "play" not in path.parts[-2:]]
    return {
        path.relative_to(folder).as_posix(): BeautifulSoup(path.read_bytes(), "html.parser")
        for path in paths
        if "_static" not in path.parts
    }


@pytest.fixture(scope="module")
def books(soups):
    """The page of each notebook, by its stem."""
    return {path.stem: soups[f"notebooks/{path.stem}.html"] for path in NOTEBOOKS}


def test_it_is_built_within_a_minute(site):
    assert site[1] < SECONDS


def test_every_notebook_and_text_is_a_page(soups):
    assert {"index.html", "README.html", "INSTALL.html", "TEACHING.html", "downloads.html"} <= set(
        soups
    )
    for path in NOTEBOOKS:
        soup = soups[f"notebooks/{path.stem}.html"]
        title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0]
        assert soup.html["lang"] == "en"
        assert soup.title.get_text().startswith(soup.h1.get_text().rstrip("#"))
        assert soup.h1.get_text().rstrip("#") == title.removeprefix("# ").replace("'", "’")


def test_a_reader_is_not_told_to_press_what_is_not_there(books):
    text = {stem: " ".join(soup.get_text().split()) for stem, soup in books.items()}

    assert not [stem for stem, words in text.items() if "press Shift + Enter" in words]
    assert "The code has been run for you" in text["01_two_files"]


def test_the_play_page_leads_back_to_the_site(folder):
    page = BeautifulSoup((folder / "play" / "index.html").read_bytes(), "html.parser")

    assert (folder / "play" / page.h1.a["href"]).resolve() == (folder / "index.html").resolve()


def test_nothing_is_asked_of_another_server(soups, folder):
    for name, soup in soups.items():
        for element in soup.select(RESOURCES):
            address = element.get("src") or element["href"]
            assert not re.match(r"(https?:)?//", address), f"{name}: {element}"
    for path in folder.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", path.read_text("utf-8")), path


def stored(path: Path) -> list:
    """The outputs of a notebook that have a picture and no HTML."""
    cells = nbformat.read(path, as_version=4).cells
    datas = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return [data for data in datas if "image/png" in data and "text/html" not in data]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_picture_is_there_with_its_words(path, books, folder):
    images = books[path.stem].select("article img")
    for image in images:
        assert (folder / "notebooks" / image["src"]).is_file(), image["src"]
        assert len(image["alt"].split()) > 5, image["src"]

    drawn = [image["alt"] for image in images if "/pictures/" in image["src"]]
    assert drawn == [data["text/plain"] for data in stored(path)] and drawn


def test_links_lead_to_pages_and_places_in_them(soups, folder):
    n_links = 0
    for name, soup in soups.items():
        for link in soup.select("a[href]"):
            address = urlsplit(link["href"])
            if address.scheme or not (address.path or address.fragment):
                continue
            path = (folder / name).parent / unquote(address.path) if address.path else folder / name
            assert path.is_file(), f"{name} leads to {link['href']}"
            page = soups.get(path.resolve().relative_to(folder.resolve()).as_posix())
            if address.fragment and page:
                assert page.find(id=address.fragment), f"{name} leads to {link['href']}"
            n_links += 1
    assert n_links > 100
    assert not [link for soup in soups.values() for link in soup.select('a[href$=".ipynb"]')]


def test_teachers_get_from_the_plans_to_each_text_of_the_kit(soups):
    links = {link["href"] for link in soups["TEACHING.html"].select("article a[href]")}

    assert {f"teaching/{name}.html" for name in build_site.KIT} <= links


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_explorers_and_chats_can_be_opened_in_their_state(path, books):
    links = books[path.stem].select("figure > figcaption > a.course-live")
    live = live_of(nbformat.read(path, as_version=4)).values()

    states = [one.hash or one.beside for one in live if one.hash or one.beside]
    assert [link["data-state"] for link in links] == states
    assert [link["href"] for link in links] == [f"../play/index.html{state}" for state in states]
    assert all(link.find_parent("figure").img for link in links)  # what is seen without scripts


def test_results_behind_a_guess_are_folded(books):
    waiting = [one for soup in books.values() for one in soup.select("details.course-behind")]
    asked = {one["data-guess"] for soup in books.values() for one in soup.select(".course-guess")}

    assert len(waiting) > 10 and {one["data-guess"] for one in waiting} <= asked
    for one in waiting:
        assert not one.has_attr("open") and "The answer: " in one.get_text()
    for soup in books.values():
        assert "answer it in JupyterLab" not in soup.get_text()
        told = soup.find_all(string=re.compile("The answer: "))
        assert all(text.find_parent("details") for text in told)


def test_downloads_are_there_and_the_zip_holds_the_course(soups, folder):
    links = [link["href"] for link in soups["downloads.html"].select("a[download]")]

    assert len(links) == 4 and all((folder / link).is_file() for link in links)
    names = zipfile.ZipFile(folder / "downloads" / build_site.ZIP).namelist()
    for path in NOTEBOOKS:
        assert f"inside-an-llm/notebooks/{path.name}" in names
    for needed in ("Makefile", "pyproject.toml", "tools/build_slides.py", "site/conf.py"):
        assert f"inside-an-llm/{needed}" in names  # `make slides` and `make site` work there, too
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]


def test_slides_of_every_class_are_there_and_linked(soups, folder):
    parts = [part for plan in load_plans().values() for part in plan.parts]
    decks = {f"slides/{part.id}.html": part.title for part in parts}

    for page in ("TEACHING.html", "downloads.html"):
        links = {a["href"]: a.get_text() for a in soups[page].select('a[href^="slides/"]')}
        assert links == decks
    for file, title in decks.items():
        assert soups[file].h1.get_text() == title
    assert soups["index.html"].select_one('a[href="downloads.html#to-show"]')
    live = [one["data-live"] for file in decks for one in soups[file].select("[data-live]")]
    assert len(live) > 5
    assert all((folder / "slides" / one.partition("#")[0]).is_file() for one in live)


def test_what_the_stick_tells_of_the_site_is_there(folder):
    named = re.findall(r"site/([\w/.-]*\w)", make_bundle.START)

    assert {"index.html", "TEACHING.html", "slides"} <= set(named)
    assert [name for name in named if not (folder / name).exists()] == []


def test_the_workflow_publishes_what_is_built_here():
    text = (Path(__file__).parents[2] / ".github" / "workflows" / "site.yml").read_text("utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    commands = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    [path] = [
        step["with"]["path"] for step in jobs["build"]["steps"] if "path" in step.get("with", {})
    ]

    assert commands[0].endswith('-c constraints.txt -e ".[site]"')
    assert commands[1] == f"python -m tools.build_site {path}"
    assert jobs["publish"]["needs"] == "build"


def test_a_folder_with_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")

    assert build_site.main([str(tmp_path)]) == 1
    assert "holds no site" in capsys.readouterr().err and (tmp_path / "mine.txt").exists()


# ---- In a browser -------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server(folder):
    """The site's address on a server of this machine."""
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


@pytest.fixture(scope="module")
def browser():
    with real_browser() as found:
        yield found


@pytest.fixture
def opened(browser, server, folder):
    """Opens a page of the site; what goes wrong in it, or asks another server, fails the test."""
    contexts, wrong = [], []

    def open(name, width=1200, from_disk=False, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
        start = folder.as_uri() if from_disk else server

        def judge(route):
            address = route.request.url
            if address.startswith((start, "data:", "blob:")):
                return route.continue_()
            wrong.append(address)
            return route.abort()

        page.route("**/*", judge)
        page.goto(f"{start}/{name}")
        return page

    yield open
    for context in contexts:
        context.close()
    assert wrong == []


def whole(page):
    """The play page in the page's first frame, when all of it has come."""
    frame = page.frame_locator(".course-frame")
    expect(frame.locator("html[data-whole]")).to_be_attached(timeout=20_000)
    return frame


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", READ, "TEACHING.html"])
def test_axe_finds_nothing(name, scheme, opened):
    # without motion: halfway from one theme to the other no colour is what it will be
    page = opened(name, color_scheme=scheme, reduced_motion="reduce")
    if name == "index.html":
        whole(page)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")

    assert violations(page, "html") == []
    assert page.locator("html").get_attribute("data-theme") == scheme


@pytest.mark.browser
@pytest.mark.parametrize("from_disk", [False, True])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_slides_are_for_everybody_and_bring_the_page_to_life(scheme, from_disk, opened, soups):
    (at,) = [
        slide["id"]
        for slide in soups["slides/90-minutes.html"].select(".slide.live")
        if slide.select_one(".title").get_text().startswith("Ask it yourself")
    ]
    page = opened(f"slides/90-minutes.html#{at}", color_scheme=scheme, from_disk=from_disk)
    page.locator("html[data-ready]").wait_for()
    assert violations(page, "html") == []

    page.get_by_role("button", name="Run it here").click()
    asking = page.frame_locator(".now iframe").get_by_role("button", name="Ask", exact=True)
    expect(asking).to_be_visible(timeout=20_000)


@pytest.mark.browser
def test_the_explorer_in_front_is_live_at_once(opened):
    page = opened("index.html", color_scheme="dark")

    frame = whole(page)
    expect(frame.locator("button.exp-row").first).to_contain_text("six")
    expect(frame.locator("h1")).to_have_css("width", "1px")  # the site has a title already
    page.wait_for_function(  # as high as what it shows
        """() => {
          const inside = document.querySelector(".course-frame").contentDocument.documentElement;
          return inside.scrollHeight <= inside.clientHeight;
        }"""
    )
    frame.get_by_role("tab", name="Chat").click()
    expect(frame.get_by_role("button", name="Ask", exact=True)).to_be_visible()


@pytest.mark.browser
def test_the_explorer_is_as_dark_as_the_page_around_it(opened):
    page = opened("index.html", color_scheme="light")
    body = whole(page).locator("body")
    back = "(body) => getComputedStyle(body).backgroundColor"
    assert body.evaluate(back) == "rgb(255, 255, 255)"

    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_timeout(300)

    assert body.evaluate(back) == "rgb(18, 21, 26)"


@pytest.mark.browser
def test_a_frozen_explorer_comes_to_life_in_its_state(opened):
    page = opened(READ)
    frozen = page.locator("figure:has(a.course-live)").last  # with dials turned
    alt = frozen.locator("img").get_attribute("alt")
    shares = re.findall(r"␣(\w+) (\d+%)", alt)

    frozen.locator("a.course-live").click()
    rows = [
        " ".join(text.split()) for text in whole(page).locator("button.exp-row").all_inner_texts()
    ]

    assert shares and len(rows) >= len(shares)
    for (token, share), row in zip(shares, rows, strict=False):
        assert token in row and share in row, (alt, rows)

    page.get_by_role("button", name="Back to the picture").click()
    expect(page.get_by_role("img", name=alt)).to_be_visible()
    expect(page.locator("iframe")).to_have_count(0)


@pytest.mark.browser
def test_a_guess_holds_its_result_back_until_it_is_made(opened):
    page = opened(READ)
    for how in ("number", "choice"):
        has_list = "ol" if how == "choice" else "form"
        box = page.locator(f".course-guess:has({has_list}):not(:has(details))").first
        result = page.locator(f'details[data-guess="{box.get_attribute("data-guess")}"]')
        expect(result.locator("> :not(summary)").first).to_be_hidden()

        if how == "number":
            box.get_by_role("button", name="Guess").click()  # nothing yet
            expect(result.locator("> :not(summary)").first).to_be_hidden()
            box.get_by_label("Your guess").fill("30%")
            box.get_by_label("Your guess").press("Enter")
        else:
            box.locator("li button").first.press("Enter")
            expect(box.locator('button[aria-pressed="true"]')).to_have_count(1)
        expect(result.locator("> :not(summary)").first).to_be_visible()
        expect(box.get_by_role("status")).to_contain_text("open below")


@pytest.mark.browser
def test_a_quiz_answers_each_choice(opened):
    page = opened(READ)
    box = page.locator(".course-guess:has(details)").first

    for right, sign in (("true", "✓"), ("false", "✗")):
        box.locator(f'li[data-right="{right}"] button').first.click()
        expect(box.get_by_role("status")).to_contain_text(sign)


@pytest.mark.browser
def test_nothing_is_wider_than_a_phone(opened):
    for name in ("index.html", READ, "TEACHING.html", "README.html", "downloads.html"):
        page = opened(name, width=320)
        if name == "index.html":
            whole(page)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") == 320, name


@pytest.mark.browser
def test_without_javascript_all_of_it_can_be_read(opened):
    page = opened(READ, width=320, java_script_enabled=False)
    box = page.locator("details.course-behind").first
    expect(box.locator("> :not(summary)").first).to_be_hidden()
    box.locator("summary").click()
    expect(box.locator("> :not(summary)").first).to_be_visible()
    expect(page.locator("figure:has(a.course-live) img").first).to_be_visible()

    page = opened("index.html", java_script_enabled=False)
    expect(page.locator("figure.course-now img")).to_be_visible()
    expect(page.get_by_role("link", name="01 What is an LLM on a disk?")).to_be_visible()


@pytest.mark.browser
def test_it_opens_from_a_disk(opened):
    page = opened("index.html", from_disk=True)

    expect(whole(page).locator("button.exp-row").first).to_contain_text("six")
