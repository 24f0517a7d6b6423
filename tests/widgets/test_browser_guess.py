"""Guess, then look, and the quiz, in JupyterLab by keyboard alone."""

import pytest
from playwright.sync_api import Page, expect

from tests.axe import violations
from tests.browser import ERRORS, go_dark, opened_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = [
    "from course_lib.plots import text_card\n"
    "from course_lib.widgets import behind, guess, quiz, skip\n"
    'guess("six-share")',
    "share = 45\n"
    'behind("six-share", f"{share} of 100", lambda: text_card("Six", "comes often", "of four"))',
    'guess("deciding-name")',
    'behind("deciding-name", lambda: "the last one")',
    'behind("merge-saves", "forty-one")',
    'quiz("what-comes-out", "what-temperature-changes")',
    "print(share)",
]
CLOSED = "Guess first, in the cell above"


@pytest.fixture
def page(tmp_path, monkeypatch):
    expect.set_options(timeout=30_000)  # 5 s is too short beside other tests
    monkeypatch.delenv("COURSE_GUESS")
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path / "artifacts"))
    with opened_notebook(tmp_path, CELLS, 3000) as page:
        page.locator(ERRORS).or_(page.locator(".course-quiz")).first.wait_for(timeout=60_000)
        assert page.locator(ERRORS).all_inner_texts() == []
        yield page


def output(page: Page, cell: int):
    """The output of a cell, which fills itself later; cell 0 is the first of CELLS."""
    return page.locator(".jp-CodeCell").nth(cell).locator(".jp-Cell-outputArea")


def keys(page: Page, *names: str) -> None:
    for name in names:
        page.keyboard.press(name)


def test_guesses_and_a_quiz_by_keyboard(page):
    number, choice = page.locator(".course-guess").nth(0), page.locator(".course-guess").nth(1)
    expect(output(page, 6)).to_have_text("45")  # what a cell computes is there in any case
    for cell in (1, 3, 4):
        expect(output(page, cell)).to_contain_text(CLOSED)
    page.add_style_tag(content="body { height: 100vh; }")  # or axe sees nothing of it
    found = violations(page)

    page.get_by_label("Your guess").focus()
    page.keyboard.type("nearly all")
    keys(page, "Enter")
    expect(number.get_by_role("status")).to_contain_text("got 'nearly all'. Nothing was changed.")
    expect(page.get_by_label("Your guess")).to_have_attribute("aria-invalid", "true")
    expect(output(page, 1)).to_contain_text(CLOSED)
    found += violations(page)
    keys(page, "Control+a")
    page.keyboard.type("0,3")
    keys(page, "Tab", "Enter")  # on "Keep my guess"
    expect(number.get_by_role("status")).to_contain_text("Your guess is kept: 30%.")
    expect(output(page, 1)).to_contain_text("45 of 100")
    expect(output(page, 1)).to_contain_text("You guessed 30%; it is 45% (15 points too low).")
    expect(output(page, 1).locator("img")).to_have_count(1)
    assert CLOSED not in output(page, 1).inner_text()
    expect(output(page, 3)).to_contain_text(CLOSED)

    choice.get_by_role("button").first.focus()
    keys(page, "c")
    expect(choice.get_by_role("button", name="halfway")).to_have_attribute("aria-pressed", "true")
    expect(output(page, 3)).to_contain_text("✗ You guessed “something halfway between the two”.")
    keys(page, "1")  # another mind
    expect(choice.get_by_role("status")).to_contain_text("“Virat Kohli's”")
    keys(page, "Tab", "Enter")
    expect(choice.get_by_role("button", name="Sachin")).to_have_attribute("aria-pressed", "true")
    expect(output(page, 3)).to_contain_text("the last one")

    quiz = page.locator(".course-quiz")
    first, second = quiz.get_by_role("group").all()
    first.get_by_role("radio").first.focus()
    keys(page, "Space", "Enter")
    expect(first.get_by_role("status")).to_contain_text("✗ Not yet. That is one way to use")
    keys(page, "ArrowDown")
    expect(first.get_by_role("radio").nth(1)).to_be_checked()
    expect(first.get_by_role("status")).to_be_empty()  # the arrow keys give nothing away
    keys(page, "Tab", "Enter")  # on "Check"
    expect(first.get_by_role("status")).to_contain_text("✓ Right. 1,536 numbers")
    keys(page, "Tab", "Tab", "Enter")  # past the second question's options
    expect(second.get_by_role("status")).to_have_text("Choose an answer first.")
    found += violations(page)

    page.locator(".jp-CodeCell").last.locator(".cm-content").focus()
    keys(page, "Control+End", "Escape", "b", "Enter")
    page.keyboard.type("skip()")
    keys(page, "Shift+Enter")
    expect(output(page, 4)).to_contain_text("forty-one")
    expect(output(page, 4)).to_contain_text("The answer: 41 tokens.")
    go_dark(page)
    found += violations(page)
    assert found == []
    assert page.locator(ERRORS).all_inner_texts() == []


def test_a_guess_by_a_call_opens_the_result_and_a_narrow_page_needs_no_scrolling(page):
    page.locator(".jp-CodeCell").nth(0).locator(".cm-content").focus()
    keys(page, "Control+End", "ArrowLeft")
    page.keyboard.type(", 45")
    keys(page, "Shift+Enter")
    expect(output(page, 0)).to_contain_text("Your guess is kept: 45%.")
    expect(output(page, 1)).to_contain_text("it is 45%: exactly right")

    page.set_viewport_size({"width": 480, "height": 3000})
    page.locator(".jp-SideBar .lm-mod-current").first.click()  # closes the list of files
    page.wait_for_function("document.querySelector('.jp-Notebook').clientWidth > 350")
    for widget in page.locator(".course-page").all():
        assert not widget.evaluate("x => x.scrollWidth > x.clientWidth")


def test_keys_lead_out_of_a_widget_and_press_nothing_on_their_way(page):
    """JupyterLab's keys rest inside a widget: Shift+Enter used to press the button in focus."""
    choice = page.locator(".course-guess").nth(1)
    active = (
        "[...document.querySelectorAll('.jp-CodeCell')].findIndex(x => x.matches('.jp-mod-active'))"
    )
    choice.get_by_role("button").last.focus()
    keys(page, "b")
    expect(choice.get_by_role("status")).to_contain_text("Your guess is kept")
    kept = choice.locator("[aria-pressed=true]").text_content()

    keys(page, "Shift+Enter")
    page.wait_for_function(f"() => {active} === 3")
    keys(page, "Shift+Tab", "Escape")
    page.wait_for_function(f"() => {active} === 2")
    assert page.evaluate("document.activeElement.matches('.jp-Cell')")
    expect(choice.locator("[aria-pressed=true]")).to_have_text(kept)
    keys(page, "Shift+Enter")  # from the cell itself it runs the cell again, as ever
    page.wait_for_function(f"() => {active} === 3")


def test_shift_enter_keeps_a_number_before_it_goes_on(page):
    number = page.locator(".course-guess").nth(0)
    page.get_by_label("Your guess").focus()
    page.keyboard.type("30")
    keys(page, "Shift+Enter")
    expect(number.get_by_role("status")).to_contain_text("Your guess is kept: 30%.")
    expect(output(page, 1)).to_contain_text("You guessed 30%; it is 45%")
    page.wait_for_function("document.activeElement.matches('.jp-Cell.jp-mod-active')")
    expect(page.locator(".jp-CodeCell").nth(1)).to_contain_class("jp-mod-active")
