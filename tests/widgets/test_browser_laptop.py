"""What happens to people with a small screen: a long text is pasted, the kernel is restarted."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import ERRORS, opened_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = [
    "from course_lib.pipeline.release import load_released\n"
    "from course_lib.widgets import chat, explorer, guess, quiz\n"
    'guess("deciding-name")',
    'quiz("what-comes-out")',
    'explorer(load_released("base"), "In that match Virat Kohli hit a")',
    'chat({"SFT": load_released("sft")}, "")',
    "\n".join(f"# a cell to scroll to, line {i}" for i in range(90)),
]
NO_WORD = "No word from the kernel: it is busy, or was restarted. Then run this cell again."


@pytest.fixture
def page(tmp_path, monkeypatch):
    expect.set_options(timeout=30_000)  # 5 s is too short beside other tests
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path / "artifacts"))
    with opened_notebook(tmp_path, CELLS, 720) as page:
        page.locator(ERRORS).or_(page.locator(".course-chat")).first.wait_for(timeout=60_000)
        assert page.locator(ERRORS).all_inner_texts() == []
        yield page


def restart_the_kernel(page: Page) -> None:
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.locator(".lm-Menu-item", has_text="Restart Kernel…").first.click()
    page.locator(".jp-Dialog button.jp-mod-accept").click()
    page.locator(".jp-Dialog").wait_for(state="detached")
    idle = page.locator("#jp-main-statusbar", has_text="(ipykernel) | Idle")
    expect(idle).to_be_attached(timeout=60_000)
    page.wait_for_timeout(1000)


def test_a_long_text_that_is_pasted_stays_in_sight(page):
    explorer = page.locator(".course-explorer")
    field = explorer.get_by_label("Text", exact=True)
    field.focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("In that match Virat Kohli hit a six. " * 60)
    expect(explorer).to_have_attribute("data-length", "huge")
    page.wait_for_timeout(500)
    pane = page.locator(".jp-NotebookPanel-notebook").bounding_box()
    seen = explorer.locator(".exp-stack").bounding_box()

    assert pane["y"] - 1 <= seen["y"]
    assert seen["y"] + seen["height"] <= pane["y"] + pane["height"] + 1


def test_each_widget_says_that_its_kernel_was_restarted(page):
    page.locator(".course-explorer .exp-row").first.wait_for()
    restart_the_kernel(page)

    guess = page.locator(".course-guess")
    guess.get_by_role("button").first.click()
    expect(guess.get_by_role("status")).to_have_text(NO_WORD)

    quiz = page.locator(".course-quiz")
    quiz.get_by_role("radio").first.click()
    quiz.get_by_role("button", name="Check").click()
    expect(quiz.locator(".course-problem")).to_have_text(NO_WORD)

    explorer = page.locator(".course-explorer")
    for _ in range(2):
        explorer.get_by_role("button", name="Sample one").click()
        expect(explorer).to_contain_text(NO_WORD)
    expect(explorer).not_to_contain_text("Cannot send")

    chat = page.locator(".course-chat")
    question = chat.get_by_label("Your question")
    question.fill("Who are you?")
    page.keyboard.press("Enter")
    expect(chat.locator(".chat-status")).to_have_text(NO_WORD)
    expect(question).to_have_value("Who are you?")  # to ask it once more
