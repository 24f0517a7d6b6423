"""The page as a file: its size, its policy, its scripts. test_browser_page.py opens it."""

import base64
import gzip
import hashlib
import json

import pytest
from bs4 import BeautifulSoup

from course_lib.files.run_file import released
from course_lib.play.page import page
from course_lib.widgets.chat import HINT, QUESTIONS
from course_lib.widgets.explorer import TEXTS
from tools.build_page import LEARNING, MODELS, PAGES, build


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """The files that open by a double click, and index.html for a server."""
    return build(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def soups(paths):
    return {path.name: BeautifulSoup(path.read_bytes(), "html.parser") for path in paths}


def scripts(soup: BeautifulSoup) -> tuple[list, list]:
    """The elements that a browser runs, and those that only hold something."""
    held = soup.select('script[type="text/plain"]')
    return [each for each in soup.find_all("script") if each not in held], held


def hash_of(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def contents(soup: BeautifulSoup) -> dict:
    """(kind, name, whether it is learning) -> what lies in the page, or the file beside it."""
    found = {}
    for each in scripts(soup)[1]:
        kind, name = list(each.attrs.items())[1]
        held = gzip.decompress(base64.b64decode(each.get_text())) if each.get_text() else None
        key = (kind.removeprefix("data-"), name, "data-learning" in each.attrs)
        found[key] = held or each["data-file"]
    return found


def test_the_pages_are_small(paths):
    sizes = {path.name: path.stat().st_size for path in paths}

    assert sizes.pop("inside-an-llm.html") <= 8_000_000
    assert sizes.pop("inside-an-llm-base.html") <= 3_000_000
    assert sizes.pop("inside-an-llm-learns.html") <= 11_000_000
    assert sizes.pop("index.html") <= 300_000 and not sizes


def test_a_page_holds_models_program_truth_and_words(soups, wasm):
    for name, (models, learning) in PAGES.items():
        content = contents(soups[name])

        truth = content.pop(("truth", "", False))
        assert truth.startswith(b'{"words":["') and len(truth) > 100_000
        words = json.loads(content.pop(("words", "", False)))
        assert words["texts"] == list(TEXTS) and words["questions"] == list(QUESTIONS)
        assert words["hint"] == HINT and len(set(words["surprises"])) > 100
        assert content == {
            ("wasm", "", False): wasm.read_bytes(),
            **{("model", key, False): released(file).read_bytes() for key, file in models.items()},
            **{("model", key, True): released(file).read_bytes() for key, file in learning.items()},
        }
    assert [len(learning) for _, learning in PAGES.values()] == [0, 0, 5]


def test_the_page_for_a_server_has_all_models_beside_it(soups, paths, wasm):
    content = contents(soups["index.html"])
    folder = paths[-1].parent

    assert isinstance(content.pop(("words", "", False)), bytes)
    assert (folder / content.pop(("wasm", "", False))).read_bytes() == wasm.read_bytes()
    assert json.loads((folder / content.pop(("truth", "", False))).read_bytes())["words"]
    named = {
        (name, young): (folder / file).read_bytes() for (_, name, young), file in content.items()
    }
    assert named == {
        **{(name, False): released(file).read_bytes() for name, file in MODELS.items()},
        **{(name, True): released(file).read_bytes() for name, file in LEARNING.items()},
    }
    assert next(iter(content)) == ("model", "base", False)  # it is shown while the others come


def test_the_script_stands_behind_the_first_model_and_before_the_others(soups):
    """So it can show the first one while the browser still reads the others."""
    for soup in soups.values():
        order = [
            each.get("data-model", "script" if "type" not in each.attrs else "")
            for each in soup.find_all("script")
        ]
        first, *others = [name for name in order if name and name != "script"]
        assert order.index(first) < order.index("script")
        assert all(order.index("script") < order.index(name) for name in others)


def test_its_policy_admits_its_own_script_and_style_and_no_request(soups):
    for name, soup in soups.items():
        policy = soup.find("meta", {"http-equiv": "Content-Security-Policy"})
        rules = dict(rule.split(" ", 1) for rule in policy["content"].split("; "))
        [script], _ = scripts(soup)

        assert rules == {
            "default-src": "'none'",
            "script-src": f"{hash_of(script.get_text())} 'wasm-unsafe-eval'",
            "style-src": hash_of(soup.style.get_text()),
            "connect-src": "'self'" if name == "index.html" else "'none'",
            "base-uri": "'none'",
            "form-action": "'none'",
        }
        # before anything that it is to hold for, and after the encoding
        assert [tag.name for tag in soup.head.find_all(True)][:2] == ["meta", "meta"]
        assert soup.find("meta")["charset"] == "utf-8"


def test_it_names_no_other_file(soups):
    for name, soup in soups.items():
        for attribute in ("src", "href", "style", "action", "data", "srcset"):
            assert soup.find_all(attrs={attribute: True}) == [], attribute
        assert not [name for tag in soup.find_all(True) for name in tag.attrs if name[:2] == "on"]
        [script], _ = scripts(soup)
        ways_out = ["XMLHttpRequest", "import(", "WebSocket", "http:", "https:", "eval("]
        for way_out in ways_out + ["fetch("] * (name != "index.html"):
            assert way_out not in script.get_text(), way_out


def test_its_title_leads_home_where_there_is_one(wasm):
    title, linked = (
        BeautifulSoup(page("inside.wasm", {"base": "base.gguf"}, home=home), "html.parser").h1
        for home in ("", "../index.html")
    )

    assert title.find("a") is None and linked.a["href"] == "../index.html"
    assert title.get_text() == linked.get_text() == "Inside an LLM"


def test_the_same_files_make_the_same_page(wasm):
    files = {'a "name" & more': b"model"}

    one, other = (page(wasm.read_bytes(), files, {"words": []}) for _ in range(2))

    assert one == other
    held = scripts(BeautifulSoup(one, "html.parser"))[1]
    dates = {base64.b64decode(each.get_text())[4:8] for each in held}  # where gzip has the hour
    assert dates == {bytes(4)}
    assert held[3]["data-model"] == 'a "name" & more'
