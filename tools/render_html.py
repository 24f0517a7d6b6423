"""Renders the notebooks as HTML pages for reading without a kernel: python -m tools.render_html DIR

Each page holds all that it shows, pictures of the widgets and diagrams included, and asks no other
server for anything. Every image has its words as alt text, and links between notebooks lead from
page to page.
"""

import base64
import logging
import re
import sys
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def page(path: Path) -> str:
    """The notebook at `path` as one HTML page."""
    notebook = nbformat.read(path, as_version=4)
    exporter = HTMLExporter()
    exporter.log = logging.getLogger("quiet")  # it warns of the alt texts that are set below
    exporter.log.addHandler(logging.NullHandler())
    exporter.log.propagate = False
    body, _ = exporter.from_notebook_node(notebook)
    soup = BeautifulSoup(body, "html.parser")
    heading = next(line for line in notebook.cells[0].source.splitlines() if line[:2] == "# ")
    soup.title.string = heading[2:]  # nbconvert calls all of them "Notebook"
    drawn = [
        output.data["text/plain"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    shown = soup.select(".jp-OutputArea img")
    for image, words in zip(shown, drawn, strict=True):
        image["alt"] = words
    for image in soup.select('img[src$=".svg"]'):  # nbconvert embeds none from another folder
        content = base64.b64encode((path.parent / image["src"]).read_bytes()).decode()
        image["src"] = f"data:image/svg+xml;base64,{content}"
    for script in soup.select('script[src^="http"]'):  # notebooks need no mathematics set
        script.decompose()
    for script in soup.find_all("script"):
        if "https://cdnjs" in script.get_text():
            script.decompose()
    for link in soup.select('a[href$=".ipynb"]'):
        if "//" not in link["href"]:
            link["href"] = re.sub(r"\.ipynb$", ".html", link["href"])
    return str(soup)


def main(folder: str) -> None:
    """Write a page for each notebook into `folder`."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        target = Path(folder) / f"{path.stem}.html"
        target.write_text(page(path), encoding="utf-8")
        print(target)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "build/html")
