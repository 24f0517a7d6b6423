"""The forecast in a real browser: its sliders by keyboard, its date, its buttons, a narrow page."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser import ERRORS, go_dark, opened_notebook

CELL = "from course_lib.widgets import run_out\nrun_out()"


@pytest.mark.browser
@pytest.mark.slow
def test_the_date_moves_with_the_sliders(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path / "artifacts"))
    pictures = Path(os.environ.get("COURSE_SCREENSHOTS", tmp_path / "pictures"))
    pictures.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=30_000)  # 5 s is too short beside other tests

    with opened_notebook(tmp_path, [CELL], 1000) as page:
        widget = page.locator(".course-widget-forecast")
        page.locator(ERRORS).or_(widget).first.wait_for(timeout=60_000)
        assert page.locator(ERRORS).all_inner_texts() == []
        status = widget.get_by_role("status")
        expect(status).to_contain_text("reach the stock about 2028")
        page.screenshot(path=pictures / "forecast-light.png")

        growth = widget.locator(".widget-slider", has_text="Training sets grow")
        expect(page.get_by_role("slider", name="Training sets grow a year")).to_have_count(1)
        assert (
            page.get_by_role("slider", name="").count()
            == page.get_by_role("slider", name=re.compile(r"\w")).count()
        )  # every slider has a name
        assert widget.bounding_box()["height"] <= 620
        growth.locator(".noUi-handle").focus()
        outline = growth.locator(".noUi-handle").evaluate("x => getComputedStyle(x).outlineStyle")
        for _ in range(9):  # from 2.4 to 1.5 times a year
            page.keyboard.press("ArrowLeft")
        expect(growth).to_contain_text("1.5 times")
        expect(status).to_contain_text("reach the stock about 2033")
        expect(widget.get_by_role("row", name="Training sets grow")).to_contain_text("later")

        widget.get_by_role("textbox", name="Name").fill("Ada")
        widget.get_by_role("button", name="Keep mine").focus()
        page.keyboard.press("Enter")
        expect(widget).to_contain_text("Ada: stock=5.1e+14 usable=0.2 epochs=3.4 growth=1.5")
        widget.get_by_role("button", name="Published inputs").focus()
        page.keyboard.press("Enter")
        expect(growth).to_contain_text("2.4 times")
        expect(status).to_contain_text("reach the stock about 2028")

        go_dark(page)
        page.screenshot(path=pictures / "forecast-dark.png")

        page.set_viewport_size({"width": 480, "height": 1000})
        page.locator(".jp-SideBar .lm-mod-current").first.click()  # closes the list of files
        page.wait_for_function("document.querySelector('.jp-Notebook').clientWidth > 350")
        page.screenshot(path=pictures / "forecast-narrow.png")
        too_wide = widget.evaluate("x => x.scrollWidth > x.clientWidth")
        errors = page.locator(ERRORS).all_inner_texts()

    assert errors == []
    assert outline == "solid"
    assert not too_wide
