"""The probability explorer in a real browser, played by keyboard and mouse.

Each test plays it twice: in JupyterLab, where Python answers, and in the page that is opened
from the disk, where WebAssembly does.
"""

import re
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from course_lib.files.run_file import released
from course_lib.play.page import page as play_page
from course_lib.world.documents import world_grammar
from course_lib.world.export import grammar_as_json
from tests.browser import (
    ERRORS,
    HERE,
    go_dark,
    jupyter_lab,
    real_browser,
    run_all_cells,
    write_notebook,
)
from tools.build_page import MODELS

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
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
# what is smaller than a finger: 24 pixels in dense rows, 32 else
SMALL = """root => [...root.querySelectorAll("button, input, select, textarea")]
  .map(one => [one, one.getBoundingClientRect()])
  .filter(([one, {height}]) => height &&
    height < (one.closest(".exp-heads, .exp-legend") ? 24 : 32) - 0.5)
  .map(([one, {height}]) => `${one.className} ${one.textContent} ${height}`)"""
# what begins to move from now on: [class, the row's token, what the first picture has]
WATCH_MOTION = """root => {
  window.moved = [];
  const animate = window.realAnimate ??= Element.prototype.animate;
  Element.prototype.animate = function (frames, options) {
    const row = this.closest(".exp-row");
    const name = row?.querySelector(".exp-name").textContent ?? "";
    moved.push([this.className, name, frames[0].transform ?? Object.keys(frames[0])[0]]);
    return animate.call(this, frames, options);
  };
}"""
# what is written to the dials from now on
WATCH_DIALS = """root => {
  window.written = [];
  const note = all => written.push(...all.map(one => one.attributeName ?? one.type));
  new MutationObserver(note).observe(root.querySelector(".exp-controls"),
    {subtree: true, childList: true, characterData: true, attributes: true});
}"""
UPDATE = '"method":"update"'  # of a widget's state, on its way to the kernel
# words whose colour is less than 4.5 times as light, or as dark, as what is behind them
PALE = """root => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((v, i) => v * a + below[i] * (1 - a));
  const ground = one => {
    if (!one) return [255, 255, 255];
    const colour = parts(getComputedStyle(one).backgroundColor);
    return colour[3] === 0 ? ground(one.parentElement) : over(colour, ground(one.parentElement));
  };
  const pale = [];
  for (const one of root.querySelectorAll("*")) {
    const words = [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!words || !one.getClientRects().length || one.closest(".course-heard")) continue;
    const behind = ground(one);
    const [a, b] = [light(over(parts(getComputedStyle(one).color), behind)), light(behind)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) pale.push(`${one.className}: ${one.textContent} ${ratio.toFixed(2)}`);
  }
  return pale;
}"""

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Player:
    """A page with the explorer on it, and the parts of it that the tests use."""

    def __init__(self, page, shots, where):
        self.page, self.shots, self.where = page, shots, where
        self.root = page.locator(".course-explorer")
        self.text = self.root.locator(".exp-input")
        self.chips = self.root.locator(".exp-chip")
        self.rows = self.root.locator("button.exp-row")
        self.status = self.root.get_by_role("status")
        self.problem = self.root.get_by_role("alert")

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def button(self, name):
        return self.root.get_by_role("button", name=name, exact=True)

    def click(self, *names):
        for name in names:
            self.button(name).click()

    def more(self, *names):
        """Press what stands behind More."""
        if not self.root.get_by_role("region", name="More").is_visible():
            self.click("More")
        self.click(*names)

    def dial(self, name):
        return self.root.get_by_label(name, exact=True)

    def type(self, text):
        """Type `text` in place of the present one, and wait until its tokens are drawn."""
        self.text.fill("")
        expect(self.chips).to_have_count(1)
        self.text.press_sequentially(text)

    def shot(self, name):
        self.root.scroll_into_view_if_needed()
        self.page.screenshot(path=self.shots / f"{self.where}-{name}.png")


def note(page, sent: str | bytes) -> None:
    page.frames_sent.append(sent if isinstance(sent, str) else sent.decode(errors="replace"))


@contextmanager
def in_jupyter(folder, page_of):
    """The explorer in a JupyterLab of our own."""
    below = "\n".join(f"# a cell to scroll to, line {i}" for i in range(40))
    write_notebook(folder / "course", "explorer.ipynb", [CELL, below])
    where = (folder / "course", folder, "explorer.ipynb")
    with real_browser() as browser, jupyter_lab(*where) as lab_url:
        page = page_of(browser)
        page.frames_sent = []
        page.on("websocket", lambda line: line.on("framesent", lambda sent: note(page, sent)))
        page.goto(lab_url)
        run_all_cells(page)
        expect(page.locator("button.exp-row")).to_have_count(6, timeout=60_000)
        page.keyboard.press("Control+b")  # the list of files gives its place
        yield page
        assert page.locator(ERRORS).all_inner_texts() == []


@contextmanager
def from_disk(folder, page_of, wasm):
    """The explorer in the page that needs no Python."""
    models = {name: released(file).read_bytes() for name, file in MODELS.items()}
    text = play_page(wasm.read_bytes(), models, grammar_as_json(world_grammar()))
    (folder / "page.html").write_text(text, encoding="utf-8")
    with real_browser() as browser:
        page = page_of(browser)
        page.goto((folder / "page.html").as_uri())
        expect(page.locator("button.exp-row")).to_have_count(6, timeout=60_000)
        yield page


@pytest.fixture(scope="module", params=["jupyter", "disk"])
def opened(request, tmp_path_factory):
    """The explorer in a browser; at the end nothing has gone wrong or abroad."""
    folder = tmp_path_factory.mktemp("explorer")
    requests, dialogs, errors = [], [], []
    expect.set_options(timeout=30_000)  # 5 s is too short beside other tests

    def page_of(browser):
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.on("request", lambda one: requests.append(one.url))
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    if request.param == "jupyter":
        where = in_jupyter(folder, page_of)
    else:
        where = from_disk(folder, page_of, request.getfixturevalue("wasm"))
    with where as page:
        yield Player(page, folder, request.param)
    assert (dialogs, errors) == ([], [])
    assert [url for url in requests if not url.startswith((*HERE, "file:"))] == []


@pytest.fixture
def player(opened):
    """The explorer as it was in the beginning."""
    opened.more("Reset")
    expect(opened.status).to_have_text("As in the beginning.")
    opened.click("More")
    switch = opened.root.locator(".exp-truth-switch")
    if switch.get_attribute("aria-pressed") == "true":  # as the page from the disk begins
        switch.click()
        expect(switch).to_have_text("show the truth")
    return opened


def share(player, i=0):
    """The percents that row i says."""
    return player.rows.nth(i).locator(".exp-number").first.inner_text()


def test_the_first_state_is_interesting(player):
    player.shot("light-1280")

    expect(player.text).to_have_value(FIRST)
    expect(player.rows.first).to_have_accessible_name(
        re.compile(r"^space six, id \d+: \d\d%; append$")
    )
    expect(player.root.locator(".exp-rest")).to_contain_text("all others")
    assert player.chips.all_inner_texts() == [
        "▸",
        "In",
        " that",
        " match",
        " Virat",
        " Kohli",
        " hit",
        " a",
    ]


def test_keys_move_among_the_bars_and_enter_appends(player):
    player.rows.first.focus()
    player.press("ArrowDown", "Enter")
    expect(player.text).to_have_value(f"{FIRST} century")
    expect(player.rows.nth(1)).to_be_focused()

    player.rows.first.click()
    expect(player.chips).to_have_count(10)
    player.click("Undo", "Undo")

    expect(player.text).to_have_value(FIRST)


def test_a_bar_shows_where_its_token_would_go(player):
    slot = player.root.locator(".exp-slot")
    expect(slot).to_have_text("?")

    player.rows.nth(1).hover()

    expect(slot).to_have_text("␣century")


def test_the_sentence_is_typed_where_it_stands(player):
    before = player.chips.nth(3).bounding_box()
    ink = "(one) => getComputedStyle(one).color"
    player.root.locator(".exp-stack").click(position={"x": 600, "y": 20})  # beside the words
    expect(player.text).to_be_focused()
    assert player.chips.nth(3).evaluate(ink) == "rgba(0, 0, 0, 0)"  # the field's own letters show
    player.page.keyboard.type(" six")

    expect(player.chips).to_have_count(9)
    expect(player.rows.first).to_have_accessible_name(re.compile(r"^\., id 46"))
    assert player.chips.nth(3).bounding_box() == before
    player.press("Escape")
    expect(player.text).not_to_be_focused()
    assert player.chips.nth(3).evaluate(ink) != "rgba(0, 0, 0, 0)"


def test_letters_do_not_move_when_the_sentence_is_edited(player):
    """The field lies under the tokens: both break their lines at the same places."""
    for text in (FIRST, "Notes on languages, page 17, shelf 30.\nThe main language of", LONG[:249]):
        player.text.fill(text)
        expect(player.chips.last).to_contain_text(text.split()[-1][-2:])
        height = "(one) => one.getBoundingClientRect().height"
        field = "(one) => { one.style.height = 'auto'; return one.scrollHeight; }"
        chips = player.root.locator(".exp-tokens").evaluate(
            height.replace("one.get", "one.parentElement.get")
        )
        slot = player.root.locator(".exp-slot").bounding_box()["height"]
        assert -3 <= chips - player.text.evaluate(field) <= slot + 3  # the slot may need a line


def test_chips_show_attention_and_rewind(player):
    player.chips.last.focus()
    player.press("ArrowLeft", "Enter")
    looks = player.root.locator(".exp-looks")
    expect(looks).to_contain_text("␣hit looks at ")
    mean = looks.inner_text()
    weights = player.chips.evaluate_all(
        "all => all.map(one => +one.style.getPropertyValue('--weight'))"
    )
    assert sum(weights) == pytest.approx(1, abs=1e-3) and weights[-1] == 0
    player.button("layer 2, head 1").click()
    expect(looks).not_to_have_text(mean)
    player.shot("attention")

    player.click("Go back to here")

    expect(player.text).to_have_value("In that match Virat Kohli hit")
    expect(looks).to_be_hidden()
    expect(player.chips.last).to_be_focused()


def test_a_head_is_switched_off_and_on(player):
    player.chips.last.click()
    before = [share(player, i) for i in range(4)]
    for head in range(4):
        player.button(f"layer 2, head {head}").click()
        player.click(f"Switch head {head} of layer 2 off")
        expect(player.button(f"layer 2, head {head}, off")).to_be_attached()
    expect(player.root.locator(".exp-legend")).to_contain_text("all heads on")
    expect(player.root.locator(".exp-off-switch")).to_have_text("4 heads are off: switch on")
    player.shot("heads-off")
    assert [share(player, i) for i in range(4)] != before

    player.root.locator(".exp-off-switch").click()

    expect(player.root.locator(".exp-off-switch")).to_be_hidden()
    assert sorted(share(player, i) for i in range(4)) == sorted(before)


def test_what_it_would_say_after_each_layer(player):
    player.more("Layer by layer")

    table = player.root.locator(".exp-lens")
    expect(table.locator("tr")).to_have_count(6)
    expect(table.locator("tr").last).to_contain_text("3␣six")
    player.shot("lens")


def test_a_branch_and_an_example_lead_elsewhere_and_back(player):
    player.more("Branch")
    player.click(">>> max(7, 5)↵")
    expect(player.text).to_have_value(">>> max(7, 5)\n")

    player.click(f"Back to: {FIRST}")

    expect(player.text).to_have_value(FIRST)


def test_temperature_and_cuts_by_keyboard(player):
    note = player.root.locator(".exp-steps-note")
    player.dial("Temperature").focus()
    player.press(*["ArrowLeft"] * 6)
    expect(note).to_have_text("Temperature 0.7 sharpens the distribution.")
    player.dial("Top-k").focus()
    player.press("Home", "ArrowRight")
    expect(note).to_contain_text("Top-k 2 cut 1,534 of 1,536")
    expect(player.dial("Top-k")).to_have_attribute("aria-valuetext", "2")
    expect(player.rows.nth(2)).to_have_accessible_name(re.compile("cut; append$"))
    assert share(player, 2) == "cut"
    player.more("Show the steps")
    steps = player.root.locator(".exp-steps tr")
    expect(steps).to_have_count(7)
    expect(steps.nth(1)).to_contain_text(re.compile(r"␣six\d+\.\d\d\d\d%"))
    player.shot("steps-1280")

    player.dial("Top-k").focus()
    player.press("End")

    expect(note).to_have_text("Temperature 0.7 sharpens the distribution.")


def test_samples_are_drawn_and_counted_and_come_again(player):
    player.click("Sample one")
    expect(player.status).to_contain_text("Drawn:")
    first = player.text.input_value()
    player.more("Reset")
    player.click("Sample one")
    expect(player.status).to_contain_text("Drawn:")
    assert player.text.input_value() == first != FIRST

    player.more("Sample 100")

    expect(player.root.locator(".exp-legend")).to_contain_text("100 drawn")


def test_the_truth_is_a_mark_or_says_why_there_is_none(player):
    player.click("show the truth")
    expect(player.rows.first).to_have_accessible_name(
        re.compile(r"^space six, id \d+: base \d\d%, the truth 45%; append$")
    )
    mark, track = (player.rows.first.locator(f".exp-{part}") for part in ("mark", "track"))
    place, ground = mark.bounding_box(), track.bounding_box()
    # the bars' axis ends at a half: the truth stands at nine tenths of it
    middle = (place["x"] + place["width"] / 2 - ground["x"]) / ground["width"]
    assert middle == pytest.approx(0.9, abs=0.01)
    player.click("side by side")
    expect(player.root.locator(".exp-key")).to_have_text("basesftrlhf")
    player.shot("truth-1280")
    told = player.rows.first.locator(".exp-true")
    for width in (1280, 390):  # beside three models the truth has its number, too, in the row
        player.page.set_viewport_size({"width": width, "height": 1000})
        expect(told).to_have_text("45%")
        for i in (0, 5):
            row = player.rows.nth(i)
            name, ground = (
                row.locator(f".exp-{part}").bounding_box() for part in ("name", "track")
            )
            assert name["x"] + name["width"] <= ground["x"]
        number, row = told.bounding_box(), player.rows.first.bounding_box()
        assert (
            row["y"] <= number["y"] and number["y"] + number["height"] <= row["y"] + row["height"]
        )
    player.page.set_viewport_size({"width": 1280, "height": 1000})

    player.type("Once")

    expect(player.root.locator(".exp-truth-note")).to_contain_text("outside the course's world")
    expect(player.root.locator(".exp-mark").first).to_be_hidden()


def test_the_chat_template_and_another_model(player):
    player.click("sft", "What is the capital of France?")
    player.more("Chat template")
    expect(player.chips.nth(1)).to_contain_text("<|im_start|>")
    n_chips = player.chips.count()

    player.rows.first.click()

    expect(player.chips).to_have_count(n_chips + 1)
    expect(player.text).to_have_value("What is the capital of France?")


def test_code_and_table_are_copied_or_offered(player):
    player.rows.first.click()
    expect(player.text).to_have_value(f"{FIRST} six")
    player.more("Code")
    copied = player.root.locator(".exp-copied")
    expect(copied).to_have_value(f"explorer(models, '{FIRST} six')")
    # a page without a clipboard, as over plain http, and a browser that refuses to copy
    player.page.evaluate("document.execCommand = () => false; navigator.clipboard.writeText = null")

    player.click("Copy table")

    expect(player.status).to_contain_text("Press Ctrl+C")
    expect(copied).to_be_focused()
    assert player.page.evaluate("getSelection().toString()").startswith("token\tid\tlogit")


def test_text_never_becomes_a_part_of_the_page(player):
    text = "<img src=x onerror=alert(1)><b>bold</b>"
    player.type(text)
    expect(player.chips.nth(1)).to_contain_text("<")
    player.more("Branch", "Code")

    expect(player.root.get_by_role("button", name="Back to: …")).to_have_count(1)
    assert player.root.locator("img, b, script").count() == 0
    expect(player.root.locator(".exp-copied")).to_have_value(f"explorer(models, {text!r})")


def test_empty_long_and_emoji_texts(player):
    player.text.fill("")
    expect(player.chips).to_have_count(1)
    player.text.fill("👋🏽\t")
    expect(player.chips.last).to_have_attribute("title", re.compile("^⇥"))

    player.text.fill("word " * 200)

    expect(player.chips).to_have_count(128)
    expect(player.root).to_contain_text("it does not see the first")
    assert player.root.locator(".exp-stack").bounding_box()["height"] < 220


@pytest.mark.parametrize(("text", "n_tokens"), [(SHORT, 12), (LONG, 100)])
def test_bars_follow_the_keys(player, text, n_tokens):
    """However fast somebody types, the bars end up being those of the whole text."""
    told = "all => all.map(one => one.getAttribute('aria-label'))"
    player.text.fill(text)
    expect(player.chips).to_have_count(n_tokens)
    player.text.focus()
    player.press("Control+End")

    player.page.keyboard.type(KEYS)  # without a pause: answers come while others are asked for

    expect(player.text).to_have_value(text + KEYS)
    player.page.wait_for_timeout(1500)
    typed = player.rows.evaluate_all(told)
    player.text.fill("")
    expect(player.chips).to_have_count(1)
    player.text.fill(text + KEYS)
    expect(player.chips).not_to_have_count(1)
    player.page.wait_for_timeout(1500)
    assert typed == player.rows.evaluate_all(told)


def test_large_text_is_for_a_projector(player):
    def font_size() -> float:
        size = "(root) => parseFloat(getComputedStyle(root).fontSize)"
        return float(player.root.locator(".exp-name").first.evaluate(size))

    before = font_size()
    player.more("Large text")
    expect(player.root).to_have_attribute("data-size", "large")
    player.shot("large")

    assert font_size() > 1.3 * before
    player.click("Large text")
    expect(player.root).to_have_attribute("data-size", "normal")
    assert font_size() == before


def darken(player):
    page = player.page
    if player.where == "disk":
        page.emulate_media(color_scheme="dark")
        return
    go_dark(page)


def test_it_is_read_and_touched_light_and_dark_wide_and_narrow(player):
    player.click("show the truth", "side by side")
    player.more("Show the steps", "Layer by layer", "Where it looks")
    expect(player.root.locator(".exp-lens")).to_be_visible()
    for theme in ("light", "dark"):
        if theme == "dark":
            darken(player)
        assert player.root.evaluate(PALE) == []
        for width in (1280, 760, 480, 320):
            player.page.set_viewport_size({"width": width, "height": 1000})
            player.shot(f"{theme}-{width}")
            assert player.root.evaluate("one => one.scrollWidth - one.clientWidth") == 0
            assert player.root.evaluate(SMALL) == []
            if player.where == "disk":  # JupyterLab itself needs more
                assert player.page.evaluate(OVERFLOW) == 0
        player.page.set_viewport_size({"width": 1280, "height": 1000})
    assert player.root.evaluate("one => getComputedStyle(one).color") == "rgb(233, 235, 239)" or (
        player.where == "jupyter"
    )


def test_it_fits_600_pixels_and_nothing_moves_for_who_asks_so(player):
    player.page.set_viewport_size({"width": 760, "height": 1000})
    if player.where == "disk":
        assert player.root.bounding_box()["height"] <= 600
        player.click("show the truth", "side by side")
        expect(player.root.locator(".exp-key")).to_have_text("basesftrlhf")
        assert player.root.bounding_box()["height"] <= 600
    player.page.emulate_media(reduced_motion="reduce")
    player.root.evaluate(WATCH_MOTION)
    player.dial("Temperature").fill("4")
    expect(player.root.locator(".exp-steps-note")).to_contain_text("sharpens")
    assert player.page.evaluate("moved") == []
    player.page.emulate_media(reduced_motion="no-preference")
    player.page.set_viewport_size({"width": 1280, "height": 1000})


def test_a_dial_moves_each_tokens_bars_and_a_key_moves_nothing(player):
    """Rows glide by token: where two change places, each comes from the other's."""
    player.click("sft")
    expect(player.root.locator(".exp-key")).to_have_text("sft")
    names = player.root.locator("button.exp-row .exp-name")
    before = names.all_inner_texts()
    player.root.evaluate(WATCH_MOTION)
    player.click("rlhf")
    expect(player.root.locator(".exp-key")).to_have_text("rlhf")
    moved, after = player.page.evaluate("moved"), names.all_inner_texts()
    rows = {name: move for kind, name, move in moved if "exp-row" in kind}
    pitch = player.rows.nth(1).bounding_box()["y"] - player.rows.first.bounding_box()["y"]
    for place, name in enumerate(after):
        if name not in before:
            assert rows[name] == "opacity", name
        elif before.index(name) != place:
            come = float(re.search(r"translateY\((.*)px", rows[name])[1])
            assert come == pytest.approx((before.index(name) - place) * pitch, abs=2), name
        else:
            assert name not in rows
    assert [move for kind, _, move in moved if "exp-bar" in kind and "scaleX" in move]

    player.root.evaluate(WATCH_MOTION)
    player.root.evaluate(WATCH_DIALS)
    player.text.focus()
    player.press("Control+End")
    player.page.keyboard.type(" six")
    expect(player.chips).to_have_count(9)
    assert player.page.evaluate("moved") == []
    # and nothing is written to the dials, which show the same; there is something to undo now
    assert set(player.page.evaluate("written")) <= {"aria-disabled"}


def test_python_is_told_when_the_hand_rests_or_leaves(player):
    """A message for each key would keep the kernel from the next one's bars."""
    if player.where == "disk":
        return  # nobody is told there
    told = player.page.frames_sent
    player.text.fill("One")
    expect(player.chips).to_have_count(2)
    player.page.wait_for_timeout(1000)
    told.clear()
    player.page.evaluate(
        """() => {  // no hand rests any more
        window.realTimeout ??= setTimeout;
        window.setTimeout = (then, ms, ...of) => (ms === 1000 ? 0 : realTimeout(then, ms, ...of));
    }"""
    )
    for letter in " cat":
        player.page.keyboard.type(letter)
        player.page.wait_for_timeout(200)
    expect(player.chips).not_to_have_count(2)
    assert [one for one in told if UPDATE in one] == []
    player.press("Escape")  # it leaves the field
    player.page.wait_for_timeout(300)
    player.page.evaluate("window.setTimeout = realTimeout")
    [update] = [one for one in told if UPDATE in one]
    assert '"text":"One cat"' in update

    told.clear()
    player.text.focus()
    player.press("Control+End")
    player.page.keyboard.type("s are")
    expect(player.text).to_have_value("One cats are")
    player.page.wait_for_timeout(1500)
    assert 1 <= len([one for one in told if UPDATE in one]) < 5


def test_it_is_seen_from_its_top_when_its_cell_is_run_by_hand(player):
    if player.where == "disk":
        return  # nothing scrolls there
    page = player.page
    page.set_viewport_size({"width": 1280, "height": 700})
    page.locator(".jp-CodeCell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")  # and JupyterLab scrolls to the next cell
    expect(player.rows).to_have_count(6)
    page.wait_for_timeout(1500)

    pane = page.locator(".jp-NotebookPanel-notebook").bounding_box()["y"]
    assert player.root.bounding_box()["y"] >= pane - 1  # a browser scrolls by whole pixels
