"""The page in a real browser, from the disk and from a server: it answers, and tells nobody.

Models come one by one, may be a person's own, or damaged; what is seen has an address, and no
address and no text that is typed does harm.
"""

import base64
import functools
import http.server
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, unquote

import pytest
from playwright.sync_api import expect

from course_lib.files import gguf
from course_lib.files.run_file import released
from course_lib.pipeline.release import load_released
from course_lib.play.page import page
from course_lib.world.documents import world_grammar
from course_lib.world.export import grammar_as_json
from course_lib.world.truth import true_next_tokens
from tests.axe import violations
from tests.browser import real_browser
from tests.files.test_run_c import CONFIG, TOKENIZER, loud
from tests.play.test_link import HOSTILE
from tools.build_page import LEARNING, MODELS, build

pytestmark = pytest.mark.browser

FIRST = "In that match Virat Kohli hit a"
HTML = '<img src="x" onerror="window.hacked = true"><script>window.hacked = true</script><b>Hi</b>'
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
READ = {name: released(file).read_bytes for name, file in MODELS.items()}


@pytest.fixture(scope="module")
def browser():
    with real_browser() as browser:
        yield browser


class Opened:
    """A tab, with what it asked for and complained about."""

    def __init__(self, browser, address, before="", **options):
        self.tab = browser.new_page(**options)
        self.tab.add_init_script(before)
        self.asked, self.complaints = [], []
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.on("requestfailed", self.forget_what_the_policy_held)
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.go(address)

    def forget_what_the_policy_held(self, request):
        if request.failure == "csp":
            self.asked.remove(request.url)

    def go(self, address):
        self.tab.goto("about:blank")
        self.asked.clear()
        self.tab.goto(address)
        self.tab.wait_for_selector("[data-whole], #play[role=alert]")


@pytest.fixture
def open_page(browser, wasm, tmp_path):
    """Opens a page from the disk with these GGUF files."""
    tabs = []

    def open_with(models: dict[str, bytes], learning=None, hash="", **options) -> Opened:
        path = tmp_path / "page.html"
        html = page(wasm.read_bytes(), models, grammar_as_json(world_grammar()), learning)
        path.write_text(html, encoding="utf-8")
        tabs.append(Opened(browser, path.as_uri() + hash, **options))
        return tabs[-1]

    yield open_with
    for each in tabs:
        each.tab.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server with the built folder, and the paths it may be told to lose."""
    folder, lost = tmp_path_factory.mktemp("served"), set()
    build(folder)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            if self.path in lost:
                return self.send_error(404)
            return super().do_GET()

        def log_message(self, *_):
            pass

    with serving(functools.partial(Handler, directory=folder)) as address:
        yield address, lost


@contextmanager
def serving(handler) -> Iterator[str]:
    """The address of a server on this machine, for as long as the block lasts."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as http_server:
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http_server.server_port}/"
        http_server.shutdown()


def text(tab):
    return tab.locator(".exp-input")


def tab_of(tab, name):
    return tab.get_by_role("tab", name=name)


def finished(tab):
    expect(tab.get_by_role("button", name="Stop")).to_be_disabled()


def shares(tab):
    """What the rows say of themselves."""
    return [row.get_attribute("aria-label") for row in tab.locator("button.exp-row").all()]


# ---- From the disk ------------------------------------------------------------------------------


def test_it_opens_by_a_double_click_and_shows_bars_beside_the_truth(open_page):
    opened = open_page({name: READ[name]() for name in ("base", "rlhf")})
    tab = opened.tab
    _, tokenizer = load_released("base")
    rows = tab.locator("button.exp-row")

    true = true_next_tokens(tokenizer, FIRST)
    expect(rows).to_have_count(6)
    expect(rows.first).to_have_accessible_name(re.compile("^space six, .* the truth 45%"))
    assert 0.45 in true.values()
    text(tab).fill("zebra zebra")
    expect(tab.locator(".exp-truth-note")).to_contain_text("outside")
    expect(tab.locator(".exp-mark:visible")).to_have_count(0)
    text(tab).fill(FIRST)
    expect(tab.locator(".exp-mark:visible")).not_to_have_count(0)
    tab.get_by_role("button", name="rlhf").click()
    expect(tab.locator(".exp-key")).to_have_text("rlhf")
    assert [url.split("#")[0] for url in opened.asked] == [tab.url.split("#")[0]]
    assert opened.complaints == []
    print(f"\nready {tab.evaluate('document.documentElement.dataset.ready')} ms after the start")


def test_nothing_else_may_run_there_or_leave(open_page):
    opened = open_page({"base": READ["base"]()})
    tab = opened.tab

    gone = tab.evaluate("fetch('data:text/plain,hi').then(() => 'let through', () => 'refused')")
    tab.evaluate(
        """() => {
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        const picture = document.createElement("img");
        picture.src = "https://example.com/picture.png";
        document.body.append(script, picture);
    }"""
    )
    tab.wait_for_timeout(300)
    assert gone == "refused" and tab.evaluate("window.ran") is None
    assert [url for url in opened.asked if not url.startswith("file:")] == []


def test_a_page_with_no_model_that_loads_says_what_is_wrong(open_page):
    tab = open_page({"base": b"no model"}).tab

    said = tab.locator("#play[role=alert]").inner_text()
    assert said.startswith("This page can't start here: Can't load base: the model is no GGUF")


@pytest.mark.parametrize("damaged", ["base", "sft"])
def test_a_model_that_does_not_load_leaves_the_others(damaged, open_page):
    files = {name: READ[name]() for name in ("base", "sft")} | {damaged: b"no model"}
    opened = open_page(files)
    tab, [other] = opened.tab, set(files) - {damaged}

    expect(tab.locator(".play-foot [role=alert]")).to_contain_text(
        f"Can't load {damaged}: the model is"
    )
    expect(tab.locator(".exp-key")).to_have_text(other)
    tab.get_by_role("tab", name="Chat").click()
    finished(tab)
    expect(tab.locator(".chat-column")).to_have_count(1)
    assert opened.complaints == []


def test_a_model_half_read_is_not_taken_for_a_damaged_one(browser, wasm):
    """A browser puts an element into the document before it has read the element's text.

    It stays at half of one for a while, and the script gets to it meanwhile.
    """
    models = {"base": b"no model", "sft": READ["sft"]()}
    html = page(wasm.read_bytes(), models).encode()
    half = html.index(b'data-model="sft"') + 1000

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(html[:half])
            time.sleep(1.5)
            self.wfile.write(html[half:])

        def log_message(self, *_):
            pass

    slower = """
        const whole = Response.prototype.arrayBuffer;
        Response.prototype.arrayBuffer = async function () {
            await new Promise((done) => setTimeout(done, 300));
            return whole.call(this);
        };
    """
    with serving(Slow) as address:
        tab = Opened(browser, address, slower).tab
    expect(tab.locator(".play-foot [role=alert]")).to_contain_text("Can't load base: the model is")
    expect(tab.locator(".exp-key")).to_have_text("sft")
    tab.close()


# ---- The chat -----------------------------------------------------------------------------------


def test_the_chat_answers_by_keyboard_with_all_models(open_page):
    opened = open_page({name: read() for name, read in READ.items()})
    tab = opened.tab

    tab_of(tab, "What comes next?").focus()
    tab.keyboard.press("ArrowRight")
    expect(tab_of(tab, "Chat")).to_be_focused()
    expect(tab_of(tab, "Chat")).to_have_attribute("aria-selected", "true")
    expect(tab.get_by_role("tabpanel")).to_have_accessible_name("Chat")
    expect(text(tab)).to_be_hidden()
    finished(tab)
    expect(tab.locator(".chat-turn")).to_contain_text("What is the capital of France?")
    tab.get_by_label("Your question").fill("Who are you?")
    tab.keyboard.press("Enter")
    expect(tab.locator(".chat-turn")).to_have_count(2)
    finished(tab)
    answers = tab.locator(".chat-turn").last.locator(".chat-answer").all_inner_texts()
    assert len(answers) == 3 and all("language model" in each for each in answers[1:])
    expect(tab.locator("#part-chat [aria-live]")).to_contain_text("rlhf: ")
    tab.get_by_role("button", name="Surprise me").click()
    expect(tab.locator(".chat-turn")).to_have_count(3)
    finished(tab)
    tab.set_viewport_size({"width": 375, "height": 667})
    tab.get_by_label("Your question").fill("word " * 200)
    tab.keyboard.press("Enter")
    problem = tab.locator("#part-chat .course-problem")
    expect(problem).to_contain_text("this is too long for base")
    expect(problem).to_be_in_viewport()
    expect(tab.get_by_label("Your question")).to_have_value("word " * 200)  # to be shortened
    tab_of(tab, "Chat").focus()
    tab.keyboard.press("Home")
    expect(text(tab)).to_be_visible()
    assert opened.complaints == []


def test_the_page_answers_clicks_while_it_writes(open_page):
    tab = open_page({name: read() for name, read in READ.items()}, hash='#{"part":"chat"}').tab

    finished(tab)
    lengths = tab.evaluate(
        """async () => {
        const button = name => [...document.querySelectorAll("#part-chat button")]
          .find(one => one.textContent === name);
        const lengths = new Set();
        document.querySelector("#part-chat input[type=text]").value = "What is";
        button("Ask").click();
        do {
          await new Promise(frame => requestAnimationFrame(frame));
          lengths.add([...document.querySelectorAll(".chat-answer")].at(-3).textContent.length);
          if (lengths.size === 6) button("Stop").click();
        } while (button("Stop").getAttribute("aria-disabled") === "false");
        return [...lengths];
    }"""
    )
    assert len(lengths) >= 6 and lengths == sorted(lengths)  # it is seen growing
    expect(tab.locator(".chat-turn").last.locator(".chat-tally").first).to_contain_text("stopped")


# ---- Checkpoints --------------------------------------------------------------------------------


def test_the_slider_shows_the_model_when_it_was_younger(open_page):
    learning = {name: released(file).read_bytes() for name, file in LEARNING.items()}
    opened = open_page({"base": READ["base"]()}, learning)
    tab = opened.tab
    slider, key = tab.get_by_label("Training"), tab.locator(".exp-key")
    rows = tab.locator("button.exp-row")

    expect(slider).to_have_attribute("aria-valuetext", "finished")
    end = shares(tab)
    slider.focus()
    for name in reversed(LEARNING):
        tab.keyboard.press("ArrowLeft")
        expect(key).to_have_text(name)
        expect(slider).to_have_attribute("aria-valuetext", name)
    tab.keyboard.press("ArrowLeft")  # before the first one there is none
    expect(rows.first).to_have_accessible_name(re.compile("the truth"))
    assert shares(tab) != end
    tab.get_by_role("button", name="Watch it learn").click()
    for name in (*LEARNING, "base"):
        expect(key).to_have_text(name)
    expect(slider).to_have_attribute("aria-valuetext", "finished")
    assert shares(tab) == end and opened.complaints == []


def test_whoever_watches_may_do_something_else(open_page):
    learning = {name: released(file).read_bytes() for name, file in LEARNING.items()}
    tab = open_page({"base": READ["base"]()}, learning).tab

    tab.get_by_role("button", name="Watch it learn").click()
    expect(tab.locator(".exp-key")).to_have_text("after 10 steps")
    text(tab).fill("The cat")
    tab.wait_for_timeout(2000)
    expect(tab.locator(".exp-key")).to_have_text("after 10 steps")


def test_whoever_watches_can_pause_and_go_on_from_there(open_page):
    learning = {name: released(file).read_bytes() for name, file in LEARNING.items()}
    tab = open_page({"base": READ["base"]()}, learning).tab
    key, name = tab.locator(".exp-key"), list(LEARNING)

    tab.get_by_role("button", name="Watch it learn").click()
    expect(key).to_have_text(name[1])
    tab.get_by_role("button", name="Pause").click()
    paused = key.inner_text()
    tab.wait_for_timeout(2500)
    expect(key).to_have_text(paused)
    tab.get_by_role("button", name="Go on").click()
    expect(key).to_have_text(name[name.index(paused) + 1])
    expect(key).to_have_text("base", timeout=15_000)
    expect(tab.get_by_role("button", name="Watch it learn")).to_be_visible()
    # all that was watched is one view to go back from
    tab.go_back()
    expect(key).to_have_text("base")
    tab.go_back()
    assert tab.url == "about:blank"


def test_without_checkpoints_the_slider_takes_no_room(open_page):
    tab = open_page({"base": READ["base"]()}).tab

    expect(tab.locator(".exp-learning")).to_be_hidden()


# ---- One's own model ----------------------------------------------------------------------------


def drop(tab, *files):
    """Drag files onto the page: (name, bytes)."""
    tab.evaluate(
        """files => {
        const data = new DataTransfer();
        for (const [name, base64] of files)
          data.items.add(new File([Uint8Array.from(atob(base64), c => c.charCodeAt(0))], name));
        for (const type of ["dragover", "drop"])
          document.body.dispatchEvent(new DragEvent(type, {dataTransfer: data, bubbles: true}));
    }""",
        [[name, base64.b64encode(content).decode()] for name, content in files],
    )


def test_a_model_with_the_same_tokens_joins(open_page, tmp_path):
    opened = open_page({"base": READ["base"]()})
    tab = opened.tab
    (tmp_path / "base.gguf").write_bytes(READ["rlhf"]())

    text(tab).fill("The cat")
    tab.get_by_label("Your own model").set_input_files(tmp_path / "base.gguf")
    expect(tab.locator(".play-foot [role=status]")).to_contain_text("my base has joined")
    expect(tab.locator(".exp-key")).to_have_text("my base")
    expect(text(tab)).to_have_value("The cat")
    expect(tab.locator(".exp-seg button")).to_have_text(["base", "my base", "side by side"])
    tab_of(tab, "Chat").click()
    finished(tab)
    expect(tab.locator(".chat-column")).to_have_count(2)
    assert opened.complaints == []


def test_a_model_with_other_tokens_takes_the_place_of_all(open_page, tmp_path):
    opened = open_page({name: READ[name]() for name in ("base", "sft")})
    tab = opened.tab
    gguf.write_gguf(tmp_path / "tiny.gguf", loud(CONFIG, 1), TOKENIZER)

    tab_of(tab, "Chat").click()
    finished(tab)
    drop(tab, ("tiny.gguf", (tmp_path / "tiny.gguf").read_bytes()))
    expect(tab.locator(".play-foot [role=status]")).to_contain_text(
        "tiny has other tokens or sizes"
    )
    expect(tab.locator(".exp-key")).to_have_text("tiny")
    expect(tab.locator(".exp-seg")).to_be_hidden()
    finished(tab)  # who was in the chat is there still
    expect(tab.locator(".chat-turn").last.locator(".chat-column")).to_have_count(1)
    assert opened.complaints == []


def test_a_file_that_is_no_model_is_told_and_nothing_changes(open_page):
    opened = open_page({"base": READ["base"]()})
    tab, problem = opened.tab, opened.tab.locator(".play-foot [role=alert]")
    good = READ["base"]()
    before = shares(tab)

    for name, content, told in [
        ("cat.png", b"\x89PNG", "Can't load cat.png: the model is no GGUF"),
        ("empty.gguf", b"", "Can't load empty: it is empty"),
        (f"<b>{'x' * 300}.gguf", b"GGUF", "Can't load <b>xxx"),
        ("half.gguf", good[: len(good) // 2], "Can't load half: "),
    ]:
        drop(tab, (name, content))
        expect(problem).to_contain_text(told)
        assert shares(tab) == before
        assert len(problem.inner_text()) < 400
    expect(problem.locator("b")).to_have_count(0)
    text(tab).fill("The cat")
    expect(tab.locator("button.exp-row").first).not_to_have_accessible_name(before[0])
    assert opened.complaints == []


# ---- The address --------------------------------------------------------------------------------


def told(tab):
    """What the address says, once it has been written."""
    tab.wait_for_timeout(700)
    return json.loads(unquote(tab.url.partition("#")[2] or "{}"))


def test_what_is_seen_can_be_opened_again(open_page):
    opened = open_page({name: READ[name]() for name in ("base", "sft")})
    tab = opened.tab

    assert told(tab) == {}
    text(tab).fill('né <b> # % "cat"')
    tab.get_by_role("button", name="sft").click()
    tab.get_by_label("Temperature").first.fill("10")
    tab_of(tab, "Chat").click()
    finished(tab)
    tab.get_by_label("Your question").fill("Hello!")
    tab.keyboard.press("Enter")
    expect(tab.locator(".chat-turn")).to_have_count(2)
    finished(tab)
    state = told(tab)
    assert state == {
        "text": 'né <b> # % "cat"', "model": "sft", "temperature": 0.5, "part": "chat",
        "asked": [["Hello!", 0, 0]],
    }  # fmt: skip
    before, answers = shares(tab), tab.locator(".chat-turn").last.inner_text()

    opened.go(tab.url)
    finished(tab)
    expect(tab.locator(".chat-turn")).to_have_text([re.compile("Question: Hello!")])
    assert tab.locator(".chat-turn").inner_text() == answers
    tab_of(tab, "What comes next?").click()
    expect(text(tab)).to_have_value('né <b> # % "cat"')
    expect(tab.locator(".exp-key")).to_have_text("sft")
    assert shares(tab) == before and opened.complaints == []


def test_another_address_in_the_same_tab_is_followed(open_page):
    tab = open_page({"base": READ["base"]()}).tab

    tab.evaluate('location.hash = \'#\' + encodeURIComponent(\'{"text":"The cat","lens":true}\')')
    expect(text(tab)).to_have_value("The cat")
    expect(tab.locator(".exp-lens")).to_be_visible()
    tab.evaluate("location.hash = '#{'")
    expect(tab.locator(".play-foot [role=alert]")).to_contain_text("The link can't be followed")
    expect(text(tab)).to_have_value(FIRST)


def test_back_undoes_the_last_view_and_then_leaves(open_page):
    opened = open_page({name: READ[name]() for name in ("base", "sft")})
    tab, field, key = opened.tab, text(opened.tab), opened.tab.locator(".exp-key")

    tab.get_by_role("button", name="It was a dark and stormy night").click()
    field.press("Control+End")
    for letter in " in May":
        tab.keyboard.type(letter)  # all letters together are one view
    tab.get_by_role("button", name="sft").click()
    expect(key).to_have_text("sft")
    tab.get_by_label("Temperature").first.fill("10")  # no view
    tab.get_by_role("button", name="side by side").click()
    expect(key).to_have_text("sftbase")
    tab_of(tab, "Chat").click()
    finished(tab)
    turns = tab.locator(".chat-turn").count()
    told(tab)

    tab.go_back()
    expect(field).to_be_visible()
    expect(key).to_have_text("sftbase")
    tab.go_back()
    expect(key).to_have_text("sft")
    expect(tab.get_by_label("Temperature").first).to_have_value("10")
    tab.go_back()
    expect(key).to_have_text("base")
    expect(field).to_have_value("It was a dark and stormy night in May")
    tab.go_back()
    expect(field).to_have_value("It was a dark and stormy night")
    tab.go_back()
    expect(field).to_have_value(FIRST)
    assert tab.url.startswith("file:") and tab.locator(".chat-turn").count() == turns
    for _ in range(3):
        tab.go_forward()
    expect(key).to_have_text("sft")
    assert told(tab)["model"] == "sft"
    for _ in range(3):
        tab.go_back()
    expect(field).to_have_value(FIRST)
    tab.go_back()
    assert tab.url == "about:blank" and opened.complaints == []


def test_the_link_can_be_copied(open_page):
    opened = open_page({"base": READ["base"]()})
    tab = opened.tab

    text(tab).fill("The cat")
    tab.get_by_role("button", name="Copy link").click()
    field = tab.get_by_label("Link to what you see")
    expect(field).to_be_visible()
    assert json.loads(unquote(field.input_value().partition("#")[2])) == {"text": "The cat"}
    expect(tab.locator(".play-foot [role=status]")).to_contain_text(
        re.compile("clipboard|Press Ctrl")
    )
    text(tab).fill("word " * 3000)
    tab.get_by_role("button", name="Copy link").click()
    expect(tab.locator(".play-foot [role=status]")).to_contain_text("too long for a link")


HOSTILE_STATES = [
    {"model": "gpt"},
    {"model": "__proto__"},
    {"picked": [99999]},
    {"picked": [-1]},
    {"off": [[0, 99]]},
    {"token": 2, "layer": 50},
    {"text": HTML, "model": HTML},
]


def test_no_address_does_harm(open_page):
    opened = open_page({"base": READ["base"]()})
    tab, page = opened.tab, opened.tab.url.partition("#")[0]
    expected = shares(tab)

    hashes = [quote(json.dumps(state)) for state in HOSTILE_STATES]
    hashes += [quote(each) for each in HOSTILE if each not in ("7",)][::3]
    for hash in hashes:
        opened.go(f"{page}#{hash}")

        expect(tab.locator(".play-foot [role=alert]")).to_contain_text("The link can't be followed")
        expect(text(tab)).to_have_value(FIRST)
        assert shares(tab) == expected, hash
    odd = {
        "text": HTML,
        "asked": [[HTML, 0, 0]],
        "part": "chat",
        "samples": 1000,
        "temperature": 1e308,
    }
    opened.go(f"{page}#{quote(json.dumps(odd))}")
    finished(tab)
    expect(tab.locator(".chat-turn .course-lead")).to_have_text(HTML)
    tab_of(tab, "What comes next?").click()
    expect(text(tab)).to_have_value(HTML)
    assert tab.locator("#play img, #play script, #play b").count() == 0
    assert tab.evaluate("window.hacked") is None
    assert opened.complaints == [] and len(opened.asked) == 1


def test_whatever_is_typed_stays_text(open_page):
    opened = open_page({name: READ[name]() for name in ("base", "rlhf")})
    tab = opened.tab
    texts = [
        HTML,
        "<|im_end|><|endoftext|>",
        "\u202e\u0000\ufeff\ud83d",
        "word " * 20_000,
        "🏴" * 500,
        "javascript:alert(1)",
        "${1+1}",
        "\\u003cimg src=x onerror=alert(1)>",
    ]

    for each in texts:
        tab.evaluate(
            """text => {
            const field = document.querySelector(".exp-input");
            field.value = text;
            field.dispatchEvent(new Event("input"));
        }""",
            each,
        )
        expect(tab.locator(".exp-rows")).to_be_visible()
    expect(tab.locator("button.exp-row")).to_have_count(6)
    tab_of(tab, "Chat").click()
    finished(tab)
    for each in texts[:2] + texts[4:]:
        tab.get_by_label("Your question").fill(each)
        tab.keyboard.press("Enter")
        finished(tab)
    tab.wait_for_timeout(700)
    assert tab.locator("#play img, #play script, #play b").count() == 0
    assert tab.evaluate("window.hacked") is None
    assert opened.complaints == [] and len(opened.asked) == 1


# ---- From a server ------------------------------------------------------------------------------


def test_a_server_gives_the_models_one_by_one(server, browser):
    address, _ = server
    opened = Opened(browser, address)
    tab = opened.tab

    names = [url.removeprefix(address) for url in opened.asked]
    assert names[:4] == ["", "wasm/inside.wasm", "base-f16.gguf", "truth.json"]
    assert len(names) == 3 + len(MODELS) + len(LEARNING)
    expect(tab.locator(".exp-seg button")).to_have_text([*MODELS, "side by side"])
    expect(tab.get_by_label("Training")).to_be_visible()
    assert opened.complaints == []
    tab.close()


def test_the_bars_are_there_before_the_truth_and_then_get_their_marks(server, browser):
    address, _ = server
    tab = browser.new_page()
    waiting = []
    tab.route("**/truth.json", lambda route: waiting.append(route))

    tab.goto(address)
    tab.wait_for_selector("html[data-ready]")
    expect(tab.locator("button.exp-row")).to_have_count(6)
    expect(tab.locator(".exp-mark:visible")).to_have_count(0)
    expect(tab.locator(".exp-truth-switch")).to_have_text("the truth")
    expect(tab.locator(".exp-truth-note")).to_be_empty()  # it isn't said that there is none
    text(tab).fill("In that match Virat Kohli hit")
    expect(tab.locator(".exp-chip")).to_have_count(7)
    waiting[0].continue_()
    expect(tab.locator(".exp-mark:visible")).not_to_have_count(0)
    expect(text(tab)).to_have_value("In that match Virat Kohli hit")
    tab.wait_for_selector("html[data-whole]")
    tab.close()


def test_the_first_model_can_be_used_before_the_others_come(server, browser):
    address, _ = server
    tab = browser.new_page()
    waiting = []
    tab.route("**/sft-f16.gguf", lambda route: waiting.append(route))

    tab.goto(address)
    tab.wait_for_selector("html[data-ready]")
    text(tab).fill("The cat")
    expect(tab.locator(".exp-key")).to_have_text("base")
    tab_of(tab, "Chat").click()
    tab.get_by_label("Your question").fill("Hello!")
    tab.keyboard.press("Enter")
    finished(tab)
    expect(tab.locator(".chat-column")).to_have_count(1)
    expect(tab.locator(".play-foot [role=status]")).to_contain_text("Loading the model sft")
    waiting[0].continue_()
    tab.wait_for_selector("html[data-whole]")
    tab.get_by_label("Your question").fill("Hello!")
    tab.keyboard.press("Enter")
    finished(tab)
    expect(tab.locator(".chat-turn")).to_have_count(2)
    expect(tab.locator(".chat-turn").first.locator(".chat-column")).to_have_count(1)
    expect(tab.locator(".chat-turn").last.locator(".chat-column")).to_have_count(3)
    tab_of(tab, "What comes next?").click()
    expect(text(tab)).to_have_value("The cat")
    tab.close()


def test_a_link_to_a_model_that_comes_later_waits_for_it(server, browser):
    address, _ = server
    opened = Opened(browser, address + "#" + quote(json.dumps({"model": "after 40 steps"})))

    expect(opened.tab.locator(".exp-key")).to_have_text("after 40 steps")
    assert opened.complaints == []
    opened.tab.close()


def test_a_file_that_the_server_has_lost_is_named(server, browser):
    address, lost = server
    lost.update(["/sft-f16.gguf", "/step-00040.gguf"])
    try:
        opened = Opened(browser, address)
    finally:
        lost.clear()

    problem = opened.tab.locator(".play-foot [role=alert]")
    expect(problem).to_contain_text("the server doesn't give sft-f16.gguf")
    expect(problem).to_contain_text("the server doesn't give step-00040.gguf")
    expect(opened.tab.locator(".exp-seg button")).to_have_text(["base", "rlhf", "side by side"])
    opened.tab.close()


def test_the_page_for_a_server_says_so_when_it_is_opened_from_a_disk(browser, tmp_path):
    html = page("wasm/inside.wasm", {"base": "base.gguf"}, "truth.json")
    (tmp_path / "index.html").write_text(html, encoding="utf-8")

    tab = browser.new_page()
    tab.goto((tmp_path / "index.html").as_uri())
    expect(tab.locator("#play[role=alert]")).to_contain_text("open the file inside-an-llm.html")
    tab.close()


# ---- Every size ---------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [320, 720, 1280])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_it_fits_every_screen(width, colours, server, browser):
    address, _ = server
    size = {"width": width, "height": 800}
    opened = Opened(browser, address, viewport=size, color_scheme=colours)
    tab = opened.tab

    for name in ("What comes next?", "Chat"):
        tab_of(tab, name).click()
        if name == "Chat":
            finished(tab)
        assert tab.evaluate(OVERFLOW) <= 0
        small = tab.evaluate(
            """() => [...document.querySelectorAll("button, input, select, textarea")]
            .filter(one => one.checkVisibility() && one.type !== "checkbox" &&
              one.getBoundingClientRect().height < (one.closest(".exp-legend") ? 24 : 32) - 0.5)
            .map(one => one.outerHTML.slice(0, 80))"""
        )
        assert small == []
    back = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    widget = tab.evaluate(
        "getComputedStyle(document.querySelector('.course-chat')).backgroundColor"
    )
    assert back == widget == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 21, 26)"}[colours]
    tab.close()


def test_axe_finds_nothing_in_either_part_with_all_panels_open(open_page):
    opened = open_page({name: READ[name]() for name in ("base", "rlhf")})
    tab = opened.tab
    tab.get_by_role("button", name="More").click()
    for name in ("Show the steps", "Layer by layer", "Where it looks", "Branch", "Code"):
        tab.get_by_role("button", name=name, exact=True).click()
    tab.locator(".exp-lens tr").last.wait_for()

    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        tab_of(tab, "What comes next?").click()
        assert violations(tab, "html") == [], scheme
        tab_of(tab, "Chat").click()
        finished(tab)
        assert violations(tab, "html") == [], scheme
    assert opened.complaints == []
    # and it would see what is wrong
    tab.locator("html").evaluate("one => one.removeAttribute('lang')")
    tab.locator(".course-soft").first.evaluate("one => (one.style.color = '#8888')")
    tab.get_by_label("Temperature").last.evaluate("one => one.removeAttribute('id')")
    found = {each.partition(":")[0] for each in violations(tab, "html")}
    assert found == {"html-has-lang", "color-contrast", "label"}
