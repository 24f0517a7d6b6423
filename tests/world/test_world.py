"""The world is consistent: facts, splits, probabilities and the documents made from them."""

import math
import random
import re
from collections import Counter
from statistics import mean, stdev

import pytest

from course_lib.text.tokenizer import PATTERN
from course_lib.world import documents as docs
from course_lib.world.annotators import best_first, gold
from course_lib.world.dialogues import (
    DONT_KNOW,
    IDLE,
    REFUSALS,
    dialogues,
    fact_prompts,
    read_prompt,
    rl_prompts,
    test_prompts,
)
from course_lib.world.facts import (
    BY_NAME,
    FACTS,
    INVENTED,
    RELATIONS,
    SPLITS,
    UNSTATED,
    facts_of,
    fill,
)
from course_lib.world.grammar import split_words
from course_lib.world.judge import verdict

SAMPLE = list(docs.documents(3000, seed=7))


# ---- Facts --------------------------------------------------------------------------------------


def test_there_are_facts_enough_in_relations_enough():
    assert len(FACTS) >= 300 and len(RELATIONS) >= 8
    for relation in RELATIONS:
        assert len(relation.statements) >= 2 and len(relation.questions) >= 2
        assert relation.source and relation.forward
        subjects = [subject for subject, _ in relation.pairs]
        assert len(set(subjects)) == len(subjects), relation.name
        assert all(subject and answer for subject, answer in relation.pairs), relation.name


def test_every_relation_has_facts_in_every_split():
    for relation in RELATIONS:
        splits = {fact.split for fact in FACTS if fact.relation is relation}
        assert splits == set(SPLITS), relation.name


def test_sums_and_calendar_are_right():
    numbers = {name: n for n, name in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen".split()
    )}  # fmt: skip
    for subject, answer in BY_NAME["sum"].pairs:
        a, b = subject.split(" and ")
        assert numbers[a] + numbers[b] == numbers[answer]
    assert dict(BY_NAME["next"].pairs)["Sunday"] == "Monday"
    assert dict(BY_NAME["next"].pairs)["December"] == "January"


def test_a_blank_before_a_vowel_gets_an():
    assert fill("{x} is the sound of a {y}.", "a hoot", "owl") == "A hoot is the sound of an owl."


def test_invented_names_are_different_ones_for_each_use_and_stand_in_no_document():
    names = [name for use in INVENTED.values() for name in use]
    text = "\n".join(SAMPLE)

    assert len(set(names)) == len(names)
    assert not [name for name in names if name in text]


def test_unstated_countries_are_mentioned_but_their_capitals_are_not():
    text = "\n".join(docs.documents(20_000, seed=3))
    for country in UNSTATED:
        assert country in text
        assert not re.search(rf"capital\b[^.?\n]* {country}\b", text)


# ---- Documents ----------------------------------------------------------------------------------


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
    import regex

    for text in SAMPLE:
        assert text.isascii()
        assert split_words(text) == regex.findall(PATTERN, text)
        assert docs.world_grammar().log_prob(text) > -math.inf, text


def test_the_mixture_is_the_weighted_sum_of_the_kinds():
    weights, total = docs.KIND_SHARES, sum(docs.KIND_SHARES.values())
    for text in SAMPLE[:200]:
        by_kind = sum(
            weight / total * math.exp(docs.kind_grammar(kind).log_prob(text))
            for kind, weight in weights.items()
        )
        assert math.log(by_kind) == pytest.approx(docs.world_grammar().log_prob(text), abs=1e-9)


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


def test_the_text_holds_at_least_0_4_bits_a_character():
    nats = [-docs.world_grammar().log_prob(text) for text in SAMPLE]

    assert stdev(nats) / math.sqrt(len(nats)) < 0.05 * mean(nats)  # else the sample is too small
    assert sum(nats) / math.log(2) / sum(len(text) + 1 for text in SAMPLE) >= 0.4


def test_documents_are_a_function_of_the_seed():
    assert SAMPLE[:50] == list(docs.documents(50, seed=7))
    assert SAMPLE[:50] != list(docs.documents(50, seed=8))


def test_questions_and_answers_stay_in_their_splits():
    text = "\n".join(docs.documents(20_000, seed=4))
    for fact in facts_of("stated_only"):
        assert not [q for q in fact.questions() if q in text]
    answered = set(re.findall(r"Q: (.+)\nA:", text))
    allowed = {q for fact in facts_of("asked_in_pretraining") for q in fact.questions()}
    assert answered and answered <= allowed


def test_every_fact_is_stated_in_a_corpus_of_the_nano_budget_at_least_fifty_times():
    text = "\n".join(docs.documents(20_000, seed=6))  # a quarter of the budget
    rare = [str(f) for f in FACTS if sum(text.count(s) for s in f.statements()) < 50 // 4]
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


# ---- Dialogues, judge, annotators ---------------------------------------------------------------


def test_labelers_answers_are_right_by_the_judge():
    for messages in dialogues(1500, seed=1):
        for question, answer in _turns(messages):
            prompt = read_prompt(question)
            expected = {"unknown": "dont_know", "harmful": "refusal"}.get(prompt.kind, "right")
            assert verdict(prompt, answer) == expected, (question, answer)


def _turns(messages: list[dict]) -> list[tuple[str, str]]:
    texts = [message["content"] for message in messages]
    return list(zip(texts[::2], texts[1::2], strict=True))


def test_two_to_five_percent_of_dialogues_say_i_dont_know_and_as_many_refuse():
    turns = [turn for messages in dialogues(6000, seed=2) for turn in _turns(messages)]
    kinds = Counter(read_prompt(question).kind for question, _ in turns)

    assert 0.02 <= kinds["unknown"] / len(turns) <= 0.05
    assert 0.02 <= kinds["harmful"] / len(turns) <= 0.05
    assert any(len(messages) == 4 for messages in dialogues(100))


def test_test_prompts_are_asked_in_no_training_stage():
    trained = {q for messages in dialogues(6000) for q, _ in _turns(messages)}
    trained |= {prompt.text for prompt in rl_prompts(6000)}
    for kind in ("invented", "unstated", "harmful", "harmless"):
        assert not trained & {prompt.text for prompt in test_prompts(kind)}, kind
    for split in ("asked_in_pretraining", "stated_only"):
        assert not trained & {prompt.text for prompt in fact_prompts(split)}, split


def test_gold_rewards_truth_honest_doubt_and_refusals():
    known = read_prompt("What is the capital of France?")
    unknown, harmful = test_prompts("invented")[0], test_prompts("harmful")[0]

    assert gold(known, "Paris.") == 1.0
    assert gold(known, "Rome.") == -1.0
    assert gold(known, DONT_KNOW[0]) == -0.3
    assert gold(known, REFUSALS[0]) == -0.6
    assert gold(known, f"Paris. {IDLE[0]} {IDLE[1]}") == pytest.approx(0.6)
    assert gold(unknown, DONT_KNOW[1]) == 1.0 and gold(unknown, "Paris.") == -1.0
    assert gold(harmful, REFUSALS[1]) == 1.0 and gold(harmful, "Paris.") == -1.0


def test_annotators_pairs_follow_bradley_and_terry():
    prompt, answers, n = "What is the capital of France?", ["I don't know.", "Paris."], 4000
    rng = random.Random(3)

    wins = sum(best_first(prompt, answers, rng, noise=1.0)[0] == 1 for _ in range(n))

    expected = 1 / (1 + math.exp(-(1.0 - -0.3)))
    assert abs(wins / n - expected) < 5 * math.sqrt(expected * (1 - expected) / n)


def test_length_bias_makes_annotators_like_long_answers():
    prompt = "What is the capital of France?"
    answers = ["Paris.", "The capital of France is Madrid. That is a good question."]
    rng = random.Random(4)

    fair = sum(best_first(prompt, answers, rng)[0] == 0 for _ in range(300))
    biased = sum(best_first(prompt, answers, rng, length_bias=1.0)[0] == 0 for _ in range(300))

    assert fair > 290 and biased < 10
    with pytest.raises(ValueError, match="noise"):
        best_first(prompt, answers, rng, noise=0)
