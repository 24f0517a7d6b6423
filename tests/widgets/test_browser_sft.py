"""The editor for own examples in a real browser: taught by keyboard, wrong lines, files, narrow."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser import ERRORS, go_dark, opened_notebook

CELL = """from course_lib.pipeline.release import load_released
from course_lib.widgets import teach
teach(load_released("sft"), "Who made you? | My class.", steps=30)"""
MINE = "What is your favourite number? | My favourite number is seven."
HTML = '<img src="x" onerror="window.hacked = true">'


@pytest.mark.browser
@pytest.mark.slow
def test_an_own_example_is_taught_by_keyboard(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path / "kept"))
    expect.set_options(timeout=60_000)  # 5 s is too short beside other tests

    with opened_notebook(tmp_path, [CELL], 900) as page:
        widget = page.locator(".course-teach")
        page.locator(ERRORS).or_(widget).first.wait_for(timeout=120_000)
        assert page.locator(ERRORS).all_inner_texts() == []
        said = widget.get_by_role("status")
        expect(said).to_have_text(
            "One example a line: question | answer, or [system message] question | answer. "
            "Then press Teach."
        )

        def write(text):
            """Replace the examples by keyboard, and press Teach: it is two stops further."""
            widget.get_by_label("Examples").focus()
            page.keyboard.press("Control+a")
            page.keyboard.insert_text(text)
            for key in ("Tab", "Tab"):
                page.keyboard.press(key)
            expect(widget.get_by_role("button", name="Teach")).to_be_focused()
            page.keyboard.press("Enter")

        write(MINE + "\nno bar " + HTML)
        expect(said).to_contain_text("line 2 must be `question | answer`, got 'no bar <img")
        expect(widget.get_by_role("table")).to_have_count(0)
        page.screenshot(path=tmp_path / "wrong.png")

        write(MINE + f"\nWhat is this? | {HTML}")
        expect(said).to_contain_text("Teaching: 30 steps on 2 examples")
        focused = widget.get_by_role("button", name="Stop")
        expect(focused).to_be_focused()  # the same button: the keyboard's place is not lost
        outline = focused.evaluate("x => getComputedStyle(x).outlineWidth")
        expect(said).to_contain_text("Taught;", timeout=300_000)
        row = widget.get_by_role("row", name="What is your favourite number?")
        expect(row.get_by_role("cell").last).to_have_text("→ My favourite number is seven.")
        page.screenshot(path=tmp_path / "taught.png")

        for key in ("Tab", "Tab"):  # the file's name, Save file
            page.keyboard.press(key)
        page.keyboard.press("Enter")
        expect(said).to_contain_text("2 examples are in")
        lines = (tmp_path / "kept" / "my_examples.jsonl").read_text().splitlines()
        widget.get_by_label("Examples").fill("")
        widget.get_by_role("button", name="Load file").press("Enter")
        expect(widget.get_by_label("Examples")).to_have_value(f"{MINE}\nWhat is this? | {HTML}")

        go_dark(page)
        page.screenshot(path=tmp_path / "dark.png")
        page.set_viewport_size({"width": 480, "height": 1100})
        page.locator(".jp-SideBar .lm-mod-current").first.click()  # closes the list of files
        page.wait_for_function("document.querySelector('.jp-Notebook').clientWidth > 350")
        too_wide = widget.evaluate("x => x.scrollWidth > x.clientWidth")
        page.screenshot(path=tmp_path / "narrow.png")
        errors = page.locator(ERRORS).all_inner_texts()
        hacked = page.evaluate("window.hacked")

    assert errors == [] and hacked is None
    assert json.loads(lines[0])["messages"][1]["content"] == "My favourite number is seven."
    assert outline == "3px"
    assert not too_wide
