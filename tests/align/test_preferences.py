"""Rankings become pairs, survive their file, and broken input is named."""

import json
import random

import pytest

from course_lib.align.preferences import (
    Preference,
    agreement,
    collect,
    load_preferences,
    ranking_to_pairs,
    save_preferences,
)
from course_lib.pipeline.rankings import with_strangers


def test_a_ranking_of_k_answers_gives_k_times_k_minus_one_over_two_pairs():
    pairs = ranking_to_pairs("q", ["a", "b", "c", "d"], [2, 0, 3, 1])

    assert len(pairs) == 6
    assert Preference("q", "c", "b") in pairs and Preference("q", "a", "d") in pairs
    assert Preference("q", "b", "c") not in pairs


def test_the_same_answer_twice_is_no_pair():
    assert len(ranking_to_pairs("q", ["a", "a", "b"], [0, 1, 2])) == 2
    assert collect(["q"], [["a", "a", "a"]], lambda _, answers: list(range(len(answers)))) == []


def test_a_ranking_must_name_each_answer_once():
    with pytest.raises(ValueError, match="each index once"):
        ranking_to_pairs("q", ["a", "b"], [0, 0])


def test_the_file_is_what_trl_reads(tmp_path):
    pairs = [Preference('say "hi"\nplease', "hi", "ho"), Preference("häh?", "🙂", "")]
    save_preferences(tmp_path / "pairs.jsonl", pairs)

    lines = [
        json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text("utf-8").splitlines()
    ]
    assert lines[0]["prompt"] == [{"role": "user", "content": 'say "hi"\nplease'}]
    assert lines[0]["chosen"] == [{"role": "assistant", "content": "hi"}]
    assert load_preferences(tmp_path / "pairs.jsonl") == pairs


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "pairs.jsonl"
    save_preferences(path, [Preference("q", "a", "b")])
    path.write_text(path.read_text() + '{"prompt": []}\n')

    with pytest.raises(ValueError, match="line 2"):
        load_preferences(path)


@pytest.mark.parametrize("n", [2, 4, 9])
def test_ties_take_their_pairs_away(n):
    answers = [f"answer {i}" for i in range(n)]

    assert len(ranking_to_pairs("q", answers, list(range(n)))) == n * (n - 1) // 2
    tied = ranking_to_pairs("q", answers, [[1, 0], *range(2, n)])
    assert len(tied) == n * (n - 1) // 2 - 1
    assert Preference("q", answers[0], answers[1]) not in tied
    assert ranking_to_pairs("q", answers, [list(range(n))]) == []


def test_a_tied_answer_too_must_be_named_once():
    with pytest.raises(ValueError, match="each index once"):
        ranking_to_pairs("q", ["a", "b", "c"], [[0, 1], 1])


def test_two_annotators_agree_on_the_pairs_that_both_decide():
    ours = ranking_to_pairs("q", ["a", "b", "c"], [0, 1, 2])
    theirs = ranking_to_pairs("q", ["a", "b", "c"], [[0, 2], 1])  # a, c > b; a = c

    assert agreement(ours, theirs) == (1, 2)
    assert agreement(ours, ours) == (3, 3)
    assert agreement(ours, [Preference("another", "b", "a")]) == (0, 0)


def test_strangers_come_from_every_kind_and_the_group_stays_first():
    groups = [["a1", "a2"], ["b1", "b2"]] * 20
    found = with_strangers(groups, ["x", "y"] * 20, 3, random.Random(0))

    assert [group[:2] for group in found] == groups
    assert {len(group) for group in found} == {5}
    assert {stranger for group in found for stranger in group[2:]} == {"a1", "a2", "b1", "b2"}


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "pairs.jsonl"
    save_preferences(path, [Preference("q", "a", "b")])

    def broken(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("course_lib.machine.disk.os.replace", broken)
    with pytest.raises(OSError, match="no space"):
        save_preferences(path, [])
    assert load_preferences(path) == [Preference("q", "a", "b")]


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0c", "\r"], ids=ascii)
def test_an_answer_comes_back_whatever_signs_it_holds(tmp_path, sign):
    pairs = [Preference("Is it?", f"Yes.{sign}It is.", "No.")]
    save_preferences(tmp_path / "pairs.jsonl", pairs)

    assert load_preferences(tmp_path / "pairs.jsonl") == pairs


def said(*texts):
    roles = ("user", "assistant") * len(texts)
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]


TALK = said("Who won?", "Peru.", "And before?", "Chile.", "When?")
GOOD, BAD = ({"role": "assistant", "content": text} for text in ("In 1930.", "Soon."))
OF_TALK = Preference(("Who won?", "Peru.", "And before?", "Chile.", "When?"), "In 1930.", "Soon.")


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": TALK, "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [*TALK, GOOD], "rejected": [*TALK, BAD]},
        {"prompt": "When?", "chosen": [*TALK, GOOD], "rejected": [*TALK, BAD]},  # UltraFeedback
        {"prompt": TALK[:1], "chosen": [*TALK, GOOD], "rejected": [*TALK, BAD]},
        {"prompt": TALK[:1], "chosen": [*TALK[1:], GOOD], "rejected": [*TALK, BAD]},
        {"prompt": TALK, "chosen": [GOOD | {"name": None}], "rejected": [BAD | {"weight": 1}]},
    ],
    ids=["explicit", "implicit", "a text too", "its first too", "both ways", "more keys"],
)
def test_a_prompt_keeps_all_that_was_said(tmp_path, record):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(record))

    assert load_preferences(path) == [OF_TALK]
    save_preferences(path, [OF_TALK, Preference("Is it?", "yes", "no")])
    line = path.read_text(encoding="utf-8").splitlines()[0]
    assert json.loads(line) == {"prompt": TALK, "chosen": [GOOD], "rejected": [BAD]}
    assert load_preferences(path) == [OF_TALK, Preference("Is it?", "yes", "no")]


HABIT = {"role": "system", "content": "Answer with a year."}


@pytest.mark.parametrize("talk", [TALK[:1], TALK], ids=["one question", "several"])
@pytest.mark.parametrize("prompt", ["all", "the system message", "none"])
def test_a_system_message_stays_in_front_of_a_prompt(tmp_path, talk, prompt):
    path, said = tmp_path / "pairs.jsonl", [HABIT, *talk]
    record = {"chosen": [*said, GOOD], "rejected": [*said, BAD]}
    if prompt == "all":
        record = {"prompt": said, "chosen": [GOOD], "rejected": [BAD]}
    elif prompt == "the system message":
        record["prompt"] = said[:1]
    path.write_text(json.dumps(record))

    (pair,) = load_preferences(path)

    texts = tuple(message["content"] for message in said)
    assert pair == Preference(texts, "In 1930.", "Soon.")
    save_preferences(path, [pair])
    line = {"prompt": said, "chosen": [GOOD], "rejected": [BAD]}
    assert json.loads(path.read_text(encoding="utf-8")) == line
    assert load_preferences(path) == [pair] and len({pair, *load_preferences(path)}) == 1


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"prompt": TALK, "chosen": [GOOD]}, "expected a list of messages, got None"),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "a list of messages, got 'a'"),
        ({"prompt": TALK[:4], "chosen": [GOOD], "rejected": [BAD]}, "message 4 must .* 'user'"),
        ({"prompt": TALK, "chosen": [], "rejected": [BAD]}, "no answer to its last question"),
        ({"chosen": [GOOD], "rejected": [BAD]}, "message 0 must have the role 'user'"),
        ({"chosen": [*said("a?"), GOOD], "rejected": [*said("b?"), BAD]}, "the same messages"),
        ({"prompt": TALK[:3], "chosen": [*TALK[3:], GOOD], "rejected": [BAD]}, "same messages"),
        ({"prompt": said("a?"), "chosen": [*said("b?"), GOOD], "rejected": [BAD]}, "message 1"),
        ({"prompt": said("x" * 10**6, 3), "chosen": [GOOD], "rejected": [BAD]}, "as content"),
        ({"prompt": [HABIT], "chosen": [GOOD], "rejected": [BAD]}, "message 1 must .* 'user'"),
        ({"prompt": [["x"] * 10**6], "chosen": [GOOD], "rejected": [BAD]}, "message 0 must be"),
    ],
)
def test_what_is_no_pair_of_answers_is_told_in_a_short_sentence(tmp_path, record, reason):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(record))

    with pytest.raises(
        ValueError, match=rf"pairs.jsonl, line 1: expected \{{.*{reason}"
    ) as refused:
        load_preferences(path)

    assert len(str(refused.value)) < len(str(path)) + 500
