"""The command line, called as a function; `tests/test_offline.py` calls it as a program."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from course_lib import __main__ as cli
from course_lib.pipeline.recipe import STAGES
from course_lib.pipeline.release import load_language_model
from tests.tiny import PLAN


@pytest.fixture(scope="module")
def root(finished_run):
    return finished_run


def run(capsys, *arguments) -> tuple[int, str, str]:
    status = cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_train_shows_its_stages_and_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("course_lib.commands.recipe", lambda *_: PLAN)

    status, out, _ = run(capsys, "train", "--out", tmp_path, "--device", "cpu", "--threads", 1)

    assert status == 0
    for stage in STAGES:
        assert stage in out
    assert "gap to floor" in out and "python -m course_lib chat" in out
    assert "Facts completed right" in out and "kl to sft" in out  # the report card
    again, out, _ = run(capsys, "train", "--out", tmp_path, "--device", "cpu", "--threads", 1)
    assert again == 0 and "base: finished before" in out


def test_one_stage_can_be_trained_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("course_lib.commands.recipe", lambda *_: PLAN)

    status, _, err = run(capsys, "train", "--out", tmp_path, "--stage", "sft", "--threads", 1)
    assert status == 1 and "needs 'tokenizer' first" in err
    status, out, _ = run(capsys, "train", "--out", tmp_path, "--stage", "tokenizer", "--threads", 1)
    assert status == 0 and "tokenizer" in out


def test_what_another_recipe_finished_is_not_called_finished(root, capsys, monkeypatch):
    chatty = replace(PLAN, sft=replace(PLAN.sft, chatty=True))
    monkeypatch.setattr(
        "course_lib.commands.recipe", lambda *choices: chatty if choices[-1] else PLAN
    )

    status, out, _ = run(capsys, "train", "--out", root, "--stage", "sft", "--threads", 1)
    assert status == 0 and "sft: finished before" in out
    status, out, err = run(
        capsys, "train", "--chatty", "--out", root, "--stage", "sft", "--threads", 1
    )
    assert status == 1 and "finished before" not in out and "another recipe" in err


@pytest.mark.parametrize("engine", ["c", "python"])
def test_chat_answers_one_message(root, capfd, engine):
    status = cli.main(
        ["chat", "--from", str(root), "--engine", engine, "--temperature", "0", "Hello"]
    )

    assert status == 0
    assert capfd.readouterr().out.strip()


def test_without_a_model_of_ones_own_chat_takes_the_one_of_the_course(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)

    status = cli.main(["chat", "--temperature", "0", "What is the capital of France?"])

    out, err = capfd.readouterr()
    assert status == 0 and "Paris" in out and "trained no model yet" in err


def test_without_stages_of_ones_own_the_others_take_those_of_the_course(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    status, out, err = run(capsys, "probs", "In that match Virat Kohli hit a")
    assert status == 0 and "century" in out and "the one of the course" in err
    status, out, _ = run(capsys, "chat", "--stage", "sft", "--temperature", 0, "Who are you?")
    assert status == 0 and "language model" in out
    status, _, err = run(capsys, "probs", "--from", tmp_path, "In that match")
    assert status == 1 and "no finished stage" in err


def test_the_two_engines_say_the_same(root, capfd):
    said = []
    for engine in ("c", "python"):
        cli.main(["chat", "--from", str(root), "--engine", engine, "--temperature", "0", "Hello"])
        said.append(capfd.readouterr().out.strip())

    assert said[0] == said[1]


@pytest.mark.parametrize("system", ["Answer in one word.", "\n 'No' <|im_end|>\né"])
def test_the_two_engines_hear_the_system_message(root, capfd, monkeypatch, system):
    chat = ["chat", "--from", str(root), "--temperature", "0", "--system", system, "Hello"]
    commands, call = [], subprocess.call
    monkeypatch.setattr(
        "course_lib.files.run_file.subprocess.call",
        lambda command: commands.append(command) or call(command),
    )

    said = []
    for engine in ("c", "python"):
        assert cli.main([*chat, "--engine", engine]) == 0
        said.append(capfd.readouterr().out.strip())

    assert said[0] == said[1] != ""
    assert system in [a.decode() if isinstance(a, bytes) else a for a in commands[0]]


def test_the_system_message_is_never_forgotten(root, capsys, monkeypatch):
    asked, lines = [], iter([*["What is the capital of France?"] * 12, ""])
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    monkeypatch.setattr(
        "course_lib.commands.stream", lambda _, ids, *a, **b: asked.append(ids) or iter([65] * 5)
    )

    status, _, err = run(
        capsys, "chat", "--from", root, "--engine", "python", "--system", "Answer in one word."
    )

    _, tokenizer = load_language_model(root, "rlhf")
    begun = "<|endoftext|><|im_start|>system\nAnswer in one word.<|im_end|>\n<|im_start|>user\nWhat"
    assert (status, err, len(asked)) == (0, "", 12)
    assert all(tokenizer.decode(ids).startswith(begun) for ids in asked)
    assert len(asked[0]) < len(asked[1]) and max(map(len, asked)) <= 160 - 40  # some was forgotten


def test_a_system_message_that_leaves_no_room_is_told(root, capsys):
    chat = ("chat", "--from", root, "--engine", "python", "--system", "a" * 2000)

    status, _, err = run(capsys, *chat, "Hello")

    assert status == 1 and err.count("\n") == 1
    assert re.match(r"error: this message and the system message have [\d,]+ tokens, 159 are", err)


def test_without_a_compiler_that_works_python_chats_and_says_why_in_one_line(
    root, tmp_path, capfd, monkeypatch
):
    for name in ("cc", "gcc", "clang"):  # as on a Mac without its command line tools
        script = tmp_path / name
        script.write_text("#!/bin/sh\necho 'no developer tools were found' >&2\nexit 1\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ziglang", None)
    monkeypatch.setattr("course_lib.files.run_file._processor", lambda: "another one")

    status = cli.main(["chat", "--from", str(root), "--temperature", "0", "Hello"])

    out, err = capfd.readouterr()
    assert status == 0 and out.strip()
    assert err.count("\n") == 1 and "so Python does: no C compiler works here" in err
    status = cli.main(["chat", "--from", str(root), "--engine", "c", "Hello"])
    assert status == 1 and "no developer tools were found" in capfd.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="the program here is a shell script")
@pytest.mark.parametrize("end", ["kill -ILL $$", "exit 1"])
def test_python_chats_where_the_program_fails(root, tmp_path, capfd, monkeypatch, end):
    program = tmp_path / "run"
    program.write_text(f"#!/bin/sh\n{end}\n")
    program.chmod(0o755)
    monkeypatch.setattr("course_lib.files.run_file.compile_run_file", lambda folder: program)

    status = cli.main(["chat", "--from", str(root), "--temperature", "0", "Hello"])

    out, err = capfd.readouterr()
    assert status == 0 and out.strip()
    assert err.count("\n") == 1 and "so Python does: the program stopped" in err


def test_without_torch_the_run_file_chats_and_the_others_say_what_is_missing(root):
    script = "import sys; sys.modules['torch'] = None; from course_lib.__main__ import main; "
    chat, probs = (
        subprocess.run(
            [sys.executable, "-c", f"{script}sys.exit(main({arguments!r}))"],
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        for arguments in (
            ["chat", "--from", str(root), "--temperature", "0", "Hello"],
            ["probs", "--from", str(root), "Hello"],
        )
    )

    assert (chat.returncode, chat.stderr) == (0, "") and chat.stdout.strip()
    assert probs.returncode == 1 and probs.stderr.count("\n") == 1
    assert "torch" in probs.stderr and "course_lib doctor" in probs.stderr


def test_a_letter_spread_over_tokens_is_shown_whole(root, capsys, monkeypatch):
    text = "Grüße \N{CRICKET BAT AND BALL}, naïve"  # letters of two and four bytes
    _, tokenizer = load_language_model(root, "rlhf")
    ids = list(text.encode())  # the first 256 ids are the bytes themselves
    assert tokenizer.decode(ids) == text
    monkeypatch.setattr("course_lib.commands.stream", lambda *_, **__: iter(ids))

    _, out, _ = run(capsys, "chat", "--from", root, "--engine", "python", "Hello")

    assert out == text + "\n"


def test_chat_in_python_goes_on_until_an_empty_line(root, capsys, monkeypatch):
    lines = iter(["Hello", "What is the capital of France?", "Thanks.", "Who are you?", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(lines))

    status, out, _ = run(capsys, "chat", "--from", root, "--engine", "python")

    assert status == 0 and len(out.splitlines()) >= 5
    assert next(lines, None) is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a" * 2000, r"error: this message has \S+ tokens, 159 are the most: ask something"),
        ("中文" * 100_000, r"error: this message has \d\d\d,\d\d\d tokens, 159 are"),
        ("x" + " " * 600_000 + "x", "error: 500,000 white-space characters in a row"),
    ],
    ids=["long", "endless", "spaces"],
)
def test_a_message_that_does_not_fit_leaves_the_conversation_as_it_was(
    root, capsys, monkeypatch, line, reason
):
    def talk(*said):
        asked, lines = [], iter([*said, ""])
        monkeypatch.setattr("builtins.input", lambda _: next(lines))
        monkeypatch.setattr(
            "course_lib.commands.stream", lambda _, ids, *a, **b: asked.append(ids) or iter([65])
        )
        return asked, run(capsys, "chat", "--from", root, "--engine", "python")

    asked, (status, out, err) = talk("Hello", line, "And now?")
    expected, (_, usual, _) = talk("Hello", "And now?")

    assert status == 0 and re.match(reason, err) and err.count("\n") == 1 and len(err) < 120
    assert out == usual and asked == expected and len(asked) == 2
    status, _, err = run(capsys, "chat", "--from", root, "--engine", "python", line)
    assert status == 1 and re.match(reason, err)


def test_probs_shows_the_model_beside_the_world(root, capsys):
    status, out, _ = run(capsys, "probs", "--from", root, "In that match Virat Kohli hit a")

    assert status == 0
    assert "␣six" in out and "45.0%" in out and "30.0%" in out
    status, out, _ = run(capsys, "probs", "--from", root, "Once upon a time 🙂")
    assert status == 0 and "no truth to compare with" in out
    status, _, err = run(capsys, "probs", "--from", root, "a b " * 2000)
    assert status == 1 and re.match(r"error: this text has \S+ tokens, 159 are the most", err)


@pytest.mark.parametrize("command", ["probs In --top 500", "chat Hello"])
def test_a_reader_who_has_seen_enough_gets_no_complaint(root, command):
    command = [sys.executable, "-m", "course_lib", *command.split(), "--from", root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        program.stdout.close()  # as `| head` does in the end
        complaint = program.stderr.read().decode()

    assert (program.returncode, complaint) == (1, "")


def test_report_is_a_table_or_json(root, capsys):
    report = ("report", "--from", root, "--stage", "base", "--documents", 60)
    status, out, _ = run(capsys, *report, "--json")

    assert status == 0 and json.loads(out)["held_out"]["gap"] > 0
    status, out, _ = run(capsys, *report)
    assert status == 0 and "bits a byte" in out


@pytest.mark.parametrize(
    ("stage", "finished", "chat", "reference"),
    [
        ("base", {"base", "sft"}, False, None),
        ("sft", {"base", "sft"}, True, None),
        ("rlhf", {"base", "sft", "rlhf"}, True, "model of sft"),
        ("rlhf", {"base", "rlhf"}, True, None),
    ],
)
def test_the_command_compares_rlhf_with_sft(
    monkeypatch, capsys, tmp_path, stage, finished, chat, reference
):
    asked = []
    monkeypatch.setattr(
        "course_lib.commands.load_language_model",
        lambda root, name: (f"model of {name}", "tokenizer"),
    )
    monkeypatch.setattr(
        "course_lib.commands.read_manifest", lambda path: {} if path.name in finished else None
    )
    monkeypatch.setattr(
        "course_lib.commands.report_card", lambda *args, **more: asked.append((args, more)) or {}
    )

    cli.main(["report", "--from", str(tmp_path), "--stage", stage, "--documents", "7", "--json"])

    assert asked == [
        ((f"model of {stage}", "tokenizer", 7), {"chat": chat, "reference": reference})
    ]
    assert json.loads(capsys.readouterr().out) == {}


def test_export_writes_any_stage_as_gguf(root, tmp_path, capsys):
    status, out, _ = run(capsys, "export", "--from", root, "--stage", "sft", tmp_path / "my.gguf")

    assert status == 0 and "bytes" in out
    assert (tmp_path / "my.gguf").read_bytes()[:4] == b"GGUF"


def test_without_a_command_the_help_is_shown(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([])

    assert end.value.code == 0 and "doctor" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["chat Who are you?", "probs In that match"])
def test_a_sentence_without_quotation_marks_is_told_of_them(capsys, command):
    with pytest.raises(SystemExit):
        cli.main(command.split())

    assert "put the whole text in quotation marks" in capsys.readouterr().err


def test_chat_in_c_says_in_a_terminal_what_to_do(root, capfd, monkeypatch):
    chat = ["chat", "--from", str(root), "--engine", "c"]
    monkeypatch.setattr("course_lib.files.run_file.subprocess.call", lambda command: 0)

    assert cli.main(chat) == 0 and capfd.readouterr().out == ""  # lines may come from a file
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert cli.main(chat) == 0 and "ends the conversation" in capfd.readouterr().out
    assert cli.main([*chat, "Hello"]) == 0 and capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("command", "kept"), [("train", True), ("classroom", True), ("chat", False)]
)
def test_ctrl_c_promises_only_what_is_kept(capsys, monkeypatch, command, kept):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", stop)

    status, _, err = run(capsys, command)
    assert status == 130 and "Stopped." in err and ("continues from there" in err) == kept


def test_mistakes_get_one_line_and_exit_code_one(tmp_path, root, capsys):
    for arguments in (
        ("chat", "--from", tmp_path, "hi"),
        ("report", "--from", tmp_path),
        ("train", "--out", tmp_path, "--stage", "poetry"),
        ("train", "--out", tmp_path, "--device", "abacus"),
        ("probs", "--from", root, "--top", 0, "In"),
        ("chat", "--from", root, "--stage", "sft", "--engine", "c", "hi"),
        ("chat", "--from", root, "--temperature", -1, "hi"),
        ("chat", "--from", root, "--temperature", "nan", "hi"),
        ("chat", "--from", root, "--seed", -1, "hi"),
        ("classroom", "--port", 99999),
    ):
        status, _, err = run(capsys, *arguments)
        assert status == 1 and err.startswith("error: ") and err.count("\n") == 1, arguments


def test_train_on_your_own_text_ends_with_its_loss_and_three_samples(tmp_path):
    for n in range(40):
        text = "".join(f"{n} bottles and {m} glasses stood on the wall.\n" for m in range(30))
        (tmp_path / f"{n}.txt").write_text(text)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "course_lib", "train", "--data", str(tmp_path)]
    command += ["--tokens", "8000", "--vocab", "300", "--threads", "1", "--out", str(out)]

    first, again = (
        subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)
        for _ in range(2)
    )

    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert "bits per byte: " in first.stdout and "base: finished before" in again.stdout
    for said in (first.stdout, again.stdout):
        assert "Three documents" in said and said.count("\n--\n") == 4 and "need dialogues" in said
    assert len(list((out / "shards").glob("*.bin"))) == 2


def test_a_model_of_real_text_serves_the_commands_of_a_base_model(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("The wall stood. " * 4000)
    data = ("train", "--data", tmp_path / "a.txt", "--tokens", 2000, "--vocab", 262)
    assert run(capsys, *data, "--out", tmp_path / "out", "--threads", 1)[0] == 0

    base = ("--from", tmp_path / "out", "--stage", "base")
    status, out, _ = run(capsys, "probs", *base, "The wall")
    assert status == 0 and "the base model gives" in out and "no truth to compare with" in out
    status, out, _ = run(capsys, "export", *base, tmp_path / "wall.gguf")
    assert status == 0 and (tmp_path / "wall.gguf").read_bytes()[:4] == b"GGUF"
    status, _, _ = run(capsys, "chat", *base, "--temperature", 0, "The wall")
    assert status == 0


def test_mistakes_about_data_get_one_line(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("Too short.\n<|endoftext|>\nTo train on.")
    (tmp_path / "bad.jsonl").write_text('{"body": "x"}')
    train = ("train", "--out", tmp_path / "out", "--threads", 1)
    for arguments, message in (
        (("--data", tmp_path / "missing.txt"), "there is no file or folder"),
        (("--data", "no/stories"), "the Hugging Face Hub can't stream it"),
        (("--data", tmp_path / "bad.jsonl"), "bad.jsonl, line 1"),
        (("--data", tmp_path / "a.txt"), "no pair occurs twice"),
        (("--data", tmp_path / "a.txt"), "--vocab"),
        (("--data", ""), "file or folder '': check"),
        (("--data", tmp_path / "a.txt", "--vocab", 260), "add text"),
        (("--data", "python", "--stage", "sft"), "needs dialogues"),
        (("--data", "python", "--tokens", 0), "1 or more"),
        (("--tokens", 1000), "belong to --data"),
    ):
        status, _, err = run(capsys, *train, *arguments)
        assert status == 1 and err.startswith("error: ") and err.count("\n") == 1, arguments
        assert message in err


def test_doctor_says_what_it_found(capsys):
    status, out, _ = run(capsys, "doctor")

    for name in ("Python", "torch", "device", "cores", "memory", "C compiler", "JupyterLab"):
        assert name in out
    assert out.rstrip().endswith(("Ready.", "Fix what failed, then ask again."))
    assert status in (0, 1)
