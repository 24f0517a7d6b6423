"""Texts are dropped for the reason given, and near copies found as often as the theory says."""

import random
from collections import Counter
from dataclasses import replace
from itertools import combinations
from math import sqrt

import numpy as np
import pytest

from course_lib.clean import (
    COPY,
    KEPT,
    NEAR_COPY,
    RULES,
    bands_for,
    clean,
    drop_copies,
    found_probability,
    jaccard,
    mean_word_length,
    n_boilerplate,
    n_stop_words,
    near_duplicates,
    share_ended_lines,
    share_repeated_lines,
    share_with_letter,
    shingles,
    signature,
    similarity,
    split_words,
    symbols_per_word,
    why_dropped,
)
from course_lib.world.documents import documents, kind_grammar, raw_documents

OWL = "One winter a small owl named Ada walked to the mill and found a silver bell there."


def sets_that_share(share: float, size: int = 200) -> tuple[frozenset[str], frozenset[str]]:
    """Two sets of `size` shingles with a Jaccard of `share`, close by for whole numbers."""
    shared = round(2 * size * share / (1 + share))
    first, second = range(size), range(size - shared, 2 * size - shared)
    return frozenset(f"word {i}" for i in first), frozenset(f"word {i}" for i in second)


def edited_pairs(n: int) -> list[str]:
    """2 n texts of 60 words; each second one is the text before it with 1 to 3 words replaced."""
    rng, texts = random.Random(4), []
    for pair in range(n):
        words = [f"{pair}-{rng.randrange(10**6)}" for _ in range(60)]
        edited = list(words)
        for place in rng.sample(range(60), rng.randint(1, 3)):
            edited[place] = "new"
        texts += [" ".join(words), " ".join(edited)]
    return texts


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "too short"),
        ("Go back home.", "too short"),
        ("a word. " * 50_001, "too long"),
        ("This site uses\n COOKIES to know you better.", "boilerplate"),
        ("Home | News | Shop | About | Login", "few letters"),
        ("In the SALE! Cheap shoes! Best bags! Free pills!", "many symbols"),
        ("The owl is here.\nThe cat is in.\nThe owl is here.", "repeated lines"),
        ("I am to be a b c d e.", "odd word length"),
        ("The shop has all of the goods that you like", "unfinished lines"),
        ("Money online casino prize best money.", "no stop words"),
        (OWL, None),
        ("El búho pequeño vive in una casa blanca.", None),
    ],
)
def test_a_text_is_dropped_for_the_first_reason_that_holds(text, reason):
    assert why_dropped(text) == reason


@pytest.mark.parametrize(
    ("measure", "text", "value"),
    [
        (mean_word_length, "a bcd", 2),
        (n_boilerplate, "Terms of  use. Privacy policy.", 2),
        (n_stop_words, "The cat, the dog and THAT!", 3),
        (share_ended_lines, "One.\n\ntwo \nThree? ", 2 / 3),
        (share_repeated_lines, "a\nb\n a\n\na", 2 / 4),
        (share_with_letter, "Home | 404 B2", 2 / 4),
        (symbols_per_word, "Buy! Now... >>", 1),
    ],
)
def test_measures_agree_with_a_count_by_hand(measure, text, value):
    assert measure(text) == pytest.approx(value)
    assert measure("") == 0


def test_code_is_not_judged_as_prose():
    rng = random.Random(0)
    code = [kind_grammar("code").sample(rng) for _ in range(300)]
    function = "def largest(a, b):\n    if a > b:\n        return a\n    return b"
    prose_rules = tuple(replace(rule, for_code=True) for rule in RULES)

    assert {why_dropped(text) for text in [*code, function]} == {None}
    assert None not in {why_dropped(text, prose_rules) for text in [*code, function]}
    assert why_dropped(">>> 1") == "too short"


def test_a_rule_can_be_moved_or_left_out():
    strict = tuple(replace(rule, low=50) if rule.reason == "too short" else rule for rule in RULES)

    assert why_dropped(OWL, strict) == "too short"
    assert why_dropped("", rules=()) is None


def test_copies_differ_in_case_and_white_space_at_most():
    texts = [OWL, OWL.upper(), "Another.", OWL.replace(" ", " \n"), OWL[:-1], "Another."]

    assert list(drop_copies(texts)) == [OWL, "Another.", OWL[:-1]]


def test_shingles_are_runs_of_words():
    assert shingles("A b\nc D") == {"a b c", "b c d"}
    assert shingles("a b a b", n=2) == {"a b", "b a"}
    assert shingles("Short") == {"short"}
    assert jaccard(shingles("a b c d"), shingles("b c d e")) == 1 / 3


def test_a_signature_is_the_same_in_every_process():
    assert signature(frozenset({"a b c", "b c d"}), n_hashes=3, seed=1).tolist() == [
        1104233285,
        1072250910,
        2094913371,
    ]


def test_the_signature_of_a_union_is_the_smaller_of_both():
    a, b = sets_that_share(0.2)

    assert np.array_equal(signature(a | b), np.minimum(signature(a), signature(b)))
    assert not np.array_equal(signature(a, seed=1), signature(a, seed=2))


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.8, 0.95, 1])
def test_the_estimate_lies_within_three_standard_errors_of_jaccard(share):
    a, b = sets_that_share(share)
    exact = jaccard(a, b)

    estimates = [similarity(signature(a, seed=seed), signature(b, seed=seed)) for seed in range(40)]

    error = sqrt(exact * (1 - exact) / 128)
    assert abs(np.mean(estimates) - exact) <= 3 * error / sqrt(40)
    assert np.std(estimates) == pytest.approx(error, rel=0.4)


def test_the_curve_of_the_bands_by_hand():
    assert found_probability(0.5, bands=2, rows=1) == 0.75
    assert found_probability(0.5, bands=1, rows=2) == 0.25
    assert found_probability(0, 16, 8) == 0
    assert found_probability(1, 16, 8) == 1
    assert (bands_for(0.8), bands_for(0.8, 20)) == (16, 5)
    assert bands_for(0.8, recall=0.95) == 32  # 16 bands find 0.947 of the pairs
    assert found_probability(0.8, 8, 16) < 0.9 <= found_probability(0.8, 16, 8)


def test_bands_find_the_pairs_that_brute_force_finds_as_often_as_the_curve_says():
    texts = edited_pairs(300)
    sets = [shingles(text) for text in texts]
    exact = {
        (i, j): s for i, j in combinations(range(600), 2) if (s := jaccard(sets[i], sets[j])) >= 0.8
    }

    found = near_duplicates(texts, threshold=0.8, n_hashes=20)

    chances = [found_probability(s, bands_for(0.8, 20), 4) for s in exact.values()]
    assert set(found) <= set(exact)
    assert abs(len(found) - sum(chances)) <= 3 * sqrt(sum(p * (1 - p) for p in chances))
    assert found == sorted(found)


def test_clean_names_the_verdict_of_each_text():
    above = "Found on site 12.\n" + OWL
    texts = [OWL, "Home", OWL.upper(), above, above, "One summer a fox came to the old bridge."]

    verdicts = [verdict for _, verdict in clean(texts)]

    assert verdicts == [KEPT, "too short", COPY, NEAR_COPY, COPY, KEPT]
    assert [text for text, _ in clean(texts)] == texts


def test_clean_works_on_an_endless_stream():
    text, verdict = next(clean(documents()))

    assert (text, verdict) == (next(documents()), KEPT)
    assert list(clean([])) == near_duplicates([]) == list(drop_copies([])) == []


def test_junk_and_copies_leave_the_raw_corpus_and_texts_stay():
    raw = list(raw_documents(3000, seed=3))
    first = {text: place for place, (text, _) in reversed(list(enumerate(raw)))}
    copies = (COPY, NEAR_COPY)

    verdicts = [verdict for _, verdict in clean(text for text, _ in raw)]

    count = Counter()
    for place, ((text, label), verdict) in enumerate(zip(raw, verdicts, strict=True)):
        label = "word for word" if label != "junk" and first[text] < place else label
        count[label] += 1
        count[label, "gone"] += verdict != KEPT
        count[label, "taken for a copy"] += verdict in copies
    assert count["junk", "gone"] >= 0.95 * count["junk"]
    assert count["junk", "taken for a copy"] == 0
    assert count["word for word", "gone"] == count["word for word"] >= 250
    assert count["copy", "gone"] >= 0.93 * count["copy"] >= 200
    assert count["text", "gone"] <= 0.01 * count["text"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: why_dropped(None), "a text is a str, got NoneType"),
        (lambda: split_words(b"bytes"), "decode bytes"),
        (lambda: share_ended_lines(3), "a text is a str"),
        (lambda: list(clean("one text")), "give a list of texts"),
        (lambda: list(drop_copies("one text")), "give a list of texts"),
        (lambda: near_duplicates("one text"), "give a list of texts"),
        (lambda: near_duplicates(["", ""]), "shingles need a word"),
        (lambda: shingles("a b", n=0), "n = 0"),
        (lambda: jaccard(frozenset(), frozenset()), "at least one shingle"),
        (lambda: signature(frozenset()), "at least one shingle"),
        (lambda: signature(frozenset("a"), n_hashes=0), "n_hashes = 0"),
        (lambda: similarity(np.zeros(3), np.zeros(1)), "one length"),
        (lambda: found_probability(1.2, 1, 1), "0 <= s <= 1"),
        (lambda: found_probability(0.5, 0, 1), "bands"),
        (lambda: bands_for(0), "threshold"),
        (lambda: bands_for(0.01, 16), "take more"),
    ],
)
def test_bad_input_is_refused_with_a_reason(call, message):
    with pytest.raises(ValueError, match=message):
        call()
