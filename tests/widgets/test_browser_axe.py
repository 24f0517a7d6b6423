"""axe-core finds nothing wrong in any widget, in JupyterLab, light and dark.

Only the widgets are looked at: JupyterLab's own page isn't ours.
"""

import pytest
from playwright.sync_api import expect

from tests.axe import ROOT, violations
from tests.browser import ERRORS, go_dark, opened_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = [
    """import time
from course_lib.pipeline.release import load_released
from course_lib.scaling.sizes import published_parameters
from course_lib.train.loop import TrainRecord
from course_lib.widgets import *
models = {name: load_released(name) for name in ("base", "sft", "rlhf")}
explorer(
    models, truth=True, compare=True, steps=True, lens=True, token=3, layer=1, head=0,
    off=((0, 1),), top_k=5, samples=10,
)""",
    "chat(models)",
    "guessing_game(models['base'], rounds=1, seed=1)",
    """prompts = ["What is the capital of France?", "What is the capital of Mexico?"]
groups = [["Paris.", "Lima.", "I don't know."]] * 2
ranker(prompts, groups, "rankings.jsonl")""",
    """done = ranker(prompts[:1], groups[:1], "done.jsonl")
done.enter([[1], [0, 2]])  # against gold: it is told where both differ
done""",
    "sizes(published_parameters())",
    "teach(models['sft'], steps=1).teach()",
    "run_out()",
    """def records(steps, seconds=0.05, end=None):
    for step in range(1, steps + 1):
        time.sleep(seconds)
        extra = {"accuracy": step / steps}
        yield TrainRecord(step, 2 / step, 1e-3, 1.0, 9000 * step, 1.0, 1e4, extra)
    if end:
        raise end
lines = {"uniform": 2.5, "floor": 0.3}
watched = train_live(records(60, 0), 60, watch={"accuracy": "pairs in the right order"})
watched.job.join()
watched""",
    """failed = train_live(records(9, 0, FloatingPointError("the loss is no number")), 60)
while failed.job.state == "running":
    time.sleep(0.01)
failed""",
    """train_live(records(10_000), 10_000, lines, lambda: "a six", 20, prompt="In that match")""",
]
N_WIDGETS = len(CELLS)
# axe-core can't tell what is behind a word on a gradient or a drawing. So behind each token and
# number there is a bar of the whole width, and behind the forecast's labels what their halo has.
GROUNDS = """
.course-page .exp-chip, .course-page .exp-cell { background: #7aa7d680 !important; }
.course-forecast svg { display: none; }
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """All widgets in one notebook, each with something to show and every part of it open."""
    expect.set_options(timeout=30_000)  # 5 s is too short beside other tests
    folder = tmp_path_factory.mktemp("axe")
    # axe-core takes what is scrolled away for hidden, and all that lies outside the body's box:
    # JupyterLab's has no height
    with opened_notebook(folder, CELLS, 9000) as page:
        page.add_style_tag(content="body { height: 100vh; }")
        running = page.locator(".live").last
        widgets = page.locator(ROOT)
        widgets.nth(N_WIDGETS - 1).or_(page.locator(ERRORS)).first.wait_for(timeout=120_000)
        assert page.locator(ERRORS).all_inner_texts() == []
        page.keyboard.press("Control+b")  # the list of files gives its place
        expect(widgets).to_have_count(N_WIDGETS)
        expect(page.locator(".exp-lens tr")).to_have_count(6)
        page.locator(".exp-more").click()
        page.get_by_role("button", name="Branch").click()
        page.get_by_role("button", name="Code").click()
        expect(page.locator(".chat-answer").first).not_to_be_empty()
        expect(page.locator(".rank-apart li")).to_have_count(2)
        expect(page.locator(".course-teach")).to_contain_text("Taught")
        expect(page.locator(".live-error").nth(1)).to_contain_text("FloatingPointError")
        expect(running.locator(".live-status")).to_contain_text("running: step")
        yield page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_any_widget(page, theme):
    if theme == "dark":
        go_dark(page)
    page.mouse.move(0, 0)
    game, stop = page.locator(".course-game"), page.locator(".live").last.get_by_text("Stop")

    found = violations(page)
    if theme == "light":  # what comes later comes once
        game.locator(".game-put").first.click(click_count=10)
        game.get_by_role("button", name="Bet").click()
        expect(game.get_by_role("status")).to_contain_text("The game is over")
        page.locator(".rank-tie").nth(1).click()
        stop.click()
        expect(page.locator(".live-status").last).to_contain_text("stopped")
        found += violations(page)
    grounds = page.add_style_tag(content=GROUNDS)
    found += violations(page)
    grounds.evaluate("one => one.remove()")

    assert found == []


@pytest.mark.parametrize(
    ("element", "rule"),
    [
        (".course-widget-forecast .noUi-handle", "aria-input-field-name"),
        (".course-explorer input[type=range]", "label"),
        (".course-chat input[type=text]", "label"),
        (".course-rank .rank-handle", "button-name"),
    ],
)
def test_it_finds_a_name_that_is_taken_away(page, element, rule):
    take = """one => {
        for (const name of ["aria-label", "id", "placeholder", "title"]) one.removeAttribute(name);
        if (one.localName === "button") one.textContent = "";
    }"""
    page.locator(element).locator("visible=true").first.evaluate(
        take
    )  # axe passes by what is hidden

    assert [each for each in violations(page) if each.startswith(f"{rule}: ")] != []


def test_it_finds_pale_words(page):
    """So it sees words at all, and JupyterLab's frame hides none of them from it."""
    for part in (".course-widget-sizes p", ".game-text", ".chat-name"):
        page.locator(part).first.evaluate("one => (one.style.color = '#8888')")

    pale = [each for each in violations(page) if each.startswith("color-contrast: ")]
    assert len(pale) >= 3
