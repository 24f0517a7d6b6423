"""The grammar's probabilities are exact: they agree with brute force and with its samples."""

import math
import random
from collections import Counter
from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.world.grammar import (
    END,
    Choice,
    Grammar,
    Part,
    choose,
    maybe,
    repeat,
    seq,
    split_words,
    weighted,
)

# Small grammars with what can go wrong: the same text from several derivations, optional endings,
# words that begin other words, empty parts, newlines, punctuation.
SMALL = {
    "ambiguous": choose("A six.", seq("A", choose(" six", " sixty", " si"), "."), "A six."),
    "optional end": seq(
        "In a", maybe(0.3, " big"), choose(" six", " four"),
        maybe(0.5, seq(".", repeat(" ok", 0, 2))),
    ),
    "weights": weighted([(3, seq("Hi", maybe(0.25, "!"))), (1, "Hi!\nyou"), (2, seq())]),
    "nested": repeat(choose(seq(" a", choose("-b", "-bc")), maybe(0.4, "!\n-c")), 0, 3),
}  # fmt: skip


def derivations(part: Part) -> Iterator[tuple[str, float]]:
    """(text, probability) of every way to write `part`."""
    if isinstance(part, str):
        yield part, 1.0
    elif isinstance(part, Choice):
        for p, option in zip(part.probabilities, part.options, strict=True):
            yield from ((text, p * q) for text, q in derivations(option))
    else:
        for written in product(*map(derivations, part.parts)):
            yield "".join(text for text, _ in written), math.prod(q for _, q in written)


def brute_force(part: Part) -> Counter:
    """P(text) of every text, by writing out every derivation."""
    found = Counter()
    for text, probability in derivations(part):
        found[text] += probability
    return found


def continuation(text: str, prefix: str) -> str:
    """What comes after `prefix` in `text`: the rest of a word, a whole word, or END."""
    if text == prefix:
        return END
    start = 0
    for word in split_words(text):
        if start >= len(prefix):
            return word
        if start + len(word) > len(prefix):
            return text[len(prefix) : start + len(word)]
        start += len(word)
    raise AssertionError("the text ends before its prefix")


@pytest.mark.parametrize("name", SMALL)
def test_probabilities_of_all_texts_sum_to_one(name):
    assert sum(brute_force(SMALL[name]).values()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_log_prob_equals_the_sum_over_all_derivations(name):
    grammar = Grammar(SMALL[name])

    for text, probability in brute_force(SMALL[name]).items():
        assert grammar.log_prob(text) == pytest.approx(math.log(probability), abs=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_next_word_equals_brute_force_after_every_prefix(name):
    grammar = Grammar(SMALL[name])
    texts = brute_force(SMALL[name])

    for prefix in {text[:n] for text in texts for n in range(len(text) + 1)}:
        expected = Counter()
        for text, probability in texts.items():
            if text.startswith(prefix):
                expected[continuation(text, prefix)] += probability
        total = sum(expected.values())
        found = grammar.next_word(prefix)
        assert found.keys() == expected.keys(), prefix
        for word, probability in expected.items():
            assert found[word] == pytest.approx(probability / total, abs=1e-12), prefix


def test_samples_have_the_probabilities_of_the_grammar():
    grammar = Grammar(SMALL["optional end"])
    rng = random.Random(0)
    n = 20_000

    drawn = Counter(grammar.sample(rng) for _ in range(n))

    texts = brute_force(SMALL["optional end"])
    assert drawn.keys() <= texts.keys()
    for text, p in texts.items():
        assert abs(drawn[text] / n - p) < 5 * math.sqrt(p * (1 - p) / n)  # five standard errors


def test_a_text_outside_the_grammar_has_no_probability_and_no_next_word():
    grammar = Grammar(SMALL["optional end"])

    assert grammar.log_prob("In a six!") == -math.inf
    assert grammar.log_prob("In a") == -math.inf  # a beginning is no document
    assert grammar.next_word("In a seven") == {}
    assert grammar.next_word("In a  six") == {}  # two spaces


def test_a_long_document_does_not_underflow():
    grammar = Grammar(repeat(choose(*(f" {n}" for n in range(100))), 400, 400))
    text = grammar.sample(random.Random(1))

    assert grammar.log_prob(text) == pytest.approx(-400 * math.log(100))


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_words_joined_together_are_the_text(text):
    assert "".join(split_words(text)) == text
