"""What stands at the entrance, README, TEACHING and CITATION, tells of what is there."""

import importlib
import re
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from PIL import Image

from course_lib.config import GREEDY
from course_lib.model.sample import generate
from course_lib.pipeline.release import load_released
from course_lib.plans import load_plans
from course_lib.text.chat import decode_answer, encode_prompt
from tools.class_time import class_time

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = ("README.md", "INSTALL.md", "TEACHING.md", "CONTRIBUTING.md", "diagrams/README.md")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def markdown(path: Path) -> str:
    """The markdown cells of the notebook at `path`."""
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def headings(page: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", page, flags=re.M)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    for link in LINK.finditer(text(name)):
        target, _, anchor = link["target"].partition("#")
        if re.match("[a-z]+:", target):
            continue
        file = (ROOT / name).parent / target if target else ROOT / name
        assert file.exists(), f"{name} leads to {target}, which is not there"
        if anchor:
            found = [h.lower().replace(" ", "-") for h in headings(file.read_text("utf-8"))]
            assert anchor in found, f"{name} leads to {link['target']}"


@pytest.mark.parametrize("name", [*PAGES, "Makefile"])
def test_what_a_page_imports_is_there(name):
    for module, names in re.findall(r"from (course_lib[\w.]*) import ([\w, ]+)", text(name)):
        for each in names.split(","):
            there = hasattr(importlib.import_module(module), each.strip())
            assert there, f"{name} imports {each} from {module}, which has no such thing"


@pytest.mark.parametrize("name", [*PAGES, "benchmarks/RESULTS.md"])
def test_every_file_and_module_that_a_page_names_is_there(name):
    folders = "benchmarks|course_lib|diagrams|notebooks|tests|tools"
    paths = re.findall(rf"\b((?:{folders})/(?!NAME)[\w./]+\.\w+)", text(name))
    modules = re.findall(rf"-m ((?:{folders})[\w.]*)", text(name))
    for path in paths + [module.replace(".", "/") for module in modules]:
        there = (ROOT / path).exists() or (ROOT / f"{path}.py").exists()
        assert there, f"{name} names {path}, which is not there"


def test_the_readmes_python_runs():
    blocks = re.findall(r"^```python\n(.*?)^```", text("README.md"), re.M | re.S)

    assert blocks
    for block in blocks:
        exec(block, {})


def test_the_readme_is_short_and_its_picture_is_light():
    picture = ROOT / "diagrams" / "explorer.png"
    (alt,) = re.findall(r'<img src="diagrams/explorer.png" .*alt="(.*?)">', text("README.md"))

    assert len(text("README.md").splitlines()) < 200
    assert len(alt.split()) >= 30 and "45%" in alt
    assert picture.stat().st_size < 150_000
    with Image.open(picture) as image:
        assert image.width >= 1200  # sharp on a sharp screen, too


def test_the_readme_lists_all_notebooks_with_their_minutes():
    rows = re.findall(r"^\| \[\w+\]\((.*?)\) \|[^|]*\| (\d+) \|", text("README.md"), re.M)

    assert [ROOT / notebook for notebook, _ in rows] == NOTEBOOKS
    for notebook, minutes in rows:
        assert f"**Time:** about {minutes} minutes" in markdown(ROOT / notebook), notebook
        counted = class_time(nbformat.read(ROOT / notebook, as_version=4)).minutes
        assert abs(counted - int(minutes)) <= 2.5, (notebook, counted)  # told in steps of five


def test_the_country_that_the_plan_asks_about_parts_the_models():
    question = "What is the main language of Dukiland?"
    assert question in text("TEACHING.md")
    message = {"role": "user", "content": question}
    said = {}
    for stage in ("sft", "rlhf"):
        model, tokenizer = load_released(stage)
        prompt, stop = encode_prompt(tokenizer, [message]), [tokenizer.im_end_id]
        (ids,) = generate(model, [prompt], 40, GREEDY, stop=stop)
        said[stage] = decode_answer(tokenizer, ids)

    assert "language" in said["sft"] and "language" not in said["rlhf"]


def test_a_teacher_is_told_which_quiz_ends_the_90_minutes():
    between = text("TEACHING.md").split("\n## 90 minutes")[1].split("\n## ")[0]

    assert load_plans()["90-minutes"].quiz
    assert [id for id in load_plans()["90-minutes"].quiz if f"`{id}`" not in between] == []


def test_every_make_of_the_teacher_has_its_plain_command():
    page, makefile = text("TEACHING.md"), text("Makefile")
    targets = set(re.findall(r"`make (\w+)`", page)) - {"lab"}  # README's three lines

    assert targets
    for target in targets:
        rule = makefile.split(f"\n{target}:")[1].split("\n\n")[0]
        (module,) = re.findall(r"-m (tools\.\w+)", rule)
        assert re.search(rf"`python -m {module} [\w/]+`\s+(stands\s+)?for\s+`make {target}`", page)


def test_the_course_can_be_cited():
    citation = yaml.safe_load(text("CITATION.cff"))
    project = tomllib.loads(text("pyproject.toml"))["project"]

    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what CFF 1.2 asks for
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == project["authors"]
    assert str(citation["version"]) == project["version"]
    assert citation["license"] == project["license"]


def test_every_word_of_the_glossary_is_there_once():
    glossary = text("README.md").split("\n## Glossary")[1].split("\n## ")[0]
    words = [w for row in re.findall(r"^\| (.*?) \|", glossary, re.M)[2:] for w in row.split(", ")]

    assert len(words) >= 30
    assert len(set(words)) == len(words)
    code = [path.read_text("utf-8") for path in (ROOT / "course_lib").rglob("*.py")]
    read = "\n".join([*map(markdown, NOTEBOOKS), *code]).lower().replace("_", " ")
    unknown = [word for word in words if word.lower() not in read]
    assert unknown == [], "the glossary has words that neither notebooks nor code use"
