"""The diagrams as XML: told in words, alone in their file, one palette, the course's numbers."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

from course_lib.check.bottleneck import years_left
from course_lib.config import ModelConfig
from course_lib.files.run_file import SOURCE, released
from course_lib.model.sample import next_token_probs
from course_lib.pipeline.release import load_released
from course_lib.scaling.sizes import PUBLISHED_MODELS, n_bytes
from course_lib.text.chat import encode_dialogue, exchange
from course_lib.text.tokenizer import visible
from course_lib.world.documents import HITS

DIAGRAMS = Path(__file__).parents[1] / "diagrams"
NAMES = sorted(path.name for path in DIAGRAMS.glob("*.svg"))
ELEMENTS = set("svg title desc defs marker g rect path circle text tspan".split())
# Okabe and Ito's colours with a tint of each, and greys; diagrams/README.md says what they mean.
FILLS = set("#ffffff #ececec #d9ebf7 #fdf1d8 #d8f0e7 #f7e6ef #fbe3d3 #fbf6c0 #F0E442".split())
LINES = set("#0072B2 #E69F00 #009E73 #CC79A7 #D55E00 #1a1a1a #595959 #b8b8b8".split())
READABLE = 14  # pixels of the font where the picture is 800 pixels wide

every_diagram = pytest.mark.parametrize("name", NAMES)


def read(name: str) -> ET.Element:
    root = ET.parse(DIAGRAMS / name).getroot()
    for element in root.iter():
        element.tag = element.tag.removeprefix("{http://www.w3.org/2000/svg}")
    return root


def words(root: ET.Element) -> list[str]:
    return ["".join(element.itertext()) for element in root.iter("text")]


def texts(element: ET.Element, fill: str, size: float):
    """(fill, font size) of each text below `element`, where it sets none that of its parents."""
    fill, size = element.get("fill", fill), float(element.get("font-size", size))
    if element.tag in ("text", "tspan"):
        yield fill, size
    for child in element:
        yield from texts(child, fill, size)


def luminance(colour: str) -> float:
    """WCAG's relative luminance of "#rrggbb", 0 to 1."""
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@every_diagram
def test_a_diagram_tells_in_words_what_it_shows(name):
    root = read(name)

    labels = [root.find(f"*[@id='{id}']") for id in root.get("aria-labelledby").split()]
    assert root.get("role") == "img"
    assert [label.tag for label in labels] == ["title", "desc"]
    assert len(labels[0].text.split()) >= 5 and len(labels[1].text.split()) >= 60
    assert len(words(root)) >= 15  # letters are text, not paths


@every_diagram
def test_a_diagram_needs_nothing_but_its_file(name):
    root = read(name)

    ids = [e.get("id") for e in root.iter() if e.get("id")]
    values = [(key, value) for e in root.iter() for key, value in e.attrib.items()]
    assert {e.tag for e in root.iter()} <= ELEMENTS  # no image, script, style, font, foreignObject
    assert not [k for k, _ in values if "href" in k or k.startswith("on") or k in ("style", "src")]
    used = [id for _, value in values for id in re.findall(r"url\((.*?)\)", value)]
    assert len(set(ids)) == len(ids) and {u.removeprefix("#") for u in used} <= set(ids)


@every_diagram
def test_a_diagram_keeps_to_the_palette(name):
    root = read(name)

    fills = {e.get("fill") for e in root.iter()} - {None, "none"}
    strokes = {e.get("stroke") for e in root.iter()} - {None, "none"}
    assert fills - FILLS <= {"#1a1a1a"}
    assert strokes - LINES <= {"#ffffff"}  # the tick in a black square


@every_diagram
def test_text_is_large_and_dark_enough(name):
    root = read(name)
    left, top, width, height = map(float, root.get("viewBox").split())

    seen = set(texts(root, "#000000", 16))
    darkest = min(map(luminance, FILLS))  # the background on which text is hardest to read
    assert (left, top) == (0, 0) and height <= 1.2 * width
    assert min(size for _, size in seen) * 800 / width >= READABLE
    assert all((darkest + 0.05) / (luminance(fill) + 0.05) >= 4.5 for fill, _ in seen)


def test_the_readme_describes_each_diagram_and_colour():
    readme = (DIAGRAMS / "README.md").read_text(encoding="utf-8")

    sections = re.split(r"^### ", readme, flags=re.M)[1:]
    alts = {part.split("\n")[0]: part.split()[1:] for part in sections}
    assert len(NAMES) >= 8 and sorted(alts) == NAMES and min(map(len, alts.values())) >= 30
    assert [
        colour for colour in FILLS | LINES if colour not in readme and colour != "#ffffff"
    ] == []


def test_the_diagrams_show_the_tokens_and_probabilities_of_the_course():
    model, tokenizer = load_released("base")
    prompt = "In that match Virat Kohli hit a"
    ids, mask = encode_dialogue(tokenizer, exchange("What is the capital of France?", "Paris."))
    flow, masked = words(read("prediction-flow.svg")), words(read("loss-mask.svg"))

    read_by_it = [tokenizer.eot_id, *tokenizer.encode(prompt)]
    probs = next_token_probs(model, read_by_it)
    best = probs.topk(4)
    bars = [
        f"{visible(tokenizer.decode([i]))} {p:.0%}" for p, i in zip(*map(list, best), strict=True)
    ]
    rows = " ".join(flow)
    shown = [visible(tokenizer.decode([i])) for i in read_by_it]
    pieces = [tokenizer.decode([i]).replace(" ", "␣").replace("\n", "\\n") for i in ids]
    assert {str(i) for i in [*read_by_it, *best.indices[:1].tolist()]} <= set(flow)
    assert set(shown) <= set(flow)
    assert all(bar in rows for bar in bars) and 0 < 1 - best.values.sum() < 0.01
    assert f"{tokenizer.vocab_size - 4:,} others less than 1% together" in rows
    truth = zip(HITS["Virat Kohli"].items(), (0.45, 0.3, 0.2, 0.05), strict=True)
    assert all(p == told and f"{p:.0%}" in rows for (_, p), told in truth)
    assert [text for text in masked if text in pieces] == pieces
    assert f"{sum(mask)} of {len(ids)}." in masked[-1]


def test_the_transformer_has_the_shapes_of_the_course():
    nano, shown = ModelConfig(), " ".join(words(read("transformer.svg")))

    kv = nano.n_kv_heads * nano.head_dim
    assert f"{nano.n_parameters:,} parameters" in shown
    assert f"{nano.vocab_size:,} rows of {nano.dim}" in shown and f"of {nano.n_layers} lay" in shown
    assert f"k: {nano.dim} → {kv}" in shown and f"gate: {nano.dim} → {nano.ffn_dim}" in shown
    assert f"{nano.n_heads} heads of {nano.head_dim}" in shown


def test_the_two_files_are_drawn_to_scale():
    shapes = {e.get("id"): e for e in read("two-files.svg").iter() if e.get("id")}
    areas = {
        id: float(shapes[id].get("width")) * float(shapes[id].get("height"))
        for id in ("llama", "ours", "run", "ours-large", "settings")
    }
    model, source = released().stat().st_size, SOURCE.stat().st_size
    llama = n_bytes(PUBLISHED_MODELS["Llama-2-70B"].n_parameters, "F16")
    lens = 100**2

    assert areas["ours"] / areas["llama"] == pytest.approx(model / llama, rel=0.01)
    assert areas["run"] / areas["llama"] == pytest.approx(source / llama, rel=0.02)
    assert areas["ours-large"] == pytest.approx(lens * areas["ours"], rel=0.01)
    rest = model - 4 * ModelConfig().n_parameters
    assert areas["settings"] / areas["ours-large"] == pytest.approx(rest / model, rel=0.02)
    for id, n in (("run-ours", source), ("run-large", 38_545)):  # the second is llama2.c's
        side = float(re.search(r"-([\d.]+)z$", shapes[id].get("d"))[1])
        assert side**2 == pytest.approx(lens * areas["llama"] * n / llama, rel=0.02)
    shown = " ".join(words(read("two-files.svg")))
    assert f"{ModelConfig().n_parameters:,} of them" in shown and "137.95 GB" in shown
    assert f"{model / 1e6:.1f} MB" in shown and f"{source / 1e3:.0f} kB" in shown


def test_the_two_lines_are_drawn_to_scale_and_meet_where_the_sum_says():
    shapes = {e.get("id"): e for e in read("two-lines.svg").iter() if e.get("id")}
    shown = words(read("two-lines.svg"))

    numbers = {
        id: list(map(float, re.findall(r"[\d.]+", shapes[id].get("d")))) for id in ("sets", "stock")
    }
    x0, y0, x1, y1 = numbers["sets"]
    meet = years_left(300e12, 15e12, 2.4)
    years = years_left(1e15, 15e12, 2.4)  # the line ends at the top of the axis
    cx, cy = (float(shapes["meet"].get(key)) for key in ("cx", "cy"))
    assert cx == pytest.approx(x0 + (x1 - x0) * meet / years, abs=1)
    assert cy == numbers["stock"][1] == pytest.approx(y0 + (y1 - y0) * meet / years, abs=1)
    assert f"after {meet:.1f} years" in shown
    assert f"{years_left(2, 1, 2.4):.1f} years later" in shown
    assert f"{years_left(10, 1, 2.4):.1f} years later" in shown
    slower = years_left(300e12, 15e12, 1.5) - meet
    assert f"a year: {slower:.1f} years later" in shown


def test_the_copies_lose_words_and_invent_none():
    columns = {}
    for element in read("photocopy-chain.svg").iter("text"):
        text = "".join(element.itertext())
        if text in ("six", "century", "four", "ball"):
            columns.setdefault(float(element.get("x")), []).append(text)
    pages = [page for _, page in sorted(columns.items())]

    assert len(pages) == 4 and {len(page) for page in pages} == {8}
    kinds = [set(page) for page in pages]
    assert all(later <= before for before, later in pairwise(kinds))
    assert [len(kind) for kind in kinds] == [4, 3, 2, 2]
