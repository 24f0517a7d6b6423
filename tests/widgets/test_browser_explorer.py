"""The probability explorer in a real browser, played by keyboard and mouse."""

import statistics

import pytest
from playwright.sync_api import expect

from tests.browser import ERRORS, HERE, jupyter_lab, real_browser, run_all_cells, write_notebook

FIRST = "In that match Virat Kohli hit a"
CELL = """\
from course_lib.pipeline.release import load_released
from course_lib.widgets import explorer
models = {name: load_released(name) for name in ("base", "sft", "rlhf")}
explorer(models)"""
KEYS = " six. The crowd cheered for him"[:30]
SHORT = f"{FIRST} six. The crowd"
LONG = f"{FIRST} six. Scores: " + "Finn 8, Ada 46, Hugo 20, " * 9 + "Finn 8, Ada 46, Hugo"
# milliseconds from a key to the painted bars, measured from outside the widget
WATCH_KEYS = """root => {
  const times = window.latencies = [];
  let typedAt;
  root.querySelector(".exp-input").addEventListener("input", event => typedAt = event.timeStamp);
  new MutationObserver(() => {
    const start = typedAt;
    typedAt = undefined;
    if (start === undefined) return;
    requestAnimationFrame(() => {
      const painted = new MessageChannel(); // a task posted in a frame runs once it is painted
      painted.port1.onmessage = () => times.push(+(performance.now() - start).toFixed(1));
      painted.port2.postMessage(null);
    });
  }).observe(root.querySelector(".exp-rows"), {subtree: true, childList: true});
}"""

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Player:
    """A page with the explorer on it, and the parts of it that the tests use."""

    def __init__(self, page, shots):
        self.page, self.shots = page, shots
        self.root = page.locator(".course-explorer")
        self.text = self.root.locator(".exp-input")
        self.chips = self.root.locator(".exp-chip")
        self.rows = self.root.locator("button.exp-row")
        self.status = self.root.get_by_role("status")
        self.problem = self.root.get_by_role("alert")

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def click(self, name):
        self.root.get_by_role("button", name=name, exact=True).click()

    def type(self, text):
        """Type `text` in place of the present one, and wait until its tokens are drawn."""
        self.text.fill("")
        expect(self.chips).to_have_count(1)
        self.text.press_sequentially(text)

    def shot(self, name):
        self.root.scroll_into_view_if_needed()
        self.page.screenshot(path=self.shots / f"{name}.png")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """The explorer in a JupyterLab of our own; at the end nothing has gone wrong or abroad."""
    folder = tmp_path_factory.mktemp("explorer")
    write_notebook(folder / "course", "explorer.ipynb", [CELL])
    requests, dialogs, errors = [], [], []
    expect.set_options(timeout=30_000)  # 5 s is too short beside other tests

    where = (folder / "course", folder, "explorer.ipynb")
    with real_browser() as browser, jupyter_lab(*where) as lab_url:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.on("request", lambda request: requests.append(request.url))
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(lab_url)
        run_all_cells(page)
        player = Player(page, folder)
        expect(player.rows).to_have_count(10, timeout=60_000)
        page.keyboard.press("Control+b")  # the list of files gives its place
        yield player
        assert (dialogs, errors) == ([], [])
        assert page.locator(ERRORS).all_inner_texts() == []
    assert [url for url in requests if not url.startswith(HERE)] == []


@pytest.fixture
def player(opened):
    """The explorer as it was in the beginning."""
    opened.click("Reset")
    expect(opened.status).to_have_text("As in the beginning.")
    return opened


def test_the_first_state_is_interesting(player):
    player.shot("light-1280")

    expect(player.text).to_have_value(FIRST)
    expect(player.rows.first).to_have_accessible_name("space six, id 515: 44 %; append")
    expect(player.root.locator(".exp-row").last).to_contain_text("all other tokens")


def test_keys_move_among_the_bars_and_enter_appends(player):
    player.rows.first.focus()
    player.press("ArrowDown", "Enter")
    expect(player.text).to_have_value(f"{FIRST} century")
    expect(player.rows.nth(1)).to_be_focused()

    player.rows.first.click()
    expect(player.chips).to_have_count(10)
    player.click("Undo")
    player.click("Undo")

    expect(player.text).to_have_value(FIRST)


def test_chips_show_attention_and_rewind(player):
    player.chips.last.focus()
    player.press("ArrowLeft", "Enter")
    expect(player.root.locator(".exp-looks")).to_have_text("Where ␣hit looks:")
    expect(player.chips.first.locator(".exp-chip-share")).to_have_text("27 %")
    player.root.get_by_label("Layer").select_option("2")
    player.root.get_by_label("Head").select_option("1")
    expect(player.chips.first.locator(".exp-chip-share")).not_to_have_text("27 %")
    player.shot("attention")

    player.click("Rewind to here")

    expect(player.text).to_have_value("In that match Virat Kohli hit")
    expect(player.chips.last).to_be_focused()


def test_a_branch_and_an_example_lead_elsewhere_and_back(player):
    player.click("Branch")
    player.click(">>> max(7, 5)↵")
    expect(player.text).to_have_value(">>> max(7, 5)\n")

    player.click(f"Back to: {FIRST}")

    expect(player.text).to_have_value(FIRST)


def test_temperature_and_cuts_by_keyboard(player):
    player.root.get_by_label("Temperature").focus()
    player.press(*["ArrowLeft"] * 6)
    expect(player.root.locator(".exp-steps-note")).to_have_text(
        "Temperature 0.7 sharpens the distribution."
    )
    player.root.get_by_label("Top-k").focus()
    player.press("2", "Enter")
    expect(player.root.locator(".exp-steps-note")).to_contain_text("Top-k 2 cut 1,534 of 1,536")
    expect(player.rows.nth(2)).to_have_accessible_name("space four, id 460: 0 %, cut; append")
    player.root.get_by_label("show the steps").press("Space")
    expect(player.rows.first.locator(".exp-logit")).to_have_text("9.41")
    player.shot("steps-1280")

    player.root.get_by_label("Top-k").fill("0")
    player.press("Enter")

    expect(player.problem).to_contain_text("top_k must be a whole number from 1")
    expect(player.root.get_by_label("Top-k")).to_have_value("2")


def test_samples_are_drawn_and_counted_and_come_again(player):
    player.click("Sample one")
    expect(player.status).to_contain_text("Drawn:")
    first = player.text.input_value()
    player.click("Reset")
    player.click("Sample one")
    expect(player.status).to_contain_text("Drawn:")
    assert player.text.input_value() == first != FIRST

    player.click("Sample 100")

    expect(player.root.locator(".exp-legend")).to_contain_text("100 drawn")


def test_the_truth_or_why_there_is_none(player):
    player.root.get_by_label("the world's truth").check()
    expect(player.rows.first).to_have_accessible_name(
        "space six, id 515: base 44 %, the world 45 %; append"
    )
    player.root.get_by_label("side by side").check()
    expect(player.root.locator(".exp-legend")).to_have_text("basesftrlhfthe world")
    player.shot("truth-1280")

    player.type("Once")

    expect(player.root.locator(".exp-truth-note")).to_contain_text("outside the course's world")


def test_the_chat_template_and_another_model(player):
    player.root.get_by_label("Model", exact=True).select_option("sft")
    player.click("What is the capital of France?")
    player.root.get_by_label("chat template").check()
    expect(player.chips.nth(1)).to_contain_text("<|im_start|>")
    n_chips = player.chips.count()

    player.rows.first.click()

    expect(player.chips).to_have_count(n_chips + 1)
    expect(player.text).to_have_value("What is the capital of France?")


def test_code_and_table_are_copied_or_offered(player):
    player.rows.first.click()
    expect(player.text).to_have_value(f"{FIRST} six")
    player.click("Code")
    expect(player.root.locator(".exp-copied")).to_have_value(f"explorer(models, '{FIRST} six')")
    expect(player.status).to_contain_text("clipboard")
    # a page without a clipboard, as over plain http, and a browser that refuses to copy
    player.page.evaluate("document.execCommand = () => false; navigator.clipboard.writeText = null")

    player.click("Copy table")

    expect(player.status).to_contain_text("Press Ctrl+C")
    expect(player.root.locator(".exp-copied")).to_be_focused()
    assert player.page.evaluate("getSelection().toString()").startswith("token\tid\tlogit")


def test_text_never_becomes_a_part_of_the_page(player):
    text = "<img src=x onerror=alert(1)><b>bold</b>"
    player.type(text)
    expect(player.chips.nth(1)).to_contain_text("<")
    player.click("Branch")
    player.click("Code")

    expect(player.root.get_by_role("button", name="Back to: …")).to_have_count(1)
    assert player.root.locator("img, b").count() == 0
    expect(player.root.locator(".exp-copied")).to_have_value(f"explorer(models, {text!r})")


def test_empty_long_and_emoji_texts(player):
    player.text.fill("")
    expect(player.chips).to_have_count(1)
    player.text.fill("👋🏽\t")
    expect(player.chips.last).to_contain_text("⇥")

    player.text.fill("word " * 200)

    expect(player.chips).to_have_count(128)
    expect(player.root).to_contain_text("it does not see the first")


@pytest.mark.parametrize(("text", "n_tokens"), [(SHORT, 12), (LONG, 100)])
def test_bars_follow_the_keys(player, text, n_tokens):
    player.text.fill(text)
    expect(player.chips).to_have_count(n_tokens)
    player.page.wait_for_timeout(300)
    player.root.evaluate(WATCH_KEYS)
    player.text.focus()
    player.press("Control+End")

    for key in KEYS:
        player.page.keyboard.type(key)
        player.page.wait_for_timeout(100)
    expect(player.text).to_have_value(text + KEYS)
    player.page.wait_for_timeout(500)

    times = player.page.evaluate("latencies")
    print(f"\n{n_tokens} tokens: median {statistics.median(times)} ms, all {times}")
    assert len(times) > 10  # keys that come before an answer share one
    assert statistics.median(times) < 250  # quiet: below 50; other tests may run beside this one


def test_large_text_is_for_a_projector(player):
    def font_size() -> float:
        return float(player.root.evaluate("(root) => parseFloat(getComputedStyle(root).fontSize)"))

    before = font_size()
    player.root.get_by_label("large text").check()
    expect(player.root).to_have_attribute("data-size", "large")
    player.shot("large")

    assert font_size() > 1.3 * before
    player.root.get_by_label("large text").uncheck()
    expect(player.root).to_have_attribute("data-size", "normal")
    assert font_size() == before


def test_it_can_be_read_narrow_and_dark(player):
    page = player.page
    player.root.get_by_label("the world's truth").check()
    expect(player.root.locator(".exp-legend")).to_contain_text("the world")
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.locator(".lm-Menu-item", has_text="Theme").first.click()
    page.locator(".lm-Menu-item", has_text="JupyterLab Dark").first.click()
    expect(page.locator('body[data-jp-theme-light="false"]')).to_be_attached()
    player.shot("dark-1280")
    page.set_viewport_size({"width": 480, "height": 1000})
    player.shot("dark-480")
    overflow = "(root) => root.scrollWidth - root.clientWidth"

    assert player.root.evaluate(overflow) == 0

    player.root.get_by_label("show the steps").check()
    assert player.root.evaluate(overflow) == 0
    page.set_viewport_size({"width": 1280, "height": 1000})
