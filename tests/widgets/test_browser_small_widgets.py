"""The guessing game and the table of sizes in a real browser, used by keyboard."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser import ERRORS, opened_notebook

CELLS = [
    "from course_lib.scaling.sizes import published_parameters\n"
    "from course_lib.widgets import sizes\n"
    "sizes(published_parameters())",
    "from course_lib.pipeline.release import load_released\n"
    "from course_lib.widgets import guessing_game\n"
    'guessing_game(load_released("base"), rounds=1, seed=1)',
]


@pytest.mark.browser
@pytest.mark.slow
def test_both_widgets_work_by_keyboard(tmp_path):
    expect.set_options(timeout=30_000)  # 5 s is too short beside other tests

    with opened_notebook(tmp_path, CELLS, 900) as page:
        table, game = page.locator(".course-widget-sizes"), page.locator(".course-game")
        page.locator(ERRORS).or_(game).first.wait_for(timeout=60_000)
        assert page.locator(ERRORS).all_inner_texts() == []
        expect(table.get_by_role("status")).to_contain_text("F16, 2 bytes a parameter")
        page.get_by_role("radio", name="F16").focus()
        for key in ("Tab", "Tab", "Space"):  # ipywidgets' radio buttons are a tab stop each
            page.keyboard.press(key)
        expect(table.get_by_role("status")).to_contain_text("Q4_0, 0.5625 bytes a parameter")
        largest = table.get_by_role("row", name="Llama-3.1-405B")
        expect(largest.get_by_role("cell").last).to_have_text("server with 8 of them")

        said = game.get_by_role("status")
        option = game.locator(".game-put").first
        word = option.locator(".game-word").inner_text()
        option.focus()
        for _ in range(7):
            page.keyboard.press("Enter")
        expect(said).to_have_text("Chips left to place: 3.")
        game.get_by_role("button", name="One chip less on").first.click()
        game.locator(".game-put").nth(1).click(click_count=4)
        expect(said).to_have_text("Chips left to place: 0.")
        game.get_by_role("button", name="Bet").focus()
        outline = game.get_by_role("button", name="Bet").evaluate(
            "x => getComputedStyle(x).outlineWidth"
        )
        page.keyboard.press("Enter")
        expect(said).to_contain_text("came. Bits of surprise: you")
        expect(said).to_contain_text("The game is over. Per round you paid")
        told = game.get_by_role("button", name=re.compile(f"^{re.escape(word)}.*: you 5[0-9]%"))
        expect(told).to_be_visible()
        text = game.locator(".game-text").inner_text()
        game.get_by_role("button", name="New game").click()
        expect(said).to_have_text("Chips left to place: 10.")
        assert game.locator(".game-text").inner_text() != text

        page.set_viewport_size({"width": 480, "height": 900})
        page.locator(".jp-SideBar .lm-mod-current").first.click()  # closes the list of files
        page.wait_for_function("document.querySelector('.jp-Notebook').clientWidth > 350")
        too_wide = [
            widget.evaluate("x => x.scrollWidth > x.clientWidth") for widget in (table, game)
        ]
        errors = page.locator(ERRORS).all_inner_texts()

    assert errors == []
    assert outline == "3px"
    assert too_wide == [False, False]
