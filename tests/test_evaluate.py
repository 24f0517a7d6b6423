import math

import pytest
import torch
from torch import nn

from course_lib import evaluate
from course_lib.config import ModelConfig
from course_lib.model import Transformer
from course_lib.tokenizer import Tokenizer
from course_lib.world.documents import HITS, documents, world_grammar

TEXTS = list(documents(300, seed=1))
TOKENIZER = Tokenizer.train(TEXTS, 400)
MODEL = Transformer(
    ModelConfig(
        vocab_size=400, context_length=160, dim=32, n_layers=1, n_heads=2, n_kv_heads=1, ffn_dim=64
    )
).eval()


class Parrot(nn.Module):
    """Knows one text by heart: gives each of its tokens, in order, the probability `sure`."""

    def __init__(self, text: str, sure: float = 0.9) -> None:
        super().__init__()
        self.config = MODEL.config
        self.ids = [TOKENIZER.eot_id, *TOKENIZER.encode(text), TOKENIZER.eot_id]
        self.sure = sure
        self.dummy = nn.Parameter(torch.zeros(1))

    def forward(self, ids):
        B, T = ids.shape
        V = TOKENIZER.vocab_size
        probs = torch.full((B, T, V), (1 - self.sure) / (V - 1))
        for t in range(min(T, len(self.ids) - 1)):
            probs[:, t, self.ids[t + 1]] = self.sure
        return probs.log()


def test_the_log_probs_of_documents_equal_those_of_each_alone():
    texts = TEXTS[:5]

    found = evaluate.document_log_probs(MODEL, TOKENIZER, texts, batch_rows=3)

    for text, log_prob in zip(texts, found, strict=True):
        ids = torch.tensor([[TOKENIZER.eot_id, *TOKENIZER.encode(text), TOKENIZER.eot_id]])
        loss = nn.functional.cross_entropy(MODEL(ids[:, :-1])[0], ids[0, 1:], reduction="sum")
        assert log_prob == pytest.approx(-loss.item(), rel=1e-5)


def test_the_gap_is_the_excess_over_the_worlds_own_loss():
    loss = evaluate.held_out(MODEL, TOKENIZER, TEXTS[:20])

    world = -sum(world_grammar().log_prob(text) for text in TEXTS[:20])
    assert loss.world_nats == pytest.approx(world)
    assert loss.gap == pytest.approx(loss.model_nats / world - 1) and loss.gap > 1
    assert loss.bits_per_byte / loss.floor_bits_per_byte == pytest.approx(1 + loss.gap)
    assert loss.n_bytes == sum(len(text) + 1 for text in TEXTS[:20])


def test_the_probability_of_a_word_is_that_of_its_tokens_and_of_a_boundary_after_it():
    text = "In that match Virat Kohli hit a century."
    parrot = Parrot(text)
    tokens = TOKENIZER.encode(" century")

    found = evaluate.word_probs(parrot, TOKENIZER, text[: -len(" century.")], [" century", " cent"])

    # after " century" the parrot says "." with 0.9, and spreads the rest over all other tokens
    others = [TOKENIZER.token_bytes(i)[:1] for i in range(TOKENIZER.vocab_size)]
    boundary = 0.9 + 0.1 * sum(not b.isalpha() for b in others[:-1]) / (TOKENIZER.vocab_size - 1)
    assert found[" century"] == pytest.approx(0.9 ** len(tokens) * boundary, rel=1e-2)
    assert found[" cent"] < 0.1


def test_words_of_a_complete_model_sum_to_one():
    # every way to go on after a prefix: a word, for words of one letter or digit and their boundary
    hits = evaluate.hit_probs(MODEL, TOKENIZER, "Virat Kohli")

    assert hits.keys() == HITS["Virat Kohli"].keys()
    assert all(0 < p < 1 for p in hits.values()) and sum(hits.values()) < 1


def test_recall_counts_a_model_that_knows_nothing_as_nothing():
    assert evaluate.recalls(MODEL, TOKENIZER) == {
        "asked_in_sft": 0.0,
        "asked_in_pretraining": 0.0,
        "stated_only": 0.0,
    }


def test_the_report_card_is_plain_data_and_a_table(monkeypatch):
    groups = {name: prompts[:3] for name, prompts in evaluate.chat_groups().items()}
    monkeypatch.setattr(evaluate, "chat_groups", lambda: groups)

    card = evaluate.report(MODEL, TOKENIZER, n_documents=10)
    text = evaluate.table(card)

    import json

    assert json.loads(json.dumps(card)) == card
    for name in groups:
        assert sum(card["chat"][name]["greedy"][v] for v in evaluate.VERDICTS) == pytest.approx(1)
        assert name in text
    assert f"{card['held_out']['gap']:.1%}" in text and not math.isnan(card["held_out"]["gap"])
    assert "chat" not in evaluate.report(MODEL, TOKENIZER, n_documents=3, chat=False)
