"""Documents of the world: their probabilities are exact, and they hold what they should."""

import math
import random
import re
from collections import Counter
from functools import cache
from statistics import mean, stdev

import pytest
import regex

from course_lib.text.tokenizer import PATTERN
from course_lib.world import documents as docs
from course_lib.world.dialogues import read_prompt
from course_lib.world.facts import FACTS, facts_of
from course_lib.world.grammar import split_words

SAMPLE = list(docs.documents(3000, seed=7))


@cache
def nats(text: str) -> float:
    """-ln P(text) in the world: several tests ask about the same documents."""
    return -docs.world_grammar().log_prob(text)


def test_the_cricket_sentence_has_the_probabilities_of_the_world():
    assert docs.world_grammar().next_word("In that match Virat Kohli hit a") == pytest.approx(
        {" six": 0.45, " century": 0.30, " four": 0.20, " ball": 0.05}
    )
    for player, hits in docs.HITS.items():
        assert sum(hits.values()) == pytest.approx(1), player


def test_drawn_cricket_sentences_follow_the_probabilities():
    rng, grammar, n = random.Random(5), docs.kind_grammar("reports"), 12_000
    counts = Counter()
    for _ in range(n):
        player, hit = re.match(r"In that match (.+) hit a (\w+)\.", grammar.sample(rng)).groups()
        counts[player, hit] += 1
    for player, hits in docs.HITS.items():
        total = sum(counts[player, hit] for hit in hits)
        for hit, p in hits.items():
            assert abs(counts[player, hit] / total - p) < 5 * math.sqrt(p * (1 - p) / total)


def test_words_of_the_grammar_are_words_of_the_tokenizer():
    for text in SAMPLE:
        assert text.isascii()
        assert split_words(text) == regex.findall(PATTERN, text)
        assert nats(text) < math.inf, text


def test_the_mixture_is_the_weighted_sum_of_the_kinds():
    weights, total = docs.KIND_SHARES, sum(docs.KIND_SHARES.values())
    for text in SAMPLE[:200]:
        by_kind = sum(
            weight / total * math.exp(docs.kind_grammar(kind).log_prob(text))
            for kind, weight in weights.items()
        )
        assert -math.log(by_kind) == pytest.approx(nats(text), abs=1e-9)


def test_next_word_looks_at_few_places_of_the_grammar(monkeypatch):
    # What keeps a widget waiting is the number of places: 9 a word take 1 ms a prefix. If options
    # that begin alike did not share their beginnings, it would be 130 places and 24 ms.
    grammar = docs.world_grammar()
    rng = random.Random(2)
    prefixes = [text[: rng.randrange(len(text))] for text in SAMPLE[:300]]
    for prefix in prefixes:
        grammar.next_word(prefix)  # fills the cache: a learner's first question may take longer
    arcs, looked = grammar._arcs, []
    monkeypatch.setattr(grammar, "_arcs", lambda state: looked.append(state) or arcs(state))
    made = arcs.cache_info().misses

    for prefix in prefixes:
        grammar.next_word(prefix)

    assert 0 < len(looked) < 20 * sum(len(split_words(prefix)) for prefix in prefixes)
    assert arcs.cache_info().misses == made  # what was asked once is remembered


def test_the_text_holds_at_least_0_38_bits_a_character():
    costs = [nats(text) for text in SAMPLE]

    assert stdev(costs) / math.sqrt(len(costs)) < 0.05 * mean(costs)  # else it's too small a sample
    assert sum(costs) / math.log(2) / sum(len(text) + 1 for text in SAMPLE) >= 0.38


def test_documents_are_a_function_of_the_seed():
    assert SAMPLE[:50] == list(docs.documents(50, seed=7))
    assert SAMPLE[:50] != list(docs.documents(50, seed=8))


@pytest.fixture(scope="module")
def seventh():
    """A seventh of what the released models read."""
    return "\n".join(docs.documents(20_000, seed=6))


def test_questions_and_answers_stay_in_their_splits(seventh):
    asked = {read_prompt(line.removeprefix("Q: ")) for line in set(seventh.split("\n"))}
    assert not [prompt for prompt in asked if prompt.fact in set(facts_of("stated_only"))]
    answered = {read_prompt(text).fact for text in set(re.findall(r"Q: (.+)\nA:", seventh))}
    assert answered == {*facts_of("asked_in_sft"), *facts_of("asked_in_pretraining")}


def test_no_held_out_document_is_in_a_training_text(seventh):
    documents = set(docs.documents(20_000, seed=6))
    held_out = list(docs.held_out_documents(600))

    assert not documents & set(held_out)
    assert held_out[:50] == list(docs.held_out_documents(50))
    assert held_out[:50] != list(docs.held_out_documents(50, seed=1))
    # a sixteenth of the world, cut by nothing but a checksum: as dear as the rest
    costs = [mean(map(nats, texts)) for texts in (held_out, SAMPLE[:600])]
    assert costs[0] == pytest.approx(costs[1], rel=0.06)


def test_every_fact_is_stated_in_a_corpus_of_the_nano_budget_at_least_fifty_times(seventh):
    rare = [str(f) for f in FACTS if sum(seventh.count(s) for s in f.statements()) < 50 // 7]
    assert rare == []


def test_no_text_holds_a_double_space():
    assert not [text for text in SAMPLE if "  " in text]


def test_junk_is_no_part_of_the_clean_mixture():
    rng = random.Random(3)
    drawn = [docs.kind_grammar("junk").sample(rng) for _ in range(200)]

    assert "junk" not in docs.KIND_SHARES and len(set(drawn)) > 150
    assert all(docs.world_grammar().log_prob(text) == -math.inf for text in drawn)
    assert all(text.isascii() and len(text) < 250 for text in drawn)


def test_a_raw_corpus_holds_junk_and_copies():
    raw = list(docs.raw_documents(2000, seed=5, junk=0.3, copies=0.2))

    counts = Counter(label for _, label in raw)
    assert counts["junk"] == pytest.approx(600, abs=80)
    assert counts["copy"] == pytest.approx(400, abs=70)
    originals = [text for text, label in raw if label == "text"]
    assert originals == list(docs.documents(len(originals), seed=5))
    copies = [text for text, label in raw if label == "copy"]
    exact = sum(text in originals for text in copies)
    assert 0.4 < exact / len(copies) < 0.6
    assert all(text in originals or text.split("\n", 1)[1] in originals for text in copies)
    with pytest.raises(ValueError, match="leave room for text"):
        list(docs.raw_documents(1, junk=0.7, copies=0.3))
