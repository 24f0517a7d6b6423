"""The page opened from the disk in Firefox and in WebKit: it starts, answers, follows the keys.

Each is skipped where it isn't installed; on Debian that takes firefox-esr, or webkit2gtk-driver and
xvfb.
"""

import pytest

from course_lib.files.run_file import released
from course_lib.play.page import page
from course_lib.world.documents import world_grammar
from course_lib.world.export import grammar_as_json
from tests.play.browsers import firefox, wait_for, webkit

ROWS = """[...document.querySelectorAll("button.exp-row")].map((row) => row.ariaLabel)"""
TEXT = """document.querySelector(".exp-input")"""


@pytest.mark.browser
@pytest.mark.parametrize("kind", [firefox, webkit])
def test_it_starts_and_follows_the_keys_there_too(kind, wasm, tmp_path):
    path = tmp_path / "page.html"
    models = {"base": released("base-f16.gguf").read_bytes()}
    path.write_text(page(wasm.read_bytes(), models, grammar_as_json(world_grammar())), "utf-8")

    with kind(tmp_path) as browser:
        browser.open(path.as_uri())
        ready = "document.documentElement.dataset.ready"
        milliseconds = wait_for(lambda: browser.evaluate(f"{ready} ?? null"), "the page's bars")
        whole = "document.documentElement.dataset.whole"  # the truth comes after the bars
        wait_for(lambda: browser.evaluate(f"{whole} ?? null") is not None, "the page's truth")
        first = browser.evaluate(ROWS)[0]
        assert first.startswith("space six, id ") and first.endswith("%, the truth 45%; append")
        assert browser.names_a_button(first, "button.exp-row")
        assert not browser.names_a_button("space six", "button.exp-row")

        browser.evaluate(f"{TEXT}.focus()")
        browser.evaluate(f"{TEXT}.select()")
        browser.type("In that match Virat Kohli hit a six. The")
        end = "%, the truth 99%; append"
        rows = wait_for(
            lambda: [row for row in browser.evaluate(ROWS) if row.endswith(end)], "another truth"
        )
        assert rows[0].startswith("space crowd, id ")
        browser.type(" zebra")
        wait_for(lambda: "truth" not in browser.evaluate(ROWS)[0], "a text outside the world")
        assert browser.errors() == []
    print(f"\nready after {milliseconds} ms")


@pytest.mark.browser
@pytest.mark.parametrize("kind", [firefox, webkit])
def test_an_error_there_would_be_seen(kind, tmp_path):
    path = tmp_path / "page.html"
    script = "document.onclick = () => { throw new Error('no such thing'); }"
    path.write_text(f"<!doctype html><script>{script}</script>")

    with kind(tmp_path) as browser:
        browser.open(path.as_uri())
        browser.evaluate("document.documentElement.click()")

        assert len(browser.errors()) == 1  # WebKit tells of a file's script no more than that
