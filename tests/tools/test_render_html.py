"""The pages for reading without a kernel: whole, described, and alone."""

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from tools.render_html import NOTEBOOKS, page

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))


@pytest.fixture(scope="module", params=PATHS, ids=lambda path: path.stem)
def soup(request):
    return BeautifulSoup(page(request.param), "html.parser")


def test_every_image_is_in_the_page_and_says_what_it_shows(soup):
    images = soup.find_all("img")

    assert images
    for image in images:
        assert image["src"].startswith("data:image/"), image["src"][:60]
        assert len(image["alt"].split()) > 5 and "No description" not in image["alt"]


def test_a_page_is_called_like_its_notebook(soup):
    assert soup.title.get_text() == soup.h1.get_text().rstrip("¶")
    assert soup.html["lang"] == "en"


def test_no_widget_is_missing(soup):
    assert "model not found" not in soup.get_text().lower()
    assert not soup.select('script[type="application/vnd.jupyter.widget-view+json"]')


def test_nothing_is_asked_of_another_server(soup):
    loaded = [tag["src"] for tag in soup.select("script[src], iframe[src], link[src]")]
    loaded += [tag["href"] for tag in soup.select('link[rel="stylesheet"]')]
    inside = "".join(tag.get_text() for tag in soup.find_all("script"))

    assert loaded == []
    assert re.findall(r"https?://\S*\.m?js", inside) == []


def test_links_between_notebooks_lead_to_pages(soup):
    local = [a["href"] for a in soup.select("a[href]") if not re.match(r"[a-z]+:|#", a["href"])]

    stems = {path.stem for path in PATHS}
    assert all(Path(link).suffix == ".html" and Path(link).stem in stems for link in local), local
