"""A tall widget is seen from its top; a notebook that is opened again still shows its widgets."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import tests.browser
from course_lib.widgets.page import FOLDER
from tests.browser import ERRORS, jupyter_lab, real_browser, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = [
    "from course_lib.widgets.game import GuessingGame, Round",
    """options = ("four", "six", "a ball", "a century", "something else")
odds = dict.fromkeys(options, 0.2)
GuessingGame([Round("In that match Ben hit a", options, "six", odds, odds)])""",
    "\n".join(f"# a cell to scroll to, line {i}" for i in range(12)),
]


def the_settings_of_the_course(monkeypatch) -> None:
    """What an installed course brings along, since the tests' folder has none of it."""
    ours = json.loads((FOLDER / "course_lib_widgets.json").read_text(encoding="utf-8"))
    ours = {name.replace(":", "/"): settings for name, settings in ours.items()}
    monkeypatch.setattr(tests.browser, "SETTINGS", tests.browser.SETTINGS | ours)


def run_by_hand(page: Page, number: int) -> None:
    """Shift+Enter in a code cell, which selects the one below it and scrolls there."""
    page.locator(".jp-CodeCell .cm-content").nth(number).click()
    page.keyboard.press("Shift+Enter")


def test_seen_from_the_top_and_seen_again(tmp_path, monkeypatch):
    the_settings_of_the_course(monkeypatch)
    expect.set_options(timeout=60_000)
    folder = write_notebook(tmp_path / "course", "test.ipynb", CELLS)

    with real_browser() as browser, jupyter_lab(folder, tmp_path, "test.ipynb") as url:
        page = browser.new_page(viewport={"width": 1000, "height": 640})
        page.goto(url)
        expect(page.locator("#jp-main-statusbar", has_text="(ipykernel) | Idle")).to_be_attached()
        run_by_hand(page, 0)
        run_by_hand(page, 1)
        game = page.locator(".course-game")
        page.locator(ERRORS).or_(game).first.wait_for()
        assert page.locator(ERRORS).all_inner_texts() == []
        page.wait_for_timeout(1000)
        pane = page.locator(".jp-NotebookPanel-notebook").bounding_box()
        seen = game.bounding_box()["y"] - pane["y"]

        page.keyboard.press("Control+s")
        saved = folder / "test.ipynb"
        end = "application/vnd.jupyter.widget-state+json"
        for _ in range(50):
            if end in saved.read_text(encoding="utf-8"):
                break
            page.wait_for_timeout(200)
        page.close()
        stored = outputs(saved)

    with real_browser() as browser, jupyter_lab(folder, tmp_path, "test.ipynb") as url:
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.goto(url)
        again = page.locator(".course-game")
        again.or_(page.get_by_text("model not found")).first.wait_for()
        missing = page.get_by_text("model not found").count()
        words = again.inner_text() if again.count() else ""

    assert seen >= 0  # its top isn't above the pane's
    assert missing == 0 and "In that match Ben hit a" in words
    assert {"image/png", "text/plain"} <= set(stored[0])  # for pages that know no widgets


def outputs(file: Path) -> list[dict]:
    """The data of each output in a notebook."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return [output["data"] for cell in cells for output in cell.get("outputs", [])]
