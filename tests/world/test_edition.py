"""The world's hash: the same for the same world, another when anything changes."""

import pytest

from course_lib.world import edition


def test_the_same_world_has_the_same_hash():
    first = edition.world_hash()
    edition.world_hash.cache_clear()
    assert edition.world_hash() == first and len(first) == 12


@pytest.mark.parametrize("what", ["documents", "held_out_documents", "dialogues", "rl_prompts"])
def test_whatever_changes_changes_the_hash(what, monkeypatch):
    before, original = edition.world_hash(), getattr(edition, what)
    monkeypatch.setattr(edition, what, lambda n, seed: original(n, seed + 1))
    edition.world_hash.cache_clear()
    try:
        assert edition.world_hash() != before
    finally:
        edition.world_hash.cache_clear()
