"""Takes the picture of the explorer: python -m tools.picture_explorer diagrams/explorer.png

A real JupyterLab in a real browser, light theme, as a learner sees it, twice as sharp as a common
screen; then stored with a palette, which keeps it small.
"""

import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from PIL import Image
from playwright.sync_api import expect

from tests.browser import jupyter_lab, real_browser, run_all_cells

CELL = """\
from course_lib.pipeline.release import load_released
from course_lib.widgets import explorer

explorer(load_released("base"), "In that match Virat Kohli hit a", truth=True)"""
WIDTH, HEIGHT, SHARPNESS = 900, 640, 2
COLOURS = 64


def screenshot(folder: Path) -> bytes:
    """The explorer's cell as PNG, in a JupyterLab on the empty `folder`."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    (folder / "course").mkdir()
    nbformat.write(notebook, folder / "course" / "explorer.ipynb")
    size = {"width": WIDTH, "height": HEIGHT}
    expect.set_options(timeout=60_000)
    where = (folder / "course", folder, "explorer.ipynb")
    with real_browser() as browser, jupyter_lab(*where) as lab_url:
        page = browser.new_page(viewport=size, device_scale_factor=SHARPNESS)
        page.goto(lab_url)
        run_all_cells(page)
        root = page.locator(".course-explorer")
        expect(root.locator("button.exp-row")).to_have_count(6)
        page.keyboard.press("Control+b")  # the list of files gives its place
        page.wait_for_timeout(1500)
        return page.screenshot()


def main(file: str) -> None:
    """Write the picture to `file`."""
    with TemporaryDirectory() as folder:
        shot = Image.open(io.BytesIO(screenshot(Path(folder))))
    shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file}: {shot.width} x {shot.height} pixels, {Path(file).stat().st_size:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
