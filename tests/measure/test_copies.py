"""What a model hands on to the next: facts in a text, and facts in a model, counted apart."""

import pytest
import torch

from course_lib.measure.copies import known, stated, written
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.world.facts import FACTS


@pytest.fixture(scope="module")
def base():
    return load_released("base")


def test_stated_names_facts_and_not_sentences():
    first, second = FACTS[0], FACTS[1]

    assert stated([*first.statements(), "Nothing."]) == {first}
    assert stated([" ".join(first.statements()), second.statements()[-1]]) == {first, second}
    assert stated([str(fact) for fact in FACTS]) == set(FACTS)
    assert stated(["In that match Joe Root hit a four."]) == set()


def test_the_released_model_knows_the_world_and_a_new_one_nothing(base):
    model, tokenizer = base

    assert len(known(model, tokenizer)) > 0.95 * len(FACTS)
    assert known(Transformer(model.config, 0).eval(), tokenizer) == set()


def test_a_fact_is_known_only_in_all_of_its_wordings(base, monkeypatch):
    model, tokenizer = base
    lost = FACTS[3]

    def completed(_, __, asked):
        last = lost.relation.forward[-1]
        return [not (fact == lost and text == last) for fact, text in asked]

    monkeypatch.setattr("course_lib.measure.copies.completed", completed)
    assert known(model, tokenizer) == set(FACTS) - {lost}


def test_a_model_writes_documents_without_marks_and_the_same_for_a_seed(base):
    model, tokenizer = base

    texts = written(model, tokenizer, 3, seed=1)

    assert len(texts) == 3 and texts == written(model, tokenizer, 3, seed=1)
    assert texts != written(model, tokenizer, 3, seed=2)
    assert all(text and "<|" not in text for text in texts)
    assert max(len(tokenizer.encode(text)) for text in texts) <= model.config.context_length
    assert isinstance(model, torch.nn.Module)
