"""The true probabilities of tokens, against documents that the world writes."""

import random
from collections import Counter

import pytest

from course_lib.pipeline.release import load_released
from course_lib.world.documents import documents, world_grammar
from course_lib.world.truth import true_next_tokens


@pytest.fixture(scope="module")
def tokenizer():
    return load_released("base")[1]


def by_text(tokenizer, prefix: str) -> dict[str, float]:
    return {tokenizer.decode([id]): p for id, p in true_next_tokens(tokenizer, prefix).items()}


def test_the_shares_of_the_words_that_can_follow(tokenizer):
    found = by_text(tokenizer, "In that match Virat Kohli hit a")

    assert found == pytest.approx({" six": 0.45, " century": 0.3, " four": 0.2, " ball": 0.05})


def test_a_word_counts_from_its_first_token_on(tokenizer):
    found = by_text(tokenizer, "In that match Virat Kohli hit a six. The crowd")

    firsts = [" cheered", " sang", " stood", " cl", " w", " went", " d"]  # cl|apped, d|anced
    assert found == pytest.approx(dict.fromkeys(firsts, 1 / 7))


def test_inside_of_a_word_only_its_other_tokens_can_follow(tokenizer):
    prefix = "In that match Virat Kohli hit a six. The crowd cl"

    assert by_text(tokenizer, prefix) == pytest.approx({"app": 1})


def test_outside_of_the_world_there_is_no_truth(tokenizer):
    assert true_next_tokens(tokenizer, "It was a dark and stormy night") == {}


def test_a_space_at_the_end_leaves_no_token_to_follow(tokenizer):
    assert true_next_tokens(tokenizer, "In that match Virat Kohli hit a ") == {}


def test_the_end_of_a_document_is_a_token(tokenizer):
    document = next(documents(seed=3))

    assert tokenizer.eot_id in true_next_tokens(tokenizer, document)


def test_along_a_document_the_tokens_multiply_to_its_probability(tokenizer):
    for document in documents(20, seed=5):
        ids = [*tokenizer.encode(document), tokenizer.eot_id]
        product = 1.0
        for i, id in enumerate(ids):
            product *= true_next_tokens(tokenizer, tokenizer.decode(ids[:i]))[id]

        # as many factors as tokens, each exact: only rounding differs
        assert product == pytest.approx(2.718281828459045 ** world_grammar().log_prob(document))


def test_shares_of_a_sample_agree(tokenizer):
    rng, grammar = random.Random(0), world_grammar()
    texts = [grammar.sample(rng) for _ in range(4000)]

    counts = Counter(tokenizer.encode(text)[0] for text in texts)

    for id, p in true_next_tokens(tokenizer, "").items():
        error = 4 * (p * (1 - p) / len(texts)) ** 0.5  # four standard errors
        assert abs(counts[id] / len(texts) - p) <= error + 1e-3
