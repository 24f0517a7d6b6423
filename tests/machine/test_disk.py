"""Files change whole or not at all, lines end at line feeds, and bad ones are named."""

import errno
import json
import os
import subprocess
import sys

import pytest

from course_lib.machine.disk import (
    json_hash,
    read_json,
    read_json_lines,
    read_lines,
    whole_file,
    whole_folder,
    write_json,
    write_json_lines,
    write_text,
)

# What Python's `splitlines` cuts at, and a file mustn't be cut at; and two that no line ends with.
NO_ENDS = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r", "\0", "\ufeff"]


def test_what_fails_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "made" / "notes.txt"
    write_text(path, "old\n")

    def interrupted() -> None:
        with whole_file(path) as partial:
            partial.write_text("half of the n")
            raise RuntimeError("the power is gone")

    with pytest.raises(RuntimeError):
        interrupted()

    assert path.read_text() == "old\n" and list(path.parent.iterdir()) == [path]


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda _, real=os.fsync: done.append("flushed"))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *a: done.append("renamed") or replace(*a))

    write_json(tmp_path / "a.json", {"é": 1})

    assert done == ["flushed", "renamed"]
    assert (tmp_path / "a.json").read_bytes() == '{\n  "é": 1\n}\n'.encode()


def test_a_folder_of_files_moves_with_the_last_one_last(tmp_path, monkeypatch):
    moved, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: moved.append(b.name) or replace(a, b))

    with whole_folder(tmp_path, last="b") as staging:
        for name in "abc":
            (staging / name).write_text(name)

    assert moved[-1] == "b" and sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


@pytest.mark.parametrize("fails", ["replace", "fsync"])
def test_what_can_not_be_written_is_told_with_its_name(tmp_path, monkeypatch, fails):
    write_json(tmp_path / "a.json", {"n": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(OSError, match=r"a.json can't be written, what was .* stays: No space left"):
        write_json(tmp_path / "a.json", {"n": 2})

    assert read_json(tmp_path / "a.json") == {"n": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("sign", NO_ENDS, ids=ascii)
def test_a_value_comes_back_whatever_signs_it_holds(tmp_path, sign):
    values = [{"text": f"one{sign}two"}, {"text": sign}]
    write_json_lines(tmp_path / "x.jsonl", values)

    assert [value for _, value in read_json_lines(tmp_path / "x.jsonl", "{}")] == values


def test_half_an_emoji_becomes_a_sign_and_loses_nobodys_work(tmp_path):
    write_json_lines(tmp_path / "x.jsonl", [{"text": "a\ud83d"}, {"text": "b"}])

    assert [value["text"] for _, value in read_json_lines(tmp_path / "x.jsonl", "{}")] == [
        "a\ufffd",
        "b",
    ]


def test_files_of_other_systems_read_the_same(tmp_path):
    lines = '{"a": 1}\n\n{"a": "é"}\n'
    for name, raw in {
        "line feeds": lines.encode(),
        "Windows": lines.replace("\n", "\r\n").encode(),
        "a byte order mark": b"\xef\xbb\xbf" + lines.encode(),
        "no end": lines.rstrip("\n").encode(),
    }.items():
        (tmp_path / "x.jsonl").write_bytes(raw)
        assert list(read_json_lines(tmp_path / "x.jsonl", "{}")) == [
            (1, {"a": 1}),
            (3, {"a": "é"}),
        ], name
    assert list(read_lines(tmp_path / "x.jsonl"))[-1] == (3, '{"a": "é"}')


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a": 1}\n{"a": \n', r"line 2: expected one JSON object per line"),
        (b"[" * 100_000 + b"]" * 100_000, r"line 1: expected one JSON object per line"),
        ('"é"\n'.encode("latin-1"), r"line 1: byte 2 is 0xe9, which is not UTF-8: save the file"),
        ('"q"\n'.encode("utf-16"), r"line 1: byte 1 is 0xff, which is not UTF-8"),
        (b'"' + b"x" * 2_000_000 + b'"]\n', r"line 1: expected one JSON object per line"),
    ],
    ids=["cut off", "deep", "Latin-1", "UTF-16", "huge"],
)
def test_a_bad_line_is_named_in_a_short_sentence(tmp_path, raw, reason):
    path = tmp_path / "x.jsonl"
    path.write_bytes(raw)

    with pytest.raises(ValueError, match=reason) as refused:
        list(read_json_lines(path, "{}"))

    assert len(str(refused.value)) < len(str(path)) + 400


def test_a_hash_is_of_what_a_file_says(tmp_path):
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    one.write_bytes(b'{"a": 1,\n "b": "x\xc3\xa9"}\n')
    other.write_bytes(b'{"b":"x\\u00e9",\r\n"a":1}')

    assert json_hash(one) == json_hash(other)
    other.write_bytes(b'{"b":"x","a":1}')
    assert json_hash(one) != json_hash(other)


def test_a_file_that_is_no_json_object_is_named(tmp_path):
    for raw, reason in ((b"{", "is not JSON"), (b"[" * 9**5, "is not JSON"), (b"[]", "object")):
        (tmp_path / "x.json").write_bytes(raw)
        with pytest.raises(ValueError, match=reason):
            read_json(tmp_path / "x.json")


COUNT = """
import sys
from pathlib import Path
from course_lib.machine.disk import locked, read_json, write_json

path = Path(sys.argv[1])
for _ in range(100):
    with locked(path):
        write_json(path, {"n": read_json(path)["n"] + 1})
"""


def test_processes_that_change_one_file_lose_nothing(tmp_path):
    path = tmp_path / "n.json"
    path.write_text(json.dumps({"n": 0}))

    runs = [subprocess.Popen([sys.executable, "-c", COUNT, str(path)]) for _ in range(3)]

    assert [run.wait(timeout=120) for run in runs] == [0, 0, 0]
    assert read_json(path) == {"n": 300}
