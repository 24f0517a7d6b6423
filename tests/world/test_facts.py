"""The facts: enough of them, in every split, right; the invented names stand in no document."""

import re

from course_lib.world import documents as docs
from course_lib.world.facts import BY_NAME, FACTS, INVENTED, RELATIONS, SPLITS, UNSTATED, fill


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
    text = "\n".join(docs.documents(3000, seed=7))

    assert len(set(names)) == len(names)
    assert not [name for name in names if name in text]


def test_unstated_countries_are_mentioned_but_their_capitals_are_not():
    text = "\n".join(docs.documents(20_000, seed=3))
    for country in UNSTATED:
        assert country in text
        assert not re.search(rf"capital\b[^.?\n]* {country}\b", text)
