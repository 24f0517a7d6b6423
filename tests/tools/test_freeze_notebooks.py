"""Freezing a notebook: what goes, what stays, and that each house rule is enforced."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools.freeze_notebooks import WIDGET_VIEW, frozen, main, problems, problems_of_a_run, seal

ROOT = Path(__file__).parents[2]
PIXEL = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SHOW_SLIDER = f"""
bundle = slider._repr_mimebundle_()
bundle["image/png"] = "{PIXEL}"
bundle["text/plain"] = "a slider for top-k, at 3 of 10"
display(bundle, raw=True)
""".strip()


def write(path, *cells):
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=list(cells), metadata={"widgets": {"state": {}}}), path)


def freeze(path):
    return subprocess.run(
        [sys.executable, "-m", "tools.freeze_notebooks", str(path)],
        cwd=ROOT,
        # the tool must set all of them
        env={**os.environ, "OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "0", "COURSE_GUESS": ""},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def slider_notebook(tmp_path_factory):
    """A notebook with a slider, run and frozen by the command."""
    path = tmp_path_factory.mktemp("course") / "notebooks" / "slider.ipynb"
    write(
        path,
        new_markdown_cell("# One slider"),
        new_code_cell("import ipywidgets\nslider = ipywidgets.IntSlider(3, max=10)"),
        new_code_cell(SHOW_SLIDER),
        new_code_cell(
            "import os\n[os.environ[n] for n in ('OMP_NUM_THREADS', 'HF_HUB_OFFLINE')]"
            " + [os.path.basename(os.getcwd())]"
        ),
        new_code_cell("print(slider.value, flush=True)\nprint(slider.max, flush=True)"),
    )

    done = freeze(path)

    assert done.returncode == 0, done.stdout + done.stderr
    return path


def test_a_frozen_slider_leaves_its_picture_and_its_words(slider_notebook):
    notebook = nbformat.read(slider_notebook, as_version=4)

    [output] = notebook.cells[2].outputs
    assert output.data == {"image/png": PIXEL, "text/plain": "a slider for top-k, at 3 of 10"}
    assert WIDGET_VIEW not in slider_notebook.read_text(encoding="utf-8")
    assert set(notebook.metadata) == {"kernelspec", "language_info", "seal"}
    assert "version" not in notebook.metadata.language_info


def test_the_run_is_offline_on_one_thread_in_the_folder_of_the_notebook(slider_notebook):
    notebook = nbformat.read(slider_notebook, as_version=4)

    assert notebook.cells[3].outputs[0].data["text/plain"] == "['1', '1', 'notebooks']"
    [stream] = notebook.cells[4].outputs  # the kernel sent two
    assert stream.text == "3\n10\n"


def test_freezing_again_changes_no_byte(slider_notebook):
    before = slider_notebook.read_bytes()

    assert freeze(slider_notebook).returncode == 0
    assert slider_notebook.read_bytes() == before


def nbval(path):
    options = "-q --nbval --nbval-current-env -p no:cacheprovider".split()
    sanitize = ["--nbval-sanitize-with", str(ROOT / "tests" / "nbval_sanitize.cfg")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *sanitize, str(path)],
        cwd=path.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )


def test_a_frozen_widget_passes_strict_nbval(slider_notebook):
    done = nbval(slider_notebook)

    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout + done.stderr


def test_a_question_is_frozen_with_its_result_and_a_quiz_with_its_answers_folded(tmp_path):
    path = tmp_path / "notebooks" / "guess.ipynb"
    write(
        path,
        new_markdown_cell("# Guess"),
        new_code_cell('from course_lib.widgets import behind, guess, quiz\nguess("six-share")'),
        new_code_cell('behind("six-share", "45 of 100", lambda: "made")'),
        new_code_cell('quiz("what-comes-out")'),
    )

    done = freeze(path)

    assert done.returncode == 0, done.stdout + done.stderr
    cells = nbformat.read(path, as_version=4).cells
    [asked], result, [quiz] = (cell.outputs for cell in cells[1:])
    assert "No guess yet: answer it in JupyterLab" in asked.data["text/plain"]
    words = [output.data["text/plain"] for output in result]
    assert words[:2] == ["45 of 100", "made"] and words[2].startswith("The answer: 45%.")
    assert "<details>" in quiz.data["text/html"] and "1,536" not in quiz.data["text/plain"]
    done = nbval(path)
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr


def test_a_failing_cell_is_reported_and_the_file_left_alone(tmp_path):
    path = tmp_path / "notebooks" / "broken.ipynb"
    write(path, new_markdown_cell("# Broken"), new_code_cell("1 / 0"))
    before = path.read_bytes()

    done = freeze(path)

    assert done.returncode == 1 and "ZeroDivisionError" in done.stdout
    assert path.read_bytes() == before


def test_no_notebook_at_all_is_an_error(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path / "*.ipynb")])

    assert "no notebook found" in capsys.readouterr().err


def code(source="6 * 7", count=1, outputs=None, tags=()):
    outputs = [result("42", count)] if outputs is None else outputs
    metadata = {"tags": list(tags)} if tags else {}
    return new_code_cell(source, execution_count=count, outputs=outputs, metadata=metadata)


def result(text, count=1, **data):
    return new_output("execute_result", {"text/plain": text, **data}, execution_count=count)


def sealed(*cells):
    notebook = frozen(new_notebook(cells=list(cells)))
    notebook.metadata.seal = seal(notebook)
    return notebook


TITLE = new_markdown_cell("# The answer\n\n## A section\n\n```python\n# a comment\n```")


def test_a_good_notebook_has_no_problems(tmp_path):
    (tmp_path / "map.svg").write_text("<svg/>")
    image = new_markdown_cell("![The six notebooks in order](map.svg)")
    html = new_markdown_cell('<img src="map.svg" alt="The six notebooks in order">')
    ignored = code("time()", 2, [result("1", 2)], tags=["nbval-ignore-output"])

    links = new_markdown_cell("## Next\n\n[map](map.svg), [up](#next), [out](https://x.org/y)")
    cells = [TITLE, code(), ignored, image, code(count=3), html, code(count=4), links]

    notebook = sealed(*cells)

    assert problems(notebook, tmp_path) == []


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([TITLE, code(count=None)], "not all run once, in order"),
        ([TITLE, code(), code(count=3)], "not all run once, in order"),
        ([TITLE, code(outputs=[])], "no code cell has a stored output"),
        ([TITLE, code(tags=["nbval-ignore-output"])], "1 of 1 code cells carry"),
        ([TITLE, code(tags=["nbval-skip"])], "cell 1 escapes nbval"),
        ([TITLE, code("# NBVAL_IGNORE_OUTPUT\n6 * 7")], "cell 1 escapes nbval"),
        ([TITLE, code(outputs=[new_output("stream", name="stderr", text="hm")])], "stderr: 'hm'"),
        ([TITLE, code(outputs=[new_output("error", ename="E", evalue="v")])], "it ended in E: v"),
        ([TITLE, code(outputs=[result("<Figure>", **{"image/png": PIXEL})])], "its picture needs"),
        ([code()], "the one heading with a single #, got []"),
        ([TITLE, new_markdown_cell("# Another"), code()], "got ['# The answer', '# Another']"),
        ([new_markdown_cell("## Early"), TITLE, code()], "it must begin with the one heading"),
        ([TITLE, new_markdown_cell("#### Deep"), code()], "the heading '#### Deep' skips a level"),
        ([TITLE, code("x = 1\n" * 13)], "cell 1 has 13 lines of code"),
        ([TITLE, code(), new_markdown_cell("word " * 151)], "a paragraph of 151 words"),
        ([TITLE, code(), new_markdown_cell("[a](x.ipynb#b)")], "the link x.ipynb leads nowhere"),
        (
            [TITLE, code(), new_markdown_cell("![](map.svg)")],
            "cell 2: the image map.svg needs an alt",
        ),
        ([TITLE, code(), new_markdown_cell("![map](map.svg)")], "needs an alt text"),
        ([TITLE, code(), new_markdown_cell("<img src='map.svg'>")], "needs an alt text"),
        ([TITLE, code(), new_markdown_cell("![a map of it](x.svg)")], "no image x.svg beside"),
        ([TITLE, code(), new_markdown_cell("![a b c](https://x.org/y.png)")], "no image https://"),
    ],
)
def test_each_broken_rule_is_named(tmp_path, cells, message):
    (tmp_path / "map.svg").write_text("<svg/>")

    found = problems(sealed(*cells), tmp_path)

    assert len(found) == 1 and message in found[0]


def test_an_expected_error_is_allowed():
    raising = code(outputs=[new_output("error", ename="E", evalue="v")], tags=["raises-exception"])

    assert problems(sealed(TITLE, raising), Path()) == []


def test_edits_after_freezing_break_the_seal():
    for edit in ("source", "outputs"):
        notebook = sealed(TITLE, code(), code(count=2))
        notebook.cells[1][edit] = notebook.cells[1][edit][:0]

        assert "code or outputs changed since it was frozen" in problems(notebook, Path())


def test_what_an_editor_leaves_is_noticed_and_taken_out():
    notebook = sealed(TITLE, code())
    notebook.metadata.widgets = {"state": {}}
    notebook.metadata.language_info.version = "3.11.7"
    notebook.cells[0].id = "random-id"
    notebook.cells[1].metadata.execution = {"iopub.execute_input": "2026-01-01"}
    notebook.cells[1].outputs[0].data[WIDGET_VIEW] = {"model_id": "0"}

    assert any("freezing takes out" in problem for problem in problems(notebook, Path()))
    assert frozen(notebook) == sealed(TITLE, code())


def test_cell_ids_follow_the_source_and_differ_between_equal_cells():
    before = sealed(TITLE, code(), code(count=2))
    after = sealed(TITLE, new_markdown_cell("New."), code(), code(count=2))

    ids = [cell.id for cell in before.cells]
    assert len(set(ids)) == 3
    assert [cell.id for cell in after.cells if cell.source != "New."] == ids


def test_a_widget_without_a_picture_and_a_path_of_this_machine_are_seen_before_freezing(tmp_path):
    widget = result("IntSlider(value=3)", **{WIDGET_VIEW: {"model_id": "0"}})
    told = result("A question", **{WIDGET_VIEW: {"model_id": "1"}, "text/html": "A question"})
    here = result(f"'{tmp_path.resolve() / 'model.gguf'}'")

    found = problems_of_a_run(
        new_notebook(cells=[code(outputs=[widget, told, here])]), tmp_path / "n"
    )

    assert len(found) == 2 and "without an image/png" in found[0] and "path of this" in found[1]


def test_a_live_board_is_stored_as_it_looks_at_its_end(tmp_path):
    """Nobody who reads a frozen notebook should see a training that has not begun."""
    path = tmp_path / "notebooks" / "live.ipynb"
    tags = {"tags": ["nbval-ignore-output", "as-it-ends"]}
    write(
        path,
        new_markdown_cell("# One training"),
        new_code_cell("import asyncio\nboard = []"),
        new_code_cell("job = asyncio.sleep(0)\nboard", metadata=tags),
        new_code_cell("await job\nboard.append('learned')"),
        new_code_cell("board = 'of another training'"),
    )

    done = freeze(path)

    assert done.returncode == 0, done.stdout + done.stderr
    stored = nbformat.read(path, as_version=4)
    assert [cell.get("execution_count") for cell in stored.cells] == [None, 1, 2, 3, 4]
    (output,) = stored.cells[2].outputs
    assert output.data == {"text/plain": "['learned']"} and output.execution_count == 2
    assert stored.cells[3].outputs == []
