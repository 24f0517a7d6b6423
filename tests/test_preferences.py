import json

import pytest

from course_lib.preferences import (
    Preference,
    collect,
    load_preferences,
    ranking_to_pairs,
    save_preferences,
)


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
