"""Builds the course's site: python -m tools.build_site [FOLDER]

A page in front with the live explorer, the notebooks as a book, the texts for learners and
teachers, the slides of each plan, the play page, and files to take along. It needs no network to
be built or read, and opens from a disk, too. `site/` holds its look and the pages that are its own;
Sphinx does the rest.
"""

import shutil
import subprocess
import sys
import zipfile
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from course_lib.plans import Plan, load_plans
from tools import build_page, build_slides
from tools.course_files import ROOT, course_files
from tools.program import status_of
from tools.site_pages import cards, front_explorer, notebook_page, without_dead_links

KIT = ("warm-up", "answer-key", "hard-questions", "handout", "letters")  # for a teacher
TEXTS = ("README.md", "INSTALL.md", "TEACHING.md", *(f"teaching/{name}.md" for name in KIT))
ZIP = "inside-an-llm.zip"
PLAYS = {  # the pages that open by a double click, and what is in them
    "inside-an-llm.html": "explorer and chat, with the base, SFT and RLHF model",
    "inside-an-llm-base.html": "explorer and chat, with the base model alone: the smallest file",
    "inside-an-llm-learns.html": "the base model at six moments of its training: watch it learn",
}
EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date that a zip can hold: the same course, the same zip


def build(folder: Path) -> None:
    """The whole site, written into `folder`, which is made anew."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "objects.inv").is_file():
        raise ValueError(f"{folder} is not empty and holds no site: name another folder")
    shutil.rmtree(folder, ignore_errors=True)
    build_page.build(folder / "play", home="../index.html")
    build_slides.build(folder / "slides")
    pack_course(folder / "downloads" / ZIP)
    with TemporaryDirectory() as place:
        source = Path(place)
        write_sources(source, folder)
        # -W: a link that leads nowhere is an error
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
        command += ["-d", str(source / "doctrees"), str(source / "pages"), str(folder)]
        if subprocess.run(command).returncode:
            raise ValueError("Sphinx could not build the site, see above")
    for file in (folder / ".buildinfo", *(folder / "_static").rglob("*.map")):
        file.unlink()
    (folder / ".nojekyll").touch()  # GitHub Pages would leave out folders that begin with _


def write_sources(place: Path, folder: Path) -> None:
    """What Sphinx reads, in `place`/pages; `folder` holds the files to take along already."""
    pages = place / "pages"
    shutil.copytree(ROOT / "site", pages, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "diagrams", pages / "diagrams", ignore=shutil.ignore_patterns("*.md"))
    pictures = pages / "_static" / "pictures"
    pictures.mkdir()
    for path in (ROOT / "diagrams").glob("*.png"):
        shutil.copy(path, pages / "_static")
    (pages / "teaching").mkdir()
    plans = load_plans()
    for name in TEXTS:
        text = without_dead_links((ROOT / name).read_text(encoding="utf-8"), (ROOT / name).parent)
        if name == "TEACHING.md":
            text = with_slides(text, folder, plans)
        (pages / name).write_text(text, encoding="utf-8")
    (pages / "notebooks").mkdir()
    book = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        page = notebook_page(nbformat.read(path, as_version=4), pictures)
        nbformat.write(page, pages / "notebooks" / path.name)
        title = page.cells[0].source.splitlines()[0].removeprefix("# ")
        book.append(f"{path.stem.partition('_')[0]} {title} <notebooks/{path.stem}>")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    parts = dict(explorer=front_explorer(readme), cards=cards(readme), book="\n".join(book))
    fill(pages / "index.md", **parts)
    shown = "\n".join(slides(folder, plan) for plan in plans.values())
    fill(pages / "downloads.md", plays=plays(folder), slides=shown, course=course(folder))


def fill(page: Path, **parts: str) -> None:
    """Put each part in its place, {{ name }}, in a page of Markdown."""
    text = page.read_text(encoding="utf-8")
    for name, part in parts.items():
        if (place := f"{{{{ {name} }}}}") not in text:
            raise ValueError(f"{page.name} has no place for {place}")
        text = text.replace(place, part)
    page.write_text(text, encoding="utf-8")


def plays(folder: Path) -> str:
    """The pages that open by a double click, with their sizes."""
    return "\n".join(f"- {link(folder, f'play/{name}')}: {what}" for name, what in PLAYS.items())


def course(folder: Path) -> str:
    """The zip with the course, with its size."""
    what = "notebooks, program, models and measurements; README.md in it says how to begin"
    return f"- {link(folder, f'downloads/{ZIP}')}: {what}"


def slides(folder: Path, plan: Plan) -> str:
    """The slides of a plan, as a list: one deck, or one for each session."""
    files = {part.title: f"slides/{part.id}.html" for part in plan.parts}
    return "\n".join(
        f'- <a href="{file}">{escape(title)}</a> ({megabytes(folder, file)})'
        for title, file in files.items()
    )


def with_slides(teaching: str, folder: Path, plans: dict[str, Plan]) -> str:
    """TEACHING.md with the slides of each plan above its table."""
    for plan in plans.values():
        mark = f"<!-- plan {plan.id} -->"
        teaching = teaching.replace(mark, f"Slides:\n\n{slides(folder, plan)}\n\n{mark}")
    return teaching


def link(folder: Path, file: str) -> str:
    return f'<a href="{file}" download>{Path(file).name}</a> ({megabytes(folder, file)})'


def megabytes(folder: Path, file: str) -> str:
    return f"{(folder / file).stat().st_size / 1e6:.1f} MB"


def pack_course(path: Path) -> None:
    """The course as a zip: all that a learner needs, `make lab` included."""
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for one in [*course_files(), ROOT / "Makefile"]:
            name = Path("inside-an-llm", one.relative_to(ROOT)).as_posix()
            file.writestr(zipfile.ZipInfo(name, EPOCH), one.read_bytes(), zipfile.ZIP_DEFLATED)


def main(arguments: list[str]) -> int:
    def work() -> None:
        folder = Path(*arguments[:1] or ["build/site"])
        build(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{folder / 'index.html'}: the site, {size / 1e6:.0f} MB in all")

    return status_of(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
