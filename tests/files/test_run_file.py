"""The run file compiles wherever a compiler is, and says what Python says."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from course_lib.config import GREEDY, ModelConfig, Sampling
from course_lib.files import gguf, run_file
from course_lib.model.sample import generate
from course_lib.text.chat import decode_answer, encode_prompt
from tests.tiny import CAT_AND_HAT, sharpened

TOKENIZER = CAT_AND_HAT
MODEL = sharpened(
    ModelConfig(vocab_size=272, context_length=64, dim=32, n_layers=1, n_heads=2, ffn_dim=64)
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    gguf.write_gguf(folder / "model.gguf", MODEL, TOKENIZER)
    return run_file.compile_run_file(folder), folder / "model.gguf"


ASKS = 'echo "xcode-select: note: No developer tools were found" >&2; exit 1'
GARBAGE = 'while [ "$1" != -o ]; do shift; done; printf "\\177ELF" > "$2"; chmod +x "$2"'
posix = pytest.mark.skipif(os.name == "nt", reason="the compilers here are shell scripts")


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(run_file.shutil, "which", lambda name: None)
    monkeypatch.setattr(run_file.importlib.util, "find_spec", lambda name: None)


@pytest.fixture
def compilers(tmp_path, monkeypatch) -> Callable:
    """A function that makes compilers of shell commands: all others here are out of order."""
    real = shutil.which(shlex.split(run_file.find_compiler())[0])
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(run_file.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(run_file, "_hung", set())

    def make(**scripts: str) -> Path:
        for name in ("cc", "gcc", "clang", "zig", *scripts):
            script = scripts.get(name, ASKS).replace("REAL", f'exec {real} "$@"')
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        return folder

    return make


@pytest.fixture
def small(tmp_path) -> Path:
    """A source that compiles faster than the run file."""
    source = tmp_path / "small.c"
    source.write_text("int main(void) { return 1; }\n")
    return source


def greedy(prompt: list[int], n: int) -> list[int]:
    stop = (TOKENIZER.eot_id, TOKENIZER.im_end_id)
    return generate(MODEL, [prompt], n, GREEDY, stop=stop)[0]


@posix
def test_the_compiler_is_the_one_asked_for_or_the_first_that_works(compilers, monkeypatch):
    compilers(gcc="REAL", clang="REAL", icc="REAL")

    for asked, found in (("icc -w", "icc -w"), ("nowhere", "gcc"), ('"', "gcc"), ("cc", "gcc")):
        monkeypatch.setenv("CC", asked)
        assert run_file.find_compiler() == found, asked


@posix
def test_a_compiler_may_live_in_a_folder_with_a_space(compilers, monkeypatch, tmp_path):
    shutil.copytree(compilers(icc="REAL"), tmp_path / "Program Files")
    monkeypatch.setenv("CC", str(tmp_path / "Program Files" / "icc"))

    assert shlex.split(run_file.find_compiler()) == [os.environ["CC"]]


@posix
@pytest.mark.parametrize(
    "broken", [ASKS, GARBAGE, "exit 0", "kill -SEGV $$"], ids="asks garbage idle crashes".split()
)
def test_a_compiler_that_does_not_work_does_not_hide_the_wheel(
    compilers, small, tmp_path, monkeypatch, broken
):
    compilers(**dict.fromkeys(("cc", "gcc", "clang", "zig"), broken), real="REAL")
    assert run_file.find_compiler() is None
    with pytest.raises(ValueError, match=r"no C compiler works here(.|\n)*pip install ziglang"):
        run_file.compile_run_file(tmp_path / "none", small)

    wheel = tmp_path / "wheels" / "ziglang"
    wheel.mkdir(parents=True)
    (wheel / "__init__.py").touch()
    main = "import subprocess, sys\nsys.exit(subprocess.call(['real', *sys.argv[2:]]))\n"
    (wheel / "__main__.py").write_text(main)
    monkeypatch.setenv("PYTHONPATH", str(wheel.parent))
    monkeypatch.setattr(run_file.importlib.util, "find_spec", lambda name: name == "ziglang")

    assert shlex.split(run_file.find_compiler()) == [sys.executable, "-m", "ziglang", "cc"]
    assert subprocess.call([run_file.compile_run_file(tmp_path / "new", small)]) == 1


@posix
def test_a_compiler_may_say_anything_in_any_encoding(compilers, small, tmp_path):
    compilers(cc=r"seq 1000 >&2; printf '\276\257\270\346: \316\264\n' >&2; exit 1")

    with pytest.raises(ValueError, match="cc says") as error:
        run_file.compile_run_file(tmp_path / "new", small)

    lines = str(error.value).splitlines()
    assert "1000" in lines and "\ufffd" in lines[-1] and len(lines) <= run_file.SHOWN_LINES + 2


@posix
def test_a_compiler_that_hangs_is_left_behind_once_and_for_all(
    compilers, small, tmp_path, monkeypatch
):
    folder = compilers(cc='echo >> "$0.asked"; sleep 60', gcc="REAL")
    monkeypatch.setattr(run_file, "COMPILE_SECONDS", 3)

    assert run_file.find_compiler() == "gcc"
    assert run_file.compile_run_file(tmp_path / "new", small).is_file()
    assert (folder / "cc.asked").read_text() == "\n"


def test_without_a_compiler_the_error_says_how_to_get_one(tmp_path, no_compiler):
    with pytest.raises(ValueError, match="pip install ziglang"):
        run_file.compile_run_file(tmp_path)


def test_what_does_not_compile_says_why_and_leaves_nothing(tmp_path):
    source = tmp_path / "wrong.c"
    source.write_text("int main(void) { return nothing; }\n")

    with pytest.raises(ValueError, match=r"can't compile wrong.c(.|\n)*nothing"):
        run_file.compile_run_file(tmp_path, source)

    assert os.listdir(tmp_path) == ["wrong.c"]


def test_a_flag_that_a_compiler_lacks_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(run_file, "FLAGS", (("-march=of-tomorrow",), ("-O1",)))

    program = run_file.compile_run_file(tmp_path / "new")

    done = subprocess.run([program], capture_output=True, check=False)
    assert done.returncode == 1 and b"usage" in done.stderr


@posix
@pytest.mark.parametrize("end", ["raise(SIGILL)", "return 127"])  # 127: a library is missing
def test_flags_whose_program_does_not_run_here_are_left_out(tmp_path, monkeypatch, end):
    source = tmp_path / "native.c"
    source.write_text(
        f"#include <signal.h>\nint main(void) {{\n#ifdef FAST\n{end};\n#endif\nreturn 1; }}\n"
    )
    monkeypatch.setattr(run_file, "FLAGS", (("-DFAST",), ("-O1",)))
    assert subprocess.call([run_file.compile_run_file(tmp_path / "new", source)]) == 1

    monkeypatch.setattr(run_file, "FLAGS", (("-DFAST",),))
    reason = "Illegal instruction" if "SIGILL" in end else "code 127"
    with pytest.raises(ValueError, match=f"can't compile native.c to run here(.|\n)*{reason}"):
        run_file.compile_run_file(tmp_path / "new", source)


def test_a_program_is_compiled_again_if_it_is_another_or_does_not_run(small, tmp_path, monkeypatch):
    folder = tmp_path / "new"
    program = run_file.compile_run_file(folder, small)
    made = program.stat().st_mtime_ns
    assert run_file.compile_run_file(folder, small) == program
    assert program.stat().st_mtime_ns == made

    program.write_bytes(b"\x7fELF of another machine")
    assert run_file.compile_run_file(folder, small) == program
    assert subprocess.call([program]) == 1

    monkeypatch.setattr(run_file, "_processor", lambda: "another processor")
    elsewhere = run_file.compile_run_file(folder, small)
    small.write_text("int main(void) { return 2; }\n")
    changed = run_file.compile_run_file(folder, small)
    assert len({program, elsewhere, changed}) == 3 and subprocess.call([changed]) == 2


@posix
def test_a_folder_that_takes_no_program_is_passed_over(small, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    (tmp_path / "file").touch()  # read-only even for root: there can be no folder below a file

    program = run_file.compile_run_file(tmp_path / "file" / "out", small)
    assert program.is_relative_to(home) and subprocess.call([program]) == 1

    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    program = run_file.compile_run_file(tmp_path / "file" / "out", small)
    assert not program.is_relative_to(tmp_path) and subprocess.call([program]) == 1

    monkeypatch.setattr(run_file, "_temporary", lambda: tmp_path / "file")
    with pytest.raises(ValueError, match=r"no folder takes .*file/out \(Not a directory\), "):
        run_file.compile_run_file(tmp_path / "file" / "out", small)


@posix
def test_a_folder_in_which_nothing_may_run_is_passed_over(compilers, small, tmp_path, monkeypatch):
    # As on a disk mounted with noexec: all is well until the program should start.
    compilers(cc=f"case $PWD in */noexec/*) {GARBAGE}; chmod -x $2;; *) REAL;; esac")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    program = run_file.compile_run_file(tmp_path / "noexec", small)

    assert program.is_relative_to(tmp_path / "home") and subprocess.call([program]) == 1
    monkeypatch.setattr(run_file.tempfile, "tempdir", str(tmp_path / "noexec"))
    assert run_file.find_compiler() == "cc"


def test_run_complete_and_run_chat_say_what_python_says(files):
    prompt = [TOKENIZER.eot_id, *TOKENIZER.encode("the cat")]
    question = encode_prompt(TOKENIZER, [{"role": "user", "content": "a hat\nor two?"}])

    text = run_file.run_complete(*files, "the cat", max_new_tokens=8)
    answer = run_file.run_chat(*files, "a hat\nor two?", max_new_tokens=8)

    controls = range(TOKENIZER.eot_id, TOKENIZER.vocab_size)
    assert text == TOKENIZER.decode(id for id in greedy(prompt, 8) if id not in controls)
    assert answer == decode_answer(TOKENIZER, greedy(question, 8))


def test_a_system_message_reaches_the_run_file(files, capfd):
    system = "the cat\u00e9 '\n sat"
    asked = [{"role": "system", "content": system}, {"role": "user", "content": "a hat?"}]
    expected = decode_answer(TOKENIZER, greedy(encode_prompt(TOKENIZER, asked), 8))
    assert expected != run_file.run_chat(*files, "a hat?", max_new_tokens=8)

    answer = run_file.run_chat(*files, "a hat?", max_new_tokens=8, system=system)
    run_file.chat_in_terminal(*files, "a hat?", max_new_tokens=8, system=system)

    assert answer == capfd.readouterr().out.strip() == expected


def test_options_reach_the_run_file(files):
    texts = [
        run_file.run_complete(*files, "the", Sampling(1.0, k, p, seed))
        for k, p, seed in [(None, None, 1), (None, None, 2), (1, None, 1), (None, 1e-9, 2)]
    ]

    assert texts[0] != texts[1]
    assert texts[2] == texts[3] == run_file.run_complete(*files, "the")


def test_run_probs_shows_a_space_and_sums_to_one(files):
    found = run_file.run_probs(*files, "the", n=272)

    assert sum(token.probability for token in found) == pytest.approx(1, abs=1e-5)
    assert found[0].probability == max(token.probability for token in found)
    assert {token.text for token in found} >= {"␣", "↵", "a", "<|im_end|>"}


def test_a_failure_becomes_a_value_error_with_the_words_of_the_run_file(files, tmp_path):
    with pytest.raises(ValueError, match="run: can't read"):
        run_file.run(files[0], tmp_path / "missing.gguf", "complete", "the")


@posix
@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("raise(SIGILL)", r"the program stopped: Illegal instruction \(SIGILL\)"),
        ("raise(SIGKILL)", r"the program stopped: Killed \(SIGKILL\)"),
        ("return 3", "the program stopped with code 3"),
    ],
)
def test_how_a_run_ended_is_said_in_a_sentence(tmp_path, statement, sentence):
    source = tmp_path / "ends.c"
    source.write_text(
        "#include <signal.h>\n#include <string.h>\nint main(int n, char **words) {\n"
        f'if (n > 2 && !strcmp(words[2], "chat")) {statement};\nreturn 1; }}\n'
    )
    program = run_file.compile_run_file(tmp_path, source)

    with pytest.raises(ValueError, match=f"^{sentence}$"):
        run_file.run_chat(program, "model.gguf", "Hello")
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        run_file.chat_in_terminal(program, "model.gguf", "Hello")


def test_a_program_of_another_machine_is_no_riddle(tmp_path):
    program = tmp_path / "run"
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)

    with pytest.raises(ValueError, match=r"run doesn't start \(.+\): compile it on this machine"):
        run_file.run_chat(program, "model.gguf", "Hello")


def test_text_goes_in_as_utf_8_whatever_the_locale(files):
    script = (
        "import sys; from course_lib.files.run_file import run_complete\n"
        "print(ascii(run_complete(*sys.argv[1:], 'the \\u00e9\\U0001f642', max_new_tokens=4)))"
    )
    plain = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    said = [
        subprocess.run(
            [sys.executable, "-c", script, *files], env=environment, capture_output=True, text=True
        )
        for environment in (os.environ, plain)
    ]

    assert said[1].stderr == "" and said[1].stdout == said[0].stdout


def test_a_run_that_never_ends_is_stopped(tmp_path):
    source = tmp_path / "forever.c"
    source.write_text(
        "int main(int n, char **words) { for (volatile int i = 0; words[2][0] == 'c'; i++); }\n"
    )
    program = run_file.compile_run_file(tmp_path, source)

    with pytest.raises(subprocess.TimeoutExpired):
        run_file.run(program, "model.gguf", "complete", "the", timeout=0.2)
