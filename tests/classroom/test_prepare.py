"""What our models say: the files that come with the course are those of the released models."""

import json

import pytest

from course_lib.classroom.prepare import TEXTS, pairs_of, words_of
from course_lib.classroom.rounds import PAIRS, WORDS, Material, read_pairs
from course_lib.classroom.tally import judged
from course_lib.pipeline.release import load_released
from course_lib.world.documents import world_grammar

MADE = "made before the models were: run python -m course_lib.classroom.prepare"


def test_the_truth_beside_the_words_is_the_worlds():
    for word in Material().words.values():
        truth = world_grammar().next_word(word.text)
        kept = {f" {name}": p for name, p in word.truth.items() if p}
        assert kept == pytest.approx(truth)
        assert sum(word.model.values()) == pytest.approx(1, abs=0.001)
    assert len(Material().words) == len(TEXTS)


def test_the_models_words_are_the_released_models():
    kept = json.loads(WORDS.read_text(encoding="utf-8"))["words"]

    for old, new in zip(kept, words_of(*load_released("base")), strict=True):
        assert old["text"] == new["text"], MADE
        assert old["model"] == pytest.approx(new["model"], abs=0.01), MADE


@pytest.mark.slow
def test_the_pairs_are_the_released_models():
    kept = read_pairs(PAIRS)
    made = pairs_of(*load_released("sft"), n=8)

    # the sampled answers may part on another machine, where two words are equally likely
    same = [pair for pair in made if pair in kept]
    assert len(same) >= 6, MADE


def test_the_pairs_can_be_judged_and_mostly_differ():
    pairs = read_pairs(PAIRS)

    assert len({pair.prompt for pair in pairs}) == len(pairs) >= 50
    gaps = [judged(pair)[0] for pair in pairs]
    # 42 of 60; 49 before SFT read chatty dialogues: more often both answers are right
    assert sum(gap != 0 for gap in gaps) > 0.65 * len(gaps)
    assert min(gaps) < 0 < max(gaps) and 0.0 in gaps
