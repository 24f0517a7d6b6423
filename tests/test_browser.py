"""A learner's first minute, in a real browser: open the course in JupyterLab and run every cell."""

import shutil
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser import ERRORS, HERE, jupyter_lab, real_browser, run_all_cells

ROOT = Path(__file__).parent.parent
NOTEBOOK = "01_two_files.ipynb"
MINUTES = 4  # for a whole notebook, on a machine whose other core is busy with other tests


@pytest.fixture
def course(tmp_path) -> Path:
    """What a learner has unpacked, in a folder of such a name as folders have."""
    folder = tmp_path / "Mein Kurs, größer"
    for part in ("notebooks", "diagrams", "benchmarks/data"):
        shutil.copytree(ROOT / part, folder / part)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.browser
@pytest.mark.slow
def test_the_first_notebook_runs_in_jupyterlab(course, tmp_path):
    notebook = nbformat.read(ROOT / "notebooks" / NOTEBOOK, as_version=4)
    title = notebook.cells[0].source.splitlines()[0].lstrip("# ")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    requests = []
    expect.set_options(timeout=30_000)  # 5 s is too short beside other tests

    with real_browser() as browser, jupyter_lab(course, tmp_path, None) as lab_url:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("request", lambda request: requests.append(request.url))
        page.goto(lab_url)
        idle = page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
        expect(idle).to_be_attached(timeout=60_000)
        cells = page.locator(".jp-Notebook .jp-CodeCell")
        expect(cells).to_have_count(len(code))
        expect(page.locator(".jp-Notebook .jp-OutputArea-output")).to_have_count(0)
        assert f"/lab/tree/workbook/{NOTEBOOK}" in page.url
        expect(page.locator(".jp-DirListing-itemName", has_text=NOTEBOOK)).to_be_visible()
        diagram = page.locator('.jp-Notebook img[src*="/diagrams/two-files.svg"]')
        diagram.scroll_into_view_if_needed()
        expect(diagram).to_be_visible()
        expect(diagram).not_to_have_js_property("naturalWidth", 0)

        run_all_cells(page)
        finished = cells.last.locator(".jp-InputPrompt", has_text=f"[{len(code)}]:")
        page.locator(ERRORS).or_(finished).first.wait_for(
            state="attached", timeout=MINUTES * 60_000
        )
        expect(idle).to_be_attached(timeout=60_000)
        page.screenshot(path=tmp_path / "end.png")
        page.locator(".jp-Notebook h1").first.scroll_into_view_if_needed()
        page.screenshot(path=tmp_path / "start.png")

        heading = page.locator(".jp-Notebook h1").first.inner_text()
        errors = page.locator(ERRORS).all_inner_texts()
        has_output = [cell.locator(".jp-OutputArea-output").count() > 0 for cell in cells.all()]
        broken_images = page.locator(".jp-Notebook img").evaluate_all(
            "images => images.filter(i => !(i.complete && i.naturalWidth)).map(i => i.alt || i.src)"
        )

    assert errors == []
    assert title in heading
    assert has_output == [len(cell.outputs) > 0 for cell in code]
    assert broken_images == []
    assert [url for url in requests if not url.startswith(HERE)] == []
