"""ln P of documents, completions and words equals what each alone, or a count by hand, says."""

import math
import random
from dataclasses import replace

import pytest

from course_lib.measure.log_probs import (
    completion_log_probs,
    document_log_probs,
    word_log_probs,
    word_probs,
)
from course_lib.model.transformer import Transformer
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.grammar import END
from tests.measure.models import CONFIG, MODEL, TEXTS, TOKENIZER, Parrot, Uniform, ln_p
from tests.tiny import controls_first


def test_the_log_probs_of_documents_equal_those_of_each_alone():
    texts = TEXTS[:5]

    found = document_log_probs(MODEL, TOKENIZER, texts, batch_rows=3)

    for text, log_prob in zip(texts, found, strict=True):
        ids = [TOKENIZER.eot_id, *TOKENIZER.encode(text), TOKENIZER.eot_id]
        assert log_prob == pytest.approx(ln_p(MODEL, ids[:1], ids[1:]), rel=1e-5)


def test_the_log_prob_of_a_completion_counts_the_completion_alone():
    rng = random.Random(0)
    rows = [[rng.randrange(400) for _ in range(n)] for n in (9, 3, 7, 4, 12, 5)]
    befores, afters = rows[::2], rows[1::2]

    found = completion_log_probs(MODEL, befores, afters, batch_rows=2)

    for before, after, log_prob in zip(befores, afters, found, strict=True):
        assert log_prob == pytest.approx(ln_p(MODEL, before, after), rel=1e-5)
    assert completion_log_probs(MODEL, [[1]], [[]]) == [0.0]


def test_a_document_may_fill_the_context():
    full = Transformer(replace(CONFIG, context_length=1 + len(TOKENIZER.encode(TEXTS[0]))))

    (log_prob,) = document_log_probs(full, TOKENIZER, TEXTS[:1])
    end = word_probs(full, TOKENIZER, TEXTS[0], [END])

    assert -math.inf < log_prob < 0 < end[END] < 1


def test_the_probability_of_a_word_is_that_of_its_tokens_and_of_a_boundary_after_it():
    text = "In that match Virat Kohli hit a century."
    parrot = Parrot(text)
    tokens = TOKENIZER.encode(" century")

    found = word_probs(parrot, TOKENIZER, text[: -len(" century.")], [" century", " cent"])

    # after " century" the parrot says "." with 0.9, and spreads the rest over all other tokens
    others = [TOKENIZER.token_bytes(i)[:1] for i in range(TOKENIZER.vocab_size)]
    boundary = 0.9 + 0.1 * sum(not b.isalpha() for b in others[:-1]) / (TOKENIZER.vocab_size - 1)
    assert found[" century"] == pytest.approx(0.9 ** len(tokens) * boundary, rel=1e-2)
    assert found[" cent"] < 0.1


def test_a_word_ends_where_the_kind_of_its_characters_does():
    bytes_only, V = Tokenizer(), 300  # 256 bytes, 3 specials, 41 ids that stand for nothing
    model = Uniform("")
    model.config = replace(CONFIG, vocab_size=V)

    found = word_probs(model, bytes_only, "In", ["a", "7", ".", "\n", END])

    going_on = {"a": 52, "7": 10, ".": 256 - 52 - 10 - 2, "\n": 1}  # tokens that lengthen it
    for word, n in going_on.items():
        assert found[word] == pytest.approx(1 / V * (V - n) / V), word
    assert found[END] == pytest.approx(1 / V)  # after the end nothing needs to follow


def test_line_breaks_and_ends_have_their_probability():
    text = "Virat Kohli\nIn that match."
    parrot = Parrot(text)

    assert word_probs(parrot, TOKENIZER, "Virat Kohli", ["\n"])["\n"] > 0.9 * 0.9
    assert word_probs(parrot, TOKENIZER, text, [END])[END] == pytest.approx(0.9)


def test_many_words_after_many_prefixes_equal_each_alone():
    pairs = [(text[:20], word) for text in TEXTS[:5] for word in (" a", " owlets", ".", END, "\n")]

    together = word_log_probs(MODEL, TOKENIZER, pairs)

    for pair, log_prob in zip(pairs, together, strict=True):
        assert word_log_probs(MODEL, TOKENIZER, [pair]) == pytest.approx([log_prob])
    with pytest.raises(ValueError, match="empty"):
        word_probs(MODEL, TOKENIZER, "In", [" a", ""])


def test_words_are_as_likely_where_the_control_tokens_come_first():
    model, tokenizer = controls_first(MODEL, TOKENIZER)
    pairs = [("In that match", " Virat"), ("", "The"), ("The capital of France is", " Paris")]

    found = word_log_probs(model, tokenizer, pairs)

    assert found == pytest.approx(word_log_probs(MODEL, TOKENIZER, pairs), rel=1e-4)
