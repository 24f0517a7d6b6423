"""The head browser in JupyterLab, by keyboard and by mouse."""

import pytest
from playwright.sync_api import expect

from tests.axe import violations
from tests.browser import ERRORS, go_dark, opened_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELL = """
from course_lib.pipeline.release import load_released
from course_lib.widgets import head_browser

texts = {name: f"In that match {name} hit a" for name in ("Virat Kohli", "Sachin Tendulkar")}
words = [" six", " century", " four", " ball"]
browser = head_browser(load_released("base"), texts, words, column=5, layer=2)
browser
"""


def test_a_head_is_found_switched_off_and_on_again(tmp_path):
    expect.set_options(timeout=30_000)  # 5 s is too short beside other tests
    with opened_notebook(tmp_path, [CELL], 1600) as page:
        page.locator(ERRORS).or_(page.locator(".heads-bar")).first.wait_for(timeout=60_000)
        assert page.locator(ERRORS).all_inner_texts() == []
        gap, heads = page.locator(".course-heads [role=status]"), page.locator(".heads-one")
        expect(gap).to_have_text("␣six: 28 points apart")
        expect(heads).to_have_count(16)
        expect(heads.nth(8)).to_have_attribute("aria-pressed", "true")
        assert page.locator(".heads-one[tabindex='0']").count() == 1
        page.add_style_tag(content="body { height: 100vh; }")  # or axe sees nothing of it
        found = violations(page)

        # by keyboard: from 2.0 to 3.0, which becomes large, and off
        heads.nth(8).focus()
        for key in ("ArrowDown", "ArrowUp", "ArrowDown", "Enter", "o"):
            page.keyboard.press(key)
        expect(page.locator(".heads-looks")).to_contain_text("Head 3.0: ␣a gives 38% to ␣Kohli")
        expect(gap).to_have_text("␣six: 21 points apart, 28 points with all heads on")
        expect(heads.nth(12)).to_have_text("3.0 off")
        expect(heads.nth(12)).to_be_focused()
        expect(page.locator(".heads-before").first).to_have_text("was 44%")
        found += violations(page)

        # by mouse: another head, the other text, another column
        heads.nth(8).click()
        page.get_by_role("button", name="Switch head 2.0 off").click()
        expect(gap).not_to_contain_text("21 points apart")
        page.get_by_role("button", name="Sachin Tendulkar").click()
        expect(page.locator(".heads-looks")).to_contain_text("to ␣Tendulkar")
        page.locator(".heads-large thead button").first.click()
        expect(page.locator(".heads-looks")).to_contain_text("to (start)")
        go_dark(page)
        found += violations(page)
        page.get_by_role("button", name="Switch all on").click()
        expect(gap).to_have_text("␣six: 28 points apart")
        expect(page.get_by_role("button", name="Switch all on")).to_be_hidden()
        assert found == []
