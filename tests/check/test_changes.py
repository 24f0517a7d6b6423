"""The workbench of notebook 01: what it shows of run.c, and what it changes."""

import pytest

from course_lib.check.changes import changed, compiled, function, parts, with_setting
from course_lib.files.gguf import read_gguf_summary
from course_lib.files.run_file import SOURCE, find_compiler, released, run_chat

RUN_C = SOURCE.read_text(encoding="utf-8")
TWO = """/* ---- One ---- */
a
b

/* ---- Two: more ---- */
static int half(int x) { // words
    if (x) {
        return 1;
    }
}
static int whole(void) {
}
"""


def test_parts_are_told_by_their_headings():
    assert parts(TWO) == {"One": 2, "Two: more": 7}
    assert sum(parts(RUN_C).values()) > 400 and "Maths" in parts(RUN_C)


def test_a_function_ends_with_its_own_bracket():
    assert (
        function(TWO, "half")
        == TWO[TWO.index("static int half") : TWO.index("static int who")][:-1]
    )
    assert (
        function(RUN_C, "forward").splitlines()[0] == "static void forward(Model *m, int token) {"
    )
    assert "SwiGLU" in function(RUN_C, "feed_forward")
    with pytest.raises(ValueError, match="no function 'backward'"):
        function(RUN_C, "backward")


@pytest.mark.parametrize(("old", "n"), [("there is no such text", 0), ("static", "3|[4-9]|\\d\\d")])
def test_only_what_stands_once_is_changed(old, n):
    assert changed(TWO, "return 1", "return 2") == TWO.replace("return 1", "return 2")
    with pytest.raises(ValueError, match=f"'{old}' stands ({n}) times in this source"):
        changed(RUN_C, old, "")


@pytest.mark.skipif(find_compiler() is None, reason="no C compiler")
def test_a_changed_source_runs_and_stands_beside_its_program(tmp_path):
    program = compiled(changed(RUN_C, '"run: "', '"walk: "'), tmp_path / "new")

    assert (tmp_path / "new" / "run.c").read_text(encoding="utf-8").count("walk: ") == 1
    assert run_chat(program, released(), "What is the capital of France?").endswith("Paris.")


def test_a_setting_is_changed_and_nothing_else(tmp_path):
    copy = with_setting(released(), "llama.context_length", 1024, tmp_path / "copy.gguf")

    before, after = (read_gguf_summary(path).values for path in (released(), copy))
    assert after.pop("llama.context_length") == 1024 and before.pop("llama.context_length") == 128
    assert after == before
    different = [a != b for a, b in zip(released().read_bytes(), copy.read_bytes(), strict=True)]
    assert 1 <= sum(different) <= 4


@pytest.mark.parametrize("name", ["llama.rope.freq_base", "no.such.thing"])
def test_what_is_no_whole_number_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=f"no whole number called '{name}'"):
        with_setting(released(), name, 1, tmp_path / "copy.gguf")
    assert not list(tmp_path.iterdir())
