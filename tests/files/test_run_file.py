"""The run file compiles wherever a compiler is, and says what Python says."""

import os
import shlex
import subprocess
import sys

import pytest

from course_lib.config import GREEDY, ModelConfig, Sampling
from course_lib.files import gguf, run_file
from course_lib.model.sample import generate
from course_lib.model.transformer import Transformer
from course_lib.text.chat import decode_answer, encode_prompt
from tests.tiny import CAT_AND_HAT

TOKENIZER = CAT_AND_HAT
MODEL = Transformer(
    ModelConfig(vocab_size=272, context_length=64, dim=32, n_layers=1, n_heads=2, ffn_dim=64),
    seed=1,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    gguf.write_gguf(folder / "model.gguf", MODEL, TOKENIZER)
    return run_file.compile_run_file(folder), folder / "model.gguf"


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(run_file.shutil, "which", lambda name: None)
    monkeypatch.setattr(run_file.importlib.util, "find_spec", lambda name: None)


def greedy(prompt: list[int], n: int) -> list[int]:
    stop = (TOKENIZER.eot_id, TOKENIZER.im_end_id)
    return generate(MODEL, [prompt], n, GREEDY, stop=stop)[0]


def test_the_compiler_is_the_one_asked_for_or_the_first_there_is(monkeypatch, no_compiler):
    found = {"cc": None, "gcc": "/bin/gcc", "clang": "/bin/clang", "icc": "/bin/icc"}
    monkeypatch.setattr(run_file.shutil, "which", found.get)

    assert run_file.find_compiler() == "gcc"
    monkeypatch.setenv("CC", "icc -m64")
    assert run_file.find_compiler() == "icc -m64"
    monkeypatch.setenv("CC", "nowhere")
    assert run_file.find_compiler() == "gcc"


def test_the_zig_wheel_is_the_last_resort(monkeypatch, no_compiler):
    assert run_file.find_compiler() is None
    monkeypatch.setattr(run_file.importlib.util, "find_spec", lambda name: name == "ziglang")

    assert shlex.split(run_file.find_compiler()) == [sys.executable, "-m", "ziglang", "cc"]


def test_without_a_compiler_the_error_says_how_to_get_one(tmp_path, no_compiler):
    with pytest.raises(ValueError, match="pip install ziglang"):
        run_file.compile_run_file(tmp_path)


def test_what_does_not_compile_leaves_the_old_program_alone(tmp_path):
    program = tmp_path / run_file.binary_name()
    program.write_bytes(b"old")
    source = tmp_path / "wrong.c"
    source.write_text("int main(void) { return nothing; }\n")

    with pytest.raises(ValueError, match=r"can't compile wrong.c(.|\n)*nothing"):
        run_file.compile_run_file(tmp_path, source)

    assert program.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == [program.name, "wrong.c"]


def test_a_flag_that_a_compiler_lacks_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(run_file, "FLAGS", (("-march=of-tomorrow",), ("-O1",)))

    program = run_file.compile_run_file(tmp_path / "new")

    done = subprocess.run([program], capture_output=True, check=False)
    assert done.returncode == 1 and b"usage" in done.stderr


def test_run_complete_and_run_chat_say_what_python_says(files):
    prompt = [TOKENIZER.eot_id, *TOKENIZER.encode("the cat")]
    question = encode_prompt(TOKENIZER, [{"role": "user", "content": "a hat\nor two?"}])

    text = run_file.run_complete(*files, "the cat", max_new_tokens=8)
    answer = run_file.run_chat(*files, "a hat\nor two?", max_new_tokens=8)

    controls = range(TOKENIZER.eot_id, TOKENIZER.vocab_size)
    assert text == TOKENIZER.decode(id for id in greedy(prompt, 8) if id not in controls)
    assert answer == decode_answer(TOKENIZER, greedy(question, 8))


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


def test_a_run_that_never_ends_is_stopped(tmp_path):
    source = tmp_path / "forever.c"
    source.write_text("int main(void) { for (volatile int i = 0;; i++); }\n")
    program = run_file.compile_run_file(tmp_path, source)

    with pytest.raises(subprocess.TimeoutExpired):
        run_file.run(program, "model.gguf", "complete", "the", timeout=0.2)
