"""The text that a page gets: scripts joined, and nothing of one seen by another."""

import subprocess

import pytest

from course_lib.widgets.page import FOLDER, joined, page
from tests.node import NODE


def test_modules_are_joined_once_each_in_a_scope_of_its_own(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.js").write_text(
        'import { twice as double, State } from "./deep/b.js";\n'
        'import {\n  one,\n} from "./c.js";\n'
        'const hidden = "a";\n'
        "console.log(hidden, double(one), new State().name, [1].map((x) => x + 1)[0]);\n"
    )
    (tmp_path / "deep" / "b.js").write_text(
        'import { one } from "../c.js";\n'
        'const hidden = "b";\n'
        "export function twice(x) {\n  return hidden + (x + one);\n}\n"
        "export class State {\n  name = hidden;\n}\n"
    )
    (tmp_path / "c.js").write_text(
        'console.log("c once");\nexport const one = 1;\nexport async function later() {}\n'
    )

    script = joined(tmp_path / "a.js")

    (tmp_path / "all.js").write_text(script)
    done = subprocess.run([NODE, tmp_path / "all.js"], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("c once\na b2 b 2\n", "")


@pytest.mark.parametrize(
    "line",
    [
        "export default { render };",
        "export { render };",
        'import render from "./b.js";',
        'import { render } from "preact";',
        'const end = "</script>";',
    ],
)
def test_what_cannot_be_joined_is_refused(line, tmp_path):
    (tmp_path / "a.js").write_text(f"const render = 1;\n{line}\n")

    with pytest.raises(ValueError, match=r"a\.js can't stand in a page because of '"):
        joined(tmp_path / "a.js")


@pytest.mark.parametrize(
    ("name", "parts"),
    [("explorer", ["page", "sampler", "explorer_core", "engine_kernel"]), ("chat", ["page"])],
)
def test_a_script_of_modules_exports_nothing_but_its_door(name, parts):
    script = page(f"{name}.js")

    lines = [line for line in script.split("\n") if line.startswith(("import", "export"))]
    assert lines == [f"export default {{ render: module_{name}.render }};"]
    for part in parts:
        assert script.count(f"const module_{part} = (() => {{") == 1


@pytest.mark.parametrize("name", ["live", "rank"])
def test_other_widgets_come_with_what_all_share(name):
    assert (FOLDER / "page.js").read_text() in page(f"{name}.js")
    assert page(f"{name}.css").startswith((FOLDER / "page.css").read_text())
