"""The training dashboard in a real browser: watched, stopped, asked, resumed, finished, broken."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser import (
    ERRORS,
    HERE,
    go_dark,
    jupyter_lab,
    real_browser,
    run_all_cells,
    write_notebook,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STEPS = 300
CELLS = [
    f"""import time
from dataclasses import replace
from course_lib.config import GREEDY, ModelConfig, TrainConfig
from course_lib.text.rows import pack, text_batches
from course_lib.model.transformer import Transformer
from course_lib.model.sample import generate
from course_lib.pipeline.release import load_released
from course_lib.train.loop import next_token_loss, train
from course_lib.widgets import train_live
from course_lib.world.documents import documents
_, tokenizer = load_released("base")
rows = pack(documents(seed=0), tokenizer, context_length=32, n_rows=1200)
batch_at = text_batches(rows, 4, tokenizer.eot_id)
shape = ModelConfig(context_length=32, dim=32, n_layers=1, n_heads=2, n_kv_heads=1, ffn_dim=64)
config = TrainConfig(steps={STEPS}, batch_rows=4, learning_rate=1e-2, precision="float32")
def write(model):
    return tokenizer.decode(generate(model, [[tokenizer.eot_id]], 8, GREEDY)[0])""",
    # a learning rate of 1e30: the loss is soon no number
    """broken = Transformer(shape, seed=0)
wild = replace(config, learning_rate=1e30)
board = train_live(train(broken, batch_at, next_token_loss, wild), wild.steps)
board""",
    """try:
    await board.job
except FloatingPointError as error:
    print("raised:", error)""",
    """def slowly(step):
    time.sleep(0.05)  # so that there is time to look, and to press Stop
    return batch_at(step)
model = Transformer(shape, seed=0)
run = train(model, slowly, next_token_loss, config, state_dir="state")
lines = {"uniform": 10.0, "unigram": 7.97, "bigram": 3.66, "floor": 1.25}
board = train_live(
    run, config.steps, lines, lambda: write(model), sample_every=20, prompt="In that match"
)
asked, stop = [], board.job.stop
board.job.stop = lambda: (asked.append(len(board.job.records)), stop())
board""",
    "await board.job",
    """done = board.job.records[-1].step
print("steps after Stop:", done - asked[0])
print("the half-trained model writes:", write(model.eval()))""",
    """run = train(model, batch_at, next_token_loss, config, state_dir="state")
board = train_live(run, config.steps, lines, lambda: write(model), sample_every=20)
board""",
    """await board.job
print("began with step", board.job.records[0].step - done, "after", done)
board""",
]
WATCH_STOP = """root => {
  const clock = {};
  window.stopping = clock;
  root.querySelector("button").addEventListener("click", () => clock.from = performance.now());
  new MutationObserver(() => {
    if (root.querySelector(".live-status").textContent.startsWith("stopped"))
      clock.to ??= performance.now();
  }).observe(root, {subtree: true, childList: true, characterData: true});
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The cells in JupyterLab, run as far as Stop; at the end nothing has gone wrong or abroad."""
    shots = tmp_path_factory.mktemp("live")
    folder = write_notebook(shots / "course", "live.ipynb", CELLS)
    requests, errors = [], []
    expect.set_options(timeout=60_000)  # 5 s is too short beside other tests

    with real_browser() as browser, jupyter_lab(folder, shots, "live.ipynb") as url:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.shots = shots
        page.goto(url)
        run_all_cells(page)
        page.locator(".live").nth(1).or_(page.locator(ERRORS)).first.wait_for(timeout=120_000)
        assert page.locator(ERRORS).all_inner_texts() == []
        page.keyboard.press("Control+b")  # the list of files gives its place
        yield page
        assert errors == []
        assert page.locator(ERRORS).all_inner_texts() == []
    assert [url for url in requests if not url.startswith(HERE)] == []


def shot(page, board, name):
    board.scroll_into_view_if_needed()
    page.screenshot(path=page.shots / f"{name}.png")


def test_a_run_is_watched_stopped_asked_resumed_and_finished(page):
    first = page.locator(".live").nth(1)
    stop = first.get_by_role("button", name="Stop")
    curve = first.locator(".live-smooth")

    expect(first.locator(".live-status")).to_contain_text("running: step")
    points = curve.get_attribute("points")
    expect(curve).not_to_have_attribute("points", points)  # it moves
    samples = first.locator(".live-samples li")
    expect(samples.first).to_contain_text("before the first stepIn that match")
    expect(samples.nth(1)).to_contain_text("tokens")
    axis = first.locator("svg text", has_text="35k").or_(first.locator("svg text", has_text="30k"))
    expect(axis.first).to_be_attached()  # the end of the run, from its beginning
    expect(first.get_by_role("status")).to_contain_text("Training: running")
    shot(page, first, "running-1280")

    first.get_by_role("button", name="Logarithmic axis").focus()
    page.keyboard.press("Space")
    expect(first.locator("button[aria-pressed=true]")).to_be_focused()
    first.evaluate(WATCH_STOP)
    page.keyboard.press("Shift+Tab")
    expect(stop).to_be_focused()
    page.keyboard.press("Enter")
    expect(first.get_by_role("status")).to_contain_text("Training: stopped")
    seconds = page.evaluate("(stopping.to - stopping.from) / 1000")
    print(f"\nfrom the key to 'stopped': {seconds:.2f} s")
    expect(stop).to_be_disabled()

    answer = page.locator(".jp-OutputArea-output", has_text="the half-trained model writes:")
    expect(answer).to_contain_text("steps after Stop: ")
    late = int(answer.inner_text().split("steps after Stop: ")[1].split()[0])

    second = page.locator(".live").nth(2)
    expect(second.locator(".live-status")).to_contain_text(f"finished: step {STEPS}")
    expect(second.locator("svg text", has_text="resumed here")).to_be_attached()
    expect(second.locator(".live-mean.live-old")).to_have_attribute("points", re.compile(r"\d"))
    assert second.bounding_box()["height"] <= 600
    told = page.locator(".jp-OutputArea-output", has_text="began with step 1 after")
    expect(told).to_be_attached()
    shot(page, second, "finished-1280")
    # the cell that has waited shows it once more: in one line, as it is on the page already
    again = page.locator(".live-again")
    expect(again).to_contain_text(re.compile(rf"finished: step {STEPS} of .*The board above"))
    shot(page, again, "again-1280")
    assert again.bounding_box()["height"] < 60
    expect(page.locator(".live")).to_have_count(3)
    again.get_by_role("button", name="Show it here, too").click()
    expect(page.locator(".live")).to_have_count(4)
    expect(page.locator(".live").last.locator(".live-status")).to_contain_text("finished")
    expect(again).to_have_count(0)
    assert late <= 1  # the step in progress, and no other
    assert seconds < 5  # quiet: below 1; other tests may run beside this one


def test_a_loss_that_is_no_number_is_told_in_words(page):
    broken = page.locator(".live").nth(0)

    expect(broken.get_by_role("alert")).to_contain_text("FloatingPointError: the loss is")
    expect(broken.get_by_role("alert")).to_contain_text("Try a lower learning_rate")
    expect(broken.get_by_role("status")).to_contain_text("Training: failed")
    raised = page.locator(".jp-OutputArea-output", has_text="raised: the loss is")
    expect(raised).to_be_attached()
    shot(page, broken, "failed-1280")


def test_it_can_be_read_narrow_and_dark(page):
    board = page.locator(".live").last
    go_dark(page)
    shot(page, board, "dark-1280")

    page.set_viewport_size({"width": 480, "height": 1000})
    page.wait_for_function("document.querySelector('.jp-Notebook').clientWidth < 480")
    shot(page, board, "dark-480")
    letters = board.locator("svg text").first.evaluate("x => x.getBoundingClientRect().height")

    assert board.evaluate("root => root.scrollWidth - root.clientWidth") == 0
    assert letters > 10  # pixels: the letters don't shrink with the curve
