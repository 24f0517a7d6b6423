"""The guessing game and the table of sizes in a real browser, used by keyboard."""

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
        expect(largest.get_by_role("cell").last).to_have_text("8 data-centre GPUs, 640 GB")

        game.get_by_role("spinbutton", name="atlas").focus()
        for key in ("Delete", "7", "Tab", "3"):  # Tab selects what it reaches
            page.keyboard.press(key)
        expect(game.get_by_role("status")).to_have_text("Chips left to place: 0.")
        for _ in range(len(["something else", "the button"])):
            page.keyboard.press("Tab")
        expect(game.get_by_role("button", name="Bet")).to_be_focused()
        outline = game.get_by_role("button").evaluate("x => getComputedStyle(x).outlineWidth")
        page.keyboard.press("Enter")
        expect(game.get_by_role("status")).to_contain_text(
            "“atlas” came. Bits of surprise: you 0.5"
        )
        expect(game.get_by_role("row", name="→ atlas (came)")).to_contain_text("69%")

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
