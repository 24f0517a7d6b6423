"""The facts: enough of them, in every split, right; the invented names stand in no document."""

import re

from course_lib.world import documents as docs
from course_lib.world.facts import (
    BY_NAME,
    FACTS,
    INVENTED,
    INVENTED_WORDS,
    RELATIONS,
    SPLITS,
    UNSTATED,
    fill,
)


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
    names = [
        name for made_up in (INVENTED, INVENTED_WORDS) for use in made_up.values() for name in use
    ]
    text = "\n".join(docs.documents(3000, seed=7))

    assert len(set(names)) == len(names)
    assert not [name for name in names if re.search(rf"\b{name}\b", text)]


def test_unstated_things_are_mentioned_but_this_is_said_of_none_of_them():
    text = "\n".join(docs.documents(20_000, seed=3))
    pairs = [pair for use in UNSTATED.values() for pair in use]
    for relation, subject in pairs:
        assert subject in text, subject
        for statement in BY_NAME[relation].statements:
            before = fill(statement, subject, "\0").split("\0")[0]
            after = fill(statement, subject, "\0").split("\0")[1]
            assert not re.search(re.escape(before) + r"[A-Za-z ]+" + re.escape(after), text), (
                subject
            )
    tested = {subject for _, subject in UNSTATED["test"]}
    assert not tested & {subject for use in ("sft", "rl") for _, subject in UNSTATED[use]}
    assert len(UNSTATED["test"]) >= 30
