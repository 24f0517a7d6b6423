"""The chat widget in a real browser: asked by keyboard, stopped, followed up, begun anew."""

import pytest
from playwright.sync_api import expect

from tests.browser import ERRORS, HERE, jupyter_lab, real_browser, run_all_cells, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = [
    """from course_lib.pipeline.release import load_released
from course_lib.widgets import chat
models = {name: load_released(name.lower()) for name in ("base", "SFT", "RLHF")}
chat(models)""",
    # a model that is slow and never ends its answer
    """import time
model, tokenizer = load_released("base")
def go_on_slowly(module, args, logits):
    time.sleep(0.05)
    logits[..., tokenizer.eot_id:] = -1e9
_ = model.lm_head.register_forward_hook(go_on_slowly)
chat({"base": (model, tokenizer)}, "", max_new_tokens=110, temperature=1)""",
]
HTML = """<img src="x" onerror="window.hacked = true"><b>Hello!</b>"""


@pytest.fixture(scope="module")
def requests():
    """The addresses that the page has asked for."""
    return []


@pytest.fixture(scope="module")
def page(tmp_path_factory, requests):
    """A notebook of the two cells in JupyterLab, run."""
    tmp_path = tmp_path_factory.mktemp("chat")
    folder = write_notebook(tmp_path / "course", "chat.ipynb", CELLS)
    expect.set_options(timeout=30_000)  # 5 s is too short beside other tests

    with real_browser() as browser, jupyter_lab(folder, tmp_path, "chat.ipynb") as url:
        page = browser.new_page(viewport={"width": 1280, "height": 1500})
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url)
        run_all_cells(page)
        second = page.locator(".course-chat").nth(1)
        second.or_(page.locator(ERRORS)).first.wait_for(timeout=60_000)
        assert page.locator(ERRORS).all_inner_texts() == []
        idle = page.locator("#jp-main-statusbar", has_text="(ipykernel) | Idle")
        expect(idle).to_be_attached(timeout=60_000)
        yield page


@pytest.fixture
def chat(page):
    """The widget of the first cell."""
    return page.locator(".course-chat").nth(0)


def question(chat):
    return chat.get_by_label("Your question")


def finished(chat, answer=""):
    """Wait until the last question is answered, somewhere with these words."""
    expect(chat.locator(".chat-turn").last).to_contain_text(answer)
    expect(chat.get_by_role("button", name="Stop")).to_be_disabled()


def test_the_first_question_is_answered(chat):
    base, sft, rlhf = chat.locator(".chat-column").all()

    expect(chat).to_contain_text("base gets the bare text and continues it")
    expect(base).to_contain_text("tokens")
    expect(sft).to_contain_text("The capital city of France is called Paris.")
    expect(rlhf).to_contain_text("The capital city of France is called Paris.")


def test_the_keyboard_asks(page, chat):
    question(chat).fill("Hello!")
    page.keyboard.press("Enter")
    finished(chat, "Hello! How can I help?")
    # a screen reader hears the whole answers
    expect(chat.locator("[aria-live]")).to_contain_text("SFT: Hello! Ask me something.")

    chat.get_by_role("button", name="Hello!").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    finished(chat, "I am a small language model.")
    expect(chat.locator(".chat-question").last).to_contain_text("Who are you?")
    expect(question(chat)).to_have_value("")


def test_a_follow_up_keeps_the_talk(chat):
    question(chat).fill("Hello!")
    question(chat).press("Enter")
    finished(chat, "Hello! How can I help?")
    chat.get_by_label("Follow-up").check()
    question(chat).fill("Thank you!")
    chat.get_by_role("button", name="Ask", exact=True).click()
    finished(chat, "You are welcome")
    chat.get_by_label("Follow-up").uncheck()

    turns = chat.locator(".chat-turn:not(.chat-earlier) .chat-question")
    expect(turns).to_have_text(["Question: Hello! (greedy)", "Follow-up: Thank you! (greedy)"])


def test_earlier_questions_stay_and_the_newest_is_in_sight(chat):
    turns = chat.locator(".chat-turn")
    before = turns.count()
    question(chat).fill("Who are you?")
    question(chat).press("Enter")
    expect(turns).to_have_count(before + 1)
    finished(chat)

    expect(turns.first).to_contain_text("What is the capital of France?")
    log = chat.get_by_role("log")
    room, last = log.bounding_box(), turns.last.bounding_box()
    assert last["y"] >= room["y"] and last["y"] + last["height"] <= room["y"] + room["height"] + 1
    assert room["height"] < 400  # it scrolls, and the widget keeps its size


def test_a_surprise_asks_and_a_number_above_the_end_is_put_back(chat):
    turns = chat.locator(".chat-turn")
    before = turns.count()
    chat.get_by_role("button", name="Surprise me").click()
    expect(turns).to_have_count(before + 1)
    finished(chat)

    chat.get_by_label("Temperature").fill("7")
    chat.get_by_label("Temperature").press("Tab")
    expect(chat.get_by_label("Temperature")).to_have_value("5")
    expect(chat.get_by_role("status")).to_have_text("Temperature goes from 0 to 5.")
    chat.get_by_label("Temperature").fill("0")


def test_it_fits_a_small_window(chat):
    assert chat.bounding_box()["height"] <= 600


def test_html_stays_text(page, chat):
    question(chat).fill(HTML)
    question(chat).press("Enter")

    expect(chat.locator(".chat-question").last).to_contain_text(HTML)
    finished(chat)
    assert chat.locator(".chat-turns").locator("img, b").count() == 0
    assert page.evaluate("window.hacked") is None


def test_a_question_too_long_or_empty_is_told(chat):
    question(chat).fill("Hello! " * 200)
    question(chat).press("Enter")

    expect(chat.get_by_role("alert")).to_contain_text("too long for base")
    expect(question(chat)).to_have_value("Hello! " * 200)  # to be shortened
    question(chat).fill(" ")
    question(chat).press("Enter")
    expect(chat.get_by_role("status")).to_contain_text("type one, or press one of the examples")


def test_a_narrow_page_stacks_the_columns(page, chat, tmp_path):
    size = page.viewport_size
    page.set_viewport_size({"width": 480, "height": 1000})
    page.keyboard.press("Control+b")  # the list of files takes its leave
    expect(page.locator("#jp-left-stack")).to_be_hidden()
    chat.scroll_into_view_if_needed()
    page.screenshot(path=tmp_path / "narrow.png")

    lefts = {column.bounding_box()["x"] for column in chat.locator(".chat-column").all()[:6]}
    assert len(lefts) == 1
    assert chat.evaluate("chat => chat.scrollWidth <= chat.clientWidth")
    page.set_viewport_size(size)


def test_large_text_is_for_a_projector(page, chat, tmp_path):
    def font_size() -> float:
        return chat.evaluate("chat => parseFloat(getComputedStyle(chat).fontSize)")

    before = font_size()
    chat.get_by_label("Large text").check()
    expect(chat).to_have_attribute("data-size", "large")
    page.screenshot(path=tmp_path / "large.png")
    assert font_size() > 1.3 * before

    chat.get_by_label("Large text").uncheck()
    assert font_size() == before


def test_a_new_talk_is_empty(chat):
    chat.get_by_role("button", name="New conversation").click()

    expect(chat.locator(".chat-turn")).to_have_count(0)
    expect(chat.get_by_role("status")).to_contain_text("Nothing is asked yet")


def test_escape_and_stop_end_a_long_answer(page):
    chat = page.locator(".course-chat").nth(1)
    question(chat).fill("Olga")
    question(chat).press("Enter")
    expect(chat.get_by_role("status")).to_contain_text("Esc stops")
    expect(chat.locator(".chat-column").last).to_contain_text("tokens, writing")
    question(chat).press("Escape")
    finished(chat, ", stopped")

    chat.get_by_role("button", name="Another seed").click()
    expect(chat.locator(".chat-question").last).to_contain_text("temperature 1, seed 1")
    chat.get_by_role("button", name="Stop").click()
    finished(chat, ", stopped")


def test_nothing_outside_this_machine_was_asked_and_nothing_failed(page, requests):
    assert requests and [url for url in requests if not url.startswith(HERE)] == []
    assert page.locator(ERRORS).all_inner_texts() == []
