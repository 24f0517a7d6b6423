"""Text in any format gives the same documents, and what is wrong is said by file and line."""

import json
import subprocess
import sys

import datasets
import huggingface_hub
import pyarrow
import pytest
from pyarrow import parquet

from course_lib.text.sources import read_texts, record_texts, text_hash

TEXTS = ["Once upon a time.", "The end.\n\nOr is it? é 🙂"]


def write_parquet(path, columns: dict) -> None:
    parquet.write_table(pyarrow.table(columns), path)


@pytest.fixture
def folder(tmp_path):
    """The same two documents in each format that holds several, in a folder of their own."""
    (tmp_path / "stories.txt").write_text(f"{TEXTS[0]}\n<|endoftext|>\n{TEXTS[1]}\n", "utf-8")
    lines = [json.dumps({"id": n, "text": text}) for n, text in enumerate(TEXTS)]
    (tmp_path / "records.jsonl").write_text("\n\n".join(lines), "utf-8")
    write_parquet(tmp_path / "table.parquet", {"text": TEXTS, "id": [0, 1]})
    return tmp_path


@pytest.mark.parametrize("name", ["stories.txt", "records.jsonl", "table.parquet"])
def test_each_format_gives_the_same_documents(folder, name):
    assert list(read_texts(folder / name)) == TEXTS


def test_a_folder_gives_all_its_files_in_an_order_that_stays(folder):
    (folder / "deeper").mkdir()
    (folder / "deeper" / "code.py").write_text("print('hello')\n")
    (folder / "deeper" / "__init__.py").write_text("")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "not.txt").write_text("hidden")
    (folder / "picture.png").write_bytes(b"\x89PNG")

    found = list(read_texts(str(folder)))

    assert sorted(found) == sorted([*TEXTS * 3, "print('hello')\n"])
    assert found == list(read_texts(folder))


def test_windows_files_read_like_others(tmp_path):
    (tmp_path / "A.TXT").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n<|endoftext|>\r\nthree\r\n")

    assert list(read_texts(tmp_path / "A.TXT")) == ["one\ntwo", "three"]
    assert list(read_texts(tmp_path)) == ["one\ntwo", "three"]


def test_half_a_surrogate_pair_becomes_the_replacement_character(tmp_path):
    (tmp_path / "a.jsonl").write_text(r'{"text": "a\ud83d b\ud83d\ude42"}')

    assert list(read_texts(tmp_path / "a.jsonl")) == ["a\ufffd b🙂"]


def test_python_brings_megabytes_of_text_without_a_network():
    texts = list(read_texts("python"))

    assert sum(map(len, texts)) > 5e6 and texts[:50] == list(read_texts("python"))[:50]
    assert any(text.startswith('The "for" statement') for text in texts)  # pydoc's topics
    assert any("def namedtuple(" in text for text in texts)  # the library's sources


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("a.txt", b"fine\ncaf\xe9\n", "a.txt, line 2: byte 4 is 0xe9, .* save the file as UTF-8"),
        ("a.txt", b" \n<|endoftext|>\n\n", "a.txt holds no text"),
        ("a.jsonl", b'{"text": "x"}\n{"text": ', "a.jsonl, line 2: expected one JSON object"),
        ("a.jsonl", b'{"body": "x", "id": 1}', "a.jsonl, line 1: .* found fields body, id"),
        ("a.jsonl", b'{"text": null}', "a.jsonl, line 1: .* found text = None"),
        ("a.jsonl", b'"text"', r"a.jsonl, line 1: expected one .*\(got 'text'\)"),
        ("a.parquet", b"no table", "a.parquet can't be read as .parquet"),
        ("a.py", b"x = '\xff'", "a.py is no Python source in UTF-8"),
        ("a.docx", b"x", "a.docx: expected a file of type .txt, .jsonl, .parquet, .py"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_by_name_and_line(tmp_path, name, contents, message):
    (tmp_path / name).write_bytes(contents)

    with pytest.raises(ValueError, match=message):
        list(read_texts(tmp_path / name))


def test_a_table_without_text_is_refused(tmp_path):
    write_parquet(tmp_path / "other.parquet", {"body": TEXTS})
    with pytest.raises(ValueError, match=r"other.parquet, record 1: .* found fields body"):
        list(read_texts(tmp_path / "other.parquet"))
    write_parquet(tmp_path / "gap.parquet", {"text": ["x", None]})
    with pytest.raises(ValueError, match=r"gap.parquet, record 2: .* found text = None"):
        list(read_texts(tmp_path / "gap.parquet"))


def test_a_source_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no text: expected files of type .txt"):
        read_texts(tmp_path)
    for missing in ("missing.txt", "my/own/folder", "C:\\texts"):
        with pytest.raises(ValueError, match="there is no file or folder"):
            read_texts(missing)


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_a_streamed_data_set_gives_its_texts(folder, kind):
    file = {"json": "records.jsonl", "parquet": "table.parquet"}[kind]
    files = str(folder / file)

    stream = datasets.load_dataset(kind, data_files=files, split="train", streaming=True)

    assert list(record_texts(stream, "stories")) == TEXTS
    with pytest.raises(ValueError, match=r"numbers, record 1: .* found fields id"):
        list(record_texts(stream.remove_columns("text"), "numbers"))


def test_a_name_on_the_hub_is_streamed_with_its_configuration(folder, monkeypatch):
    asked, local = [], datasets.load_dataset

    def load(name, configuration, **options):
        asked.append((name, configuration))
        return local("parquet", data_files=str(folder / "table.parquet"), **options)

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: None)

    assert list(read_texts("some/stories")) == list(read_texts("some/stories:tiny-10BT")) == TEXTS
    assert asked == [("some/stories", None), ("some/stories", "tiny-10BT")]


def test_without_a_network_a_name_fails_before_load_dataset_is_asked():
    # load_dataset alone tries for 23 s
    script = """
import os
del os.environ["HF_HUB_OFFLINE"]
import datasets
from course_lib.text.sources import read_texts
datasets.load_dataset = lambda *_, **__: print("asked")
read_texts("roneneldan/TinyStories")
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )

    assert "ValueError: there is no file or folder 'roneneldan/TinyStories' here" in result.stderr
    assert "without a network" in result.stderr.splitlines()[-1]
    assert result.stdout == ""


@pytest.mark.parametrize("library", ["datasets", "pyarrow"])
def test_a_library_that_is_missing_is_named(folder, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)

    source = {"datasets": "some/stories", "pyarrow": folder / "table.parquet"}[library]
    with pytest.raises(ValueError, match=f"pip install {library}"):
        list(read_texts(source))


@pytest.mark.parametrize(
    ("change", "other"),
    [
        (lambda folder: (folder / "a.txt").write_text("One fish, twO fish."), True),
        (lambda folder: (folder / "a.txt").write_text("One fish, two fish. Red fish."), True),
        (lambda folder: (folder / "c.txt").write_text("Blue fish."), True),
        (lambda folder: (folder / "in" / "b.jsonl").unlink(), True),
        (lambda folder: (folder / "a.txt").rename(folder / "c.txt"), True),  # another order
        (lambda folder: (folder / "in" / "b.jsonl").rename(folder / "b.jsonl"), True),
        (lambda folder: (folder / "a.txt").write_text("One fish, two fish."), False),
        (lambda folder: (folder / ".draft.txt").write_text("Nobody reads it."), False),
        (lambda folder: (folder / "fish.png").write_bytes(b"\x89PNG"), False),
    ],
    ids="edited longer added removed renamed moved same hidden picture".split(),
)
def test_the_hash_of_a_text_is_of_what_is_read(tmp_path, change, other):
    (tmp_path / "in").mkdir()
    (tmp_path / "a.txt").write_text("One fish, two fish.")
    (tmp_path / "in" / "b.jsonl").write_text('{"text": "Old fish."}\n')
    before, of_file = text_hash(tmp_path), text_hash(tmp_path / "a.txt")

    change(tmp_path)

    assert (text_hash(tmp_path) != before) == other and before != of_file
    assert text_hash("python") is None and text_hash("owner/name") is None


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("One fish. " * 200_000, "there is no file or folder 'One fish"),
        ("fish" * 500_000, "there is no file or folder 'fishfish"),
        ("One fish,\ntwo fish.\n", "there is no file or folder 'One fish"),
        ("nul\0", "there is no file or folder 'nul"),
    ],
    ids=["words", "a word", "lines", "a zero"],
)
def test_a_text_in_the_place_of_a_name_is_told_in_a_short_sentence(source, reason):
    with pytest.raises(ValueError, match=reason) as told:
        read_texts(source)

    assert len(str(told.value)) < 700 and text_hash(source) is None


def test_a_record_of_megabytes_is_told_in_a_short_sentence(tmp_path):
    for record in ({"text": ["x"] * 500_000}, {"x" * 1_000_000: 1}, ["x"] * 500_000):
        (tmp_path / "a.jsonl").write_text(json.dumps(record))
        with pytest.raises(ValueError, match=r"a.jsonl, line 1: expected") as told:
            list(read_texts(tmp_path / "a.jsonl"))
        assert len(str(told.value)) < len(str(tmp_path)) + 400
