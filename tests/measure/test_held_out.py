"""The loss on held-out documents, beside the floor and beside what counting alone reaches."""

import math
import random

import pytest

from course_lib.measure.held_out import (
    baselines,
    held_out,
    held_out_set,
    kind_of,
    losses,
)
from course_lib.pipeline.release import load_released
from course_lib.world.documents import (
    KINDS,
    documents,
    held_out_documents,
    kind_grammar,
    world_grammar,
)
from tests.measure.models import MODEL, TEXTS, TOKENIZER


def test_the_gap_is_the_excess_over_the_worlds_own_loss():
    loss = held_out(MODEL, TOKENIZER, TEXTS[:20])

    world = -sum(world_grammar().log_prob(text) for text in TEXTS[:20])
    assert loss.world_nats == pytest.approx(world)
    assert loss.gap == pytest.approx(loss.model_nats / world - 1) and loss.gap > 1
    assert loss.bits_per_byte / loss.floor_bits_per_byte == pytest.approx(1 + loss.gap)
    assert loss.n_bytes == sum(len(text) + 1 for text in TEXTS[:20])


def test_a_loss_without_a_floor_is_refused():
    with pytest.raises(ValueError, match="Once upon a time"):
        held_out(MODEL, TOKENIZER, [TEXTS[0], "Once upon a time"])
    with pytest.raises(ValueError, match="one document"):
        held_out(MODEL, TOKENIZER, [])


def test_a_document_is_of_the_one_kind_that_can_write_it():
    rng = random.Random(5)
    for kind in KINDS:
        for _ in range(20):
            text = kind_grammar(kind).sample(rng)
            writers = [k for k in KINDS if kind_grammar(k).log_prob(text) > -math.inf]
            assert writers == [kind] and kind_of(text) == kind


def test_losses_by_kind_are_those_of_the_mixtures_documents_of_that_kind():
    loss = losses(MODEL, TOKENIZER, 60)

    texts = list(held_out_documents(60))
    together = held_out(MODEL, TOKENIZER, texts)
    assert loss["bits_per_byte"] == pytest.approx(together.bits_per_byte)
    assert loss["gap"] == pytest.approx(together.gap)
    assert sum(row["documents"] for row in loss["by_kind"].values()) == loss["documents"] == 60
    code = [text for text in texts if text.startswith(">>>")]
    of_code = held_out(MODEL, TOKENIZER, code)
    assert loss["by_kind"]["code"]["documents"] == len(code)
    assert loss["by_kind"]["code"]["bits_per_byte"] == pytest.approx(of_code.bits_per_byte)
    nats = -sum(world_grammar().log_prob(text) for text in code)  # the choice of kind included
    floor = nats / math.log(2) / sum(len(text) + 1 for text in code)
    assert loss["by_kind"]["code"]["floor_bits_per_byte"] == pytest.approx(floor)


def test_the_documents_kept_for_all_models_cannot_be_changed_by_one():
    kept = held_out_set(20)

    with pytest.raises(TypeError):
        kept["notes"] = ()
    assert held_out_set(20) is kept and all(type(texts) is tuple for texts in kept.values())


class Letters:
    """A tokenizer: a is 0, b is 1, the end 2."""

    vocab_size, eot_id = 3, 2

    def encode(self, text):
        return ["ab".index(letter) for letter in text]


def test_baselines_by_hand(monkeypatch):
    monkeypatch.setattr("course_lib.measure.held_out.world_log_prob", lambda text: math.log(1 / 4))

    found = baselines(Letters(), ["ab", "aa"], ["ab"], unseen=0.0)

    # after the end comes a, after a comes b (once in three), after b the end: three tokens
    assert found == pytest.approx(
        {
            "uniform": math.log2(3),
            "unigram": -(math.log2(3 / 6) + math.log2(1 / 6) + math.log2(2 / 6)) / 3,
            "bigram": -(math.log2(2 / 2) + math.log2(1 / 3) + math.log2(1 / 1)) / 3,
            "floor": 2 / 3,
        }
    )


def test_baselines_need_texts():
    with pytest.raises(ValueError, match="texts to read and to judge"):
        baselines(Letters(), [], ["ab"])


def test_baselines_stand_above_the_floor_in_order():
    tokenizer = load_released("base")[1]
    held = list(held_out_documents(60))

    found = baselines(tokenizer, list(documents(800)), held)

    assert found["uniform"] == pytest.approx(math.log2(tokenizer.vocab_size))
    assert found["uniform"] > found["unigram"] + 1 > found["bigram"] + 2 > found["floor"] + 3
