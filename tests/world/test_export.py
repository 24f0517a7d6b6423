"""The grammar as JSON, read back by a few lines that know nothing but its description."""

import math
import random

from course_lib.world.documents import world_grammar
from course_lib.world.export import grammar_as_json
from course_lib.world.grammar import Grammar, choose, maybe, repeat, seq, weighted


def words_of(found: dict) -> dict[str, float]:
    """Every document that the JSON describes, with its probability."""
    parts: list[dict[str, float]] = []

    def read(part, place: int) -> dict[str, float]:
        if isinstance(part, int):
            return parts[place - part] if part > 0 else {found["words"][-1 - part]: 1.0}
        texts: dict[str, float] = {}
        if part[:1] == [0]:
            options = part[2:]
            shares = found["shares"][part[1] - 1] if part[1] else [1 / len(options)] * len(options)
            for share, option in zip(shares, options, strict=True):
                for text, p in read(option, place).items():
                    texts[text] = texts.get(text, 0) + share * p
            return texts
        texts = {"": 1.0}
        for each in part:
            following = read(each, place)
            texts = {a + b: p * q for a, p in texts.items() for b, q in following.items()}
        return texts

    for place, part in enumerate(found["parts"]):
        parts.append(read(part, place))
    return parts[-1]


def test_it_describes_every_document_with_its_probability():
    name = choose("Ann", "Bob", seq("The cat", maybe(0.25, " of Ann")))
    hit = weighted([(0.45, " hits a six"), (0.3, " hits a century"), (0.2, " hits nothing at all")])
    grammar = Grammar(
        choose(seq(name, hit, "."), seq(repeat(seq(name, "\n"), 1, 3), maybe(0.5, name)))
    )

    texts = words_of(grammar_as_json(grammar))

    assert abs(sum(texts.values()) - 1) < 1e-9
    rng = random.Random(0)
    drawn = {grammar.sample(rng) for _ in range(3000)}
    assert drawn <= set(texts) and len(drawn) > 60
    for text, p in texts.items():
        assert abs(math.log(p) - grammar.log_prob(text)) < 1e-9, text


def test_equal_parts_of_the_world_stand_once():
    found = grammar_as_json(world_grammar())

    assert len(found["parts"]) < 8_000 and len(found["shares"]) < 500
    assert len(set(found["words"])) == len(found["words"])
