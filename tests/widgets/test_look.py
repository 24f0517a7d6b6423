"""One look: colours, sizes and radii stand in page.css, and everyone else uses them by name."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from course_lib.widgets import run_out, sizes
from course_lib.widgets.page import FOLDER, page
from course_lib.widgets.shell import Look

ROOT = FOLDER.parents[1]
OWN = sorted({path.name for path in FOLDER.glob("*.css")} - {"page.css", "explorer.css"})
SHARED = (FOLDER / "page.css").read_text(encoding="utf-8")
AXIS = {"12px", "13px"}  # letters in a drawing, which keep their size at a projector


def without_comments(css: str) -> str:
    return re.sub(r"/\*.*?\*/", "", css, flags=re.S)


def luminance(colour: str) -> float:
    """The relative luminance of #rrggbb, as WCAG 2 has it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("file", OWN)
def test_a_stylesheet_takes_colours_and_sizes_from_the_shared_page(file):
    css = without_comments((FOLDER / file).read_text(encoding="utf-8"))
    names = r"(--course-[\w-]+)"

    assert re.findall(r"#[0-9a-fA-F]{3,6}\b|rgba?\(|var\(--jp-", css) == []
    assert set(re.findall(r"font-size: ([\d.]+(?:px|em|rem))", css)) <= AXIS
    assert set(re.findall(r"border-radius: (\d+px)", css)) <= {"6px"}  # a dot
    used = set(re.findall(rf"var\({names}", css))
    assert used and used <= set(re.findall(rf"{names}:", page(file)))


def test_models_have_the_colours_of_the_course_and_people_their_own():
    light = dict(re.findall(r"--course-(base|sft|rlhf|people): (#\w{6})", SHARED)[:4])

    assert light == {"base": "#0072b2", "sft": "#c67f00", "rlhf": "#00825f", "people": "#7a3db8"}
    # a mark on white needs 3 to 1
    assert all(1.05 / (luminance(colour) + 0.05) > 3 for colour in light.values())


def test_motion_stops_for_those_who_ask_for_it():
    assert "prefers-reduced-motion: reduce" in SHARED


def test_stock_widgets_wear_the_same_page_and_come_with_a_picture(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_ARTIFACTS", str(tmp_path))

    for widget, file in ((sizes({"ours": 10**6}), "sizes.css"), (run_out(), "forecast.css")):
        [first, *_] = widget.children
        assert isinstance(first, Look) and first._css == page(file)
        assert {"course-page", "course-quiet"} <= set(widget._dom_classes)
        data, _ = widget._repr_mimebundle_()
        assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(data)


def test_an_installed_course_has_jupyterlab_save_widgets_with_the_notebook(tmp_path):
    """Else a notebook that is opened again reads "Error displaying widget: model not found"."""
    source = tmp_path / "source"
    (source / "course_lib").mkdir(parents=True)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(FOLDER, source / "course_lib" / "widgets")
    build = f"import setuptools.build_meta as b; b.build_editable({str(tmp_path)!r})"
    subprocess.run(
        [sys.executable, "-c", build], cwd=source, check=True, capture_output=True, timeout=120
    )

    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        folder = "/data/share/jupyter/lab/settings/overrides.d/"
        [ours] = [files.read(name) for name in files.namelist() if folder in name]

    [(plugin, settings)] = json.loads(ours).items()
    name, _, schema = plugin.partition(":")
    found = Path(sys.prefix, "share/jupyter/labextensions", name, "schemas", name, f"{schema}.json")
    assert settings == {"saveState": True}
    assert "saveState" in json.loads(found.read_text(encoding="utf-8"))["properties"]
