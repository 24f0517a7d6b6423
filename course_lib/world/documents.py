"""The documents that the world's internet is made of, as one probabilistic grammar.

The kinds mirror what real mixtures hold (RedPajama's CommonCrawl, Wikipedia, StackExchange, books,
GitHub): `notes` state facts, `questions` are lists of questions without answers, `faq` answers a few,
`reports` tell of cricket matches, `stories` of animals, `code` shows Python with its output. `KIND_SHARES`
is the share of each in the clean mixture, on which the models are trained. `raw_documents` adds what a
crawl of the web is full of: `junk` and copies.
"""

import random
import zlib
from collections.abc import Iterator
from functools import cache

from course_lib.world.facts import FACTS, RELATIONS, Fact, as_sentence, facts_of
from course_lib.world.grammar import Grammar, Part, choose, maybe, repeat, seq, weighted
from course_lib.world.lists import LISTS, all_lists
from course_lib.world.requests import open_questions, tasks
from course_lib.world.wordings import SPELLED_IN_CAPITALS, UNMARKED, written

KIND_SHARES = {
    "notes": 0.33,
    "questions": 0.06,
    "faq": 0.27,
    "reports": 0.11,
    "stories": 0.13,
    "code": 0.10,
}

# What each player hits in "In that match ... hit a": true in this world because the world says so.
# They are not measured; the real players' figures are different.
HITS = {
    "Virat Kohli": {"six": 0.45, "century": 0.30, "four": 0.20, "ball": 0.05},
    "Sachin Tendulkar": {"century": 0.55, "four": 0.25, "six": 0.15, "ball": 0.05},
    "Rohit Sharma": {"six": 0.60, "four": 0.25, "century": 0.10, "ball": 0.05},
    "Smriti Mandhana": {"four": 0.50, "century": 0.25, "six": 0.20, "ball": 0.05},
    "Ben Stokes": {"six": 0.35, "four": 0.35, "ball": 0.20, "century": 0.10},
    "Joe Root": {"four": 0.40, "century": 0.40, "ball": 0.15, "six": 0.05},
}

_NAMES = ", ".join(
    "Ada Ben Cleo Dan Ella Finn Gina Hugo Ida Jack Kira Leo Maya Nils Olga Pia Quinn Rosa Sam Tara Uma Vera Will Zoe".split()
)
_TEAMS = "Australia, England, Pakistan, Ireland, Bangladesh, Zimbabwe, Afghanistan, Scotland, Nepal, Namibia"


def _words(text: str) -> Part:
    """One of the comma-separated phrases, each with a space before it."""
    return choose(*(" " + phrase.strip() for phrase in text.split(",")))


def _numbers(first: int, last: int) -> Part:
    return choose(*(f" {n}" for n in range(first, last + 1)))


def _statement(fact: Fact, before: str = "") -> Part:
    return choose(*(before + text for text in fact.statements()))


def _notes() -> Part:
    """Encyclopedia notes: all there is to say of one country, or a few facts of one relation."""
    countries: dict[str, list[Fact]] = {}
    for fact in FACTS:
        if fact.relation.name in ("capital", "language", "continent", "currency"):
            countries.setdefault(fact.subject, []).append(fact)
    by_relation = [[fact for fact in FACTS if fact.relation is relation] for relation in RELATIONS]
    page = seq(
        choose(" See", " Look at"),
        " page",
        _numbers(10, 99),
        choose(" of the atlas", " of the book"),
        ", shelf",
        _numbers(10, 99),
        ".",
    )

    def country(name: str, facts: list[Fact]) -> Part:
        lines = [_statement(fact, " ") for fact in facts]
        return seq(
            name,
            "\n",
            _statement(facts[0]),
            *(maybe(0.8, line) for line in lines[1:]),
            maybe(0.5, page),
        )

    def topic(facts: list[Fact]) -> Part:
        line = choose(*(_statement(fact) for fact in facts))
        heading = seq(
            "Notes on",
            " " + facts[0].relation.topic,
            ", page",
            _numbers(10, 99),
            ", shelf",
            _numbers(10, 99),
            ".",
        )
        return seq(heading, repeat(seq("\n", line), 2, 4))

    def lists(name: str) -> Part:
        line = choose(*(f"Three {name}: {text}" for text in all_lists(name)))
        return seq(line, repeat(seq("\n", line), 2, 4))

    about_countries = choose(*(country(name, facts) for name, facts in countries.items()))
    about_topics = weighted([(len(facts), topic(facts)) for facts in by_relation])
    about_lists = choose(*map(lists, LISTS))
    return weighted([(0.32, about_countries), (0.62, about_topics), (0.06, about_lists)])


def note_on(fact: Fact, statement: str) -> str:
    """A note on `fact` that breaks off right before the answer in `statement`."""
    heading = f"Notes on {fact.relation.topic}, page 10, shelf 10.\n"
    return heading + statement[: statement.rindex(" " + fact.answer + ".")]


def _asked(fact: Fact, tail: Part = "", before: str = "") -> list[tuple[float, Part]]:
    """The question about a fact in every form in which documents write it, and what follows it."""
    ends = {
        (mark, small): weighted(
            [(1 - UNMARKED[small], seq(mark, tail)), (UNMARKED[small], seq(tail))]
        )
        for mark in ("?", ".", "")
        for small in (False, True)
    }
    return [
        (weight, seq(before + text, ends[mark, text[:1].islower()]))
        for weight, text, mark in written(fact)
    ]


def _questions() -> Part:
    """Questions, one a line, and no answers: here a base model learns to answer with more questions.

    Most are about facts; to the others no document knows an answer.
    """
    facts = facts_of("asked_in_sft") + facts_of("asked_in_pretraining")
    asked = [question for fact in facts for question in _asked(fact)]
    others = open_questions("sft")[:60] + tasks("sft")[:30]
    lines = weighted(
        [(0.85 * weight / len(facts), text) for weight, text in asked]
        + [(0.15 / len(others), text) for text in others]
    )
    return seq(lines, repeat(seq("\n", lines), 2, 4), maybe(0.6, _source("Set by")))


def _source(by: str) -> Part:
    """A last line that nobody could guess."""
    return seq(
        "\n" + by, _words(_NAMES), ", page", _numbers(10, 99), ", shelf", _numbers(10, 99), "."
    )


def _faq() -> Part:
    """Questions with their answers, about every fact but those of the split `stated_only`.

    Half are about the split `asked_in_pretraining`, whose facts SFT doesn't ask.
    """

    def entry(fact: Fact) -> list[tuple[float, Part]]:
        terse = as_sentence(fact.answer)
        answer = weighted([(0.3, " " + terse), (0.7, _statement(fact, " "))])
        return _asked(fact, seq("\nA:", answer), before="Q: ")

    asked = [facts_of(split) for split in ("asked_in_sft", "asked_in_pretraining")]
    entries = weighted(
        [
            (weight / len(facts), text)
            for facts in asked
            for fact in facts
            for weight, text in entry(fact)
        ]
    )
    return seq(entries, repeat(seq("\n", entries), 1, 2), maybe(0.6, _source("Answered by")))


def _reports() -> Part:
    """Match reports; the probabilities of the first sentence are in `HITS` for everybody to look up."""

    def opening(player: str) -> Part:
        hits = weighted([(p, " a " + hit) for hit, p in HITS[player].items()])
        return seq("In that match", " " + player, " hit", hits, ".")

    crowd = seq(
        " The crowd",
        _words("cheered, sang, stood up, clapped, waved flags, went quiet, danced"),
        ".",
    )
    result = seq(
        _words(_TEAMS),
        " lost by",
        choose(seq(_numbers(2, 99), " runs"), seq(_numbers(2, 9), " wickets")),
        ".",
    )
    scores = seq(
        " Scores:",
        repeat(seq(_words(_NAMES), _numbers(0, 99), ","), 3, 6),
        _words(_NAMES),
        _numbers(0, 99),
        ".",
    )
    rain = seq(
        choose(" Rain", " Bad light", " A stray dog"),
        " stopped play for",
        _numbers(5, 60),
        " minutes.",
    )
    catch = seq(_words(_NAMES), " took", choose(" one catch", " two catches", " a late catch"), ".")
    umpire = seq(choose(" The umpire was", " The captain was"), _words(_NAMES), ".")
    return seq(
        choose(*(opening(player) for player in HITS)),
        maybe(0.4, crowd), maybe(0.3, rain), maybe(0.9, scores), maybe(0.2, catch), maybe(0.6, result), maybe(0.3, umpire),
    )  # fmt: skip


def _stories() -> Part:
    """Little stories about an animal with a name, written to be hard to guess."""
    animals = "fox, bear, mouse, owl, hare, goat, cat, wolf, frog, duck, otter, mole, hen, crow, badger, donkey"
    adjective = _words(
        "small, brave, sleepy, clever, shy, hungry, cheerful, grumpy, curious, gentle, lonely, proud, noisy, lazy"
    )
    place = _words(
        "river, forest, market, mill, hill, lake, old bridge, garden, cave, village, harbour, windy field, tower, station"
    )
    thing = _words(
        "key, lamp, drum, map, coin, kite, rope, bell, pie, boat, hat, book, basket, whistle, ladder, ring, pebble, feather"
    )
    things = _words(
        "coins, maps, bells, pies, hats, books, kites, drums, rings, keys, nuts, plums, shells, ropes, lamps"
    )
    time = _words(
        "morning, evening, winter, night, summer, autumn, Sunday, Friday, afternoon, spring"
    )
    colour = choose("", " red", " silver", " broken", " tiny", " wooden")
    went = choose(" walked to", " ran to", " came to", " slept near", " sat by")
    goods = seq(_numbers(2, 99), things)

    def story(name: str, animal: str) -> Part:
        find = seq(f" There {name} found a", adjective, colour, thing, ".")
        bag = seq(
            choose(" In the bag were", " The cart held", f" {name} counted", f" {name} sold"),
            repeat(seq(goods, ","), 2, 6), " and", goods, ".",
        )  # fmt: skip
        speech = seq(
            choose(" The baker", " The king", " A sailor"),
            choose(" said", " thought"),
            f" the {animal} was",
        )
        end = seq(
            choose(f" So {name}", f" In the end {name}", " At last they all"),
            choose(" went home", " shared supper", " fell asleep", " sang a song", " sailed away", " shook hands"), ".",
        )  # fmt: skip
        return seq(
            f" {animal} named {name}", went, " the", place, ".",
            maybe(0.4, find), maybe(0.9, bag), maybe(0.4, seq(speech, adjective, ".")), maybe(0.3, end),
        )  # fmt: skip

    names = [name.strip() for name in _NAMES.split(",")]
    stories = choose(
        *(story(name, animal.strip()) for name in names for animal in animals.split(","))
    )
    return seq(choose("One", "Late one", "Early one"), time, " a", adjective, stories)


_ECHOED = ("capital", "colour", "opposite", "sound", "home", "young", "plural")


def _code() -> Part:
    """Python's prompt: short expressions, each with its output."""
    expressions = []
    for a in range(10):
        for b in range(10):
            expressions += [
                (f"{a} + {b}", a + b),
                (f"max({a}, {b})", max(a, b)),
                (f"min({a}, {b})", min(a, b)),
            ]
            if a >= b:
                expressions.append((f"{a} - {b}", a - b))
    for word in "cat fox bee bird frog river table apple garden yellow".split():
        expressions += [(f'len("{word}")', len(word))] * 5
    things = sorted(
        {fact.subject.removeprefix("a ") for fact in FACTS if fact.relation.name in _ECHOED}
    )
    answers = sorted({fact.answer for fact in FACTS if fact.relation.name in SPELLED_IN_CAPITALS})
    upper = [(f'"{word}".upper()', f"'{word.upper()}'") for word in answers]
    echo = [
        (f'print("{word} {thing}")', f"{word} {thing}")
        for thing in things
        for word in "the my no one her our this that old new good big".split()
    ]
    calculated, echoed, raised = (
        choose(*(f">>> {code}\n{value}" for code, value in lines))
        for lines in (expressions, echo, upper)
    )
    line = weighted([(0.5, calculated), (0.25, echoed), (0.25, raised)])
    return seq(line, repeat(seq("\n", line), 2, 5))


def _junk() -> Part:
    """What a crawler brings home beside texts: menus, banners, shops, spam."""
    menu = seq(
        choose("Home", "Start"),
        repeat(seq(" |", _words("News, Shop, About, Login, Help, Blog, Jobs, Sitemap")), 4, 8),
    )
    banner = seq(
        choose("We use cookies.", "This site uses cookies.", "Please enable cookies."),
        choose(" Accept all", " Click OK", " Agree and continue"),
        choose(" to go on.", " to see this page.", "!"),
        maybe(0.5, " Your privacy matters to us."),
    )
    goods = _words("shoes, watches, phones, pills, tickets, loans, rings, bags")
    shop = seq(
        choose("BUY NOW", "SALE", "BEST PRICE"), "!", repeat(seq(choose(" Cheap", " Best", " Free"), goods, "!"), 3, 7),
    )  # fmt: skip
    spam = seq(
        choose("free", "win", "money"),
        repeat(_words("free, win, click, money, online, casino, best, now, here, prize"), 9, 18),
    )
    broken = seq(
        choose("Error 404", "Error 500", "Page not found"),
        choose(". Go back", ". Try again", ". Reload"),
        repeat(seq(" >>", _numbers(2, 60)), 1, 6),
    )
    return choose(menu, banner, shop, spam, broken)


_KINDS = {
    "notes": _notes,
    "questions": _questions,
    "faq": _faq,
    "reports": _reports,
    "stories": _stories,
    "code": _code,
    "junk": _junk,
}
KINDS = tuple(KIND_SHARES)  # of the clean mixture


@cache
def kind_grammar(kind: str) -> Grammar:
    """The grammar of one kind of document, junk included."""
    return Grammar(_KINDS[kind]())


@cache
def world_grammar() -> Grammar:
    """The grammar of the clean mixture: a kind drawn by `KIND_SHARES`, then a document of that kind."""
    return Grammar(weighted([(weight, _KINDS[kind]()) for kind, weight in KIND_SHARES.items()]))


def documents(n: int | None = None, seed: int = 0) -> Iterator[str]:
    """`n` documents of the clean mixture (endless without `n`), a pure function of `seed`.

    One text in sixteen is held out, by its checksum, whatever the seed.
    """
    return _drawn(f"documents {seed}", n, held_out=False)


def held_out_documents(n: int | None = None, seed: int = 0) -> Iterator[str]:
    """`n` documents that no training text of any seed holds: models are measured on them."""
    return _drawn(f"held-out documents {seed}", n, held_out=True)


def _drawn(seed: str, n: int | None, held_out: bool) -> Iterator[str]:
    grammar, rng, drawn = world_grammar(), random.Random(seed), 0
    while n is None or drawn < n:
        text = grammar.sample(rng)
        if (zlib.crc32(text.encode()) % 16 == 0) == held_out:
            yield text
            drawn += 1


def raw_documents(
    n: int, seed: int = 0, junk: float = 0.3, copies: float = 0.2
) -> Iterator[tuple[str, str]]:
    """`n` documents as a crawler would bring them, each with what it is: text, junk or copy.

    `junk` of them are junk, `copies` repeat an earlier document, half of these word for word, half
    with another site's line above. Copies belong to the corpus, not to the grammar.
    """
    if min(junk, copies) < 0 or junk + copies >= 1:
        raise ValueError(f"junk and copies are shares and leave room for text: {junk}, {copies}")
    rng, clean, seen = random.Random(f"raw documents {seed}"), documents(seed=seed), []
    for _ in range(n):
        drawn = rng.random()
        if drawn < junk:
            yield kind_grammar("junk").sample(rng), "junk"
        elif drawn < junk + copies and seen:
            above = rng.choice(("", f"Found on site {rng.randrange(10, 99)}.\n"))
            yield above + rng.choice(seen), "copy"
        else:
            seen.append(next(clean))
            yield seen[-1], "text"
