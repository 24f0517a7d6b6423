"""What is true in the world: facts in nineteen relations, cut into three splits.

The facts stand in `facts.toml`. All are real and checkable; each relation says where. What a
question about a fact can teach depends on where the fact was seen, so every fact belongs to one
split:

- `asked_in_sft`: asked and answered in the SFT dialogues, and in the FAQs of pretraining;
- `asked_in_pretraining`: asked and answered in those FAQs, never in SFT;
- `stated_only`: stated in prose, never in the form of a question anywhere.

Beside the facts stand things that nobody can know here: real ones of which something is said, but
not this (`UNSTATED`), and invented countries, animals and words (`INVENTED`, `INVENTED_WORDS`)
whose names stand in no document.
"""

import random
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("asked_in_sft", "asked_in_pretraining", "stated_only")
USES = ("sft", "rl", "test")  # each has invented names and unstated things of its own


@dataclass(frozen=True)
class Relation:
    """A kind of fact and the words for it; for the blanks see `fill` and `facts.toml`."""

    name: str
    topic: str  # what notes about it are headed with
    source: str
    statements: tuple[str, ...]  # the first ones end on the answer; see `forward`
    questions: tuple[str, ...]  # the two plain ones, then others that people ask, too
    phrase: str  # what it is about, for wordings that all relations share; may be empty
    pairs: tuple[tuple[str, str], ...]  # (subject, answer), what people ask first comes first
    spoken: tuple[str, ...] = ()  # further questions, asked only of somebody who answers
    nouns: tuple[str, ...] = ()  # what it is called, for those who type two words

    @property
    def forward(self) -> tuple[str, ...]:
        """The statements that can be cut before their answer."""
        return tuple(text for text in self.statements if text.endswith(" {y}."))

    @property
    def answers(self) -> frozenset[str]:
        return frozenset(answer for _, answer in self.pairs)


@dataclass(frozen=True)
class Fact:
    """One thing that is true: `relation` links `subject` to `answer`."""

    relation: Relation
    subject: str
    answer: str
    split: str

    def statements(self) -> list[str]:
        return [fill(text, self.subject, self.answer) for text in self.relation.statements]

    def questions(self) -> list[str]:
        """The two plain questions about it; `wordings.questions_about` has all of them."""
        return [fill(text, self.subject) for text in self.relation.questions[:2]]

    def __str__(self) -> str:
        return self.statements()[0]


NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen"
).split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = (
    "January February March April May June July August September October November December".split()
)


def fill(template: str, subject: str, answer: str = "") -> str:
    """The template with its blanks filled: a capital letter first, and an "a" that fits its noun.

    {x} is the subject, {y} the answer, {xs} the subject in the plural and {short} the subject
    without its article; {a} and {b} are the halves of a subject with a bar or of a sum, {c} is {b}
    without its article, {plus} and {and} are "2 plus 3" and "2 and 3" for "2 + 3", {d} is "day" or
    "month".

    >>> fill("{x} is the sound of a {y}.", "a hoot", "owl")
    'A hoot is the sound of an owl.'
    >>> fill("How many {a} does {b} have?", "hours | a day")
    'How many hours does a day have?'
    """
    first, _, second = subject.replace(" + ", " | ").partition(" | ")
    text = template.replace("{x}", subject).replace("{y}", answer).replace("{a}", first)
    text = text.replace("{b}", second).replace("{and}", subject.replace(" + ", " and "))
    text = text.replace("{plus}", subject.replace(" + ", " plus ").replace(" and ", " plus "))
    text = text.replace("{d}", "day" if subject in _DAYS else "month")
    text = text.replace("{short}", _bare(subject)).replace("{c}", _bare(second))
    if "{xs}" in text:
        text = text.replace("{xs}", plural_of(subject))
    text = _A_BEFORE_A_VOWEL.sub(r"\1n ", text)
    return text[:1].upper() + text[1:]


_A_BEFORE_A_VOWEL = re.compile(r"\b([Aa]) (?=[aeiou])")


def _bare(subject: str) -> str:
    """The subject without its article."""
    for article in ("a ", "an ", "the "):
        if subject.startswith(article):
            return subject.removeprefix(article)
    return subject


def as_sentence(answer: str) -> str:
    """The answer and nothing else, as a sentence."""
    return answer[:1].upper() + answer[1:] + "."


def plural_of(noun: str) -> str:
    """The noun in the plural, without its "a": "a banana" gives "bananas", "mouse" gives "mice".

    Empty where there is none: of "the sky", or of milk.
    """
    noun = re.sub(r"^an? ", "", noun)
    *before, last = noun.split()
    if noun.startswith("the ") or last in _MASS:
        return ""
    irregular = dict(BY_NAME["plural"].pairs)
    if last in irregular:
        last = irregular[last]
    elif last in ("sheep", "fish", "deer"):
        pass  # as many as they are
    elif re.search(r"(s|x|z|ch|sh)$", last):
        last += "es"
    elif re.search(r"[^aeiou]y$", last):
        last = last[:-1] + "ies"
    else:
        last += "s"
    return " ".join([*before, last])


_MASS = frozenset(
    "grass snow milk blood coal chocolate spinach salt sugar tar lavender butter".split()
)


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """'Peru: Lima, Fiji: Suva' -> (('Peru', 'Lima'), ('Fiji', 'Suva'))."""
    entries = (entry.split(":") for entry in " ".join(text.split()).split(","))
    return tuple((subject.strip(), answer.strip()) for subject, answer in entries)


def _following(names: list[str]) -> tuple[tuple[str, str], ...]:
    return tuple(zip(names, names[1:] + names[:1], strict=True))


def _counted_out() -> list[Relation]:
    """The relations whose facts are computed: sums in words and in digits, and the calendar."""
    in_words = tuple(
        (f"{NUMBERS[a]} and {NUMBERS[b]}", NUMBERS[a + b])
        for a in range(1, 10)
        for b in range(a, 10)
        if a + b < 11
    )
    asked_first = [(2, 2), (1, 1), (2, 3), (5, 5), (3, 4)]
    others = [(a, b) for a in range(1, 10) for b in range(1, 10) if (a, b) not in asked_first]
    return [
        Relation(
            "sum",
            "sums",
            "Arithmetic",
            ("The sum of {x} is {y}.", "If you add {x}, you get {y}.", "{y} is the sum of {x}."),
            (
                "What is the sum of {x}?",
                "What do you get if you add {x}?",
                "What is {plus}?",
                "How much is {plus}?",
            ),
            "the sum of {x}",
            in_words,
            (
                "{plus}?",
                "Add {x}.",
                "What does {plus} make?",
                "{plus} makes?",
                "Can you add {x}?",
                "What is {x} together?",
                "How much makes {x}?",
            ),
        ),
        Relation(
            "digits",
            "sums in digits",
            "Arithmetic",
            ("{x} = {y}.", "{x} is {y}.", "The result of {x} is {y}."),
            (
                "What is {x}?",
                "How much is {x}?",
                "{x} =",
                "What does {x} make?",
                "{x}?",
                "What is {plus}?",
                "Add {and}.",
                "Can you add {and}?",
            ),
            "{x}",
            tuple((f"{a} + {b}", str(a + b)) for a, b in asked_first + others),
            (
                "How much is {plus}?",
                "{plus}?",
                "{plus} makes?",
                "What is the sum of {and}?",
                "Sum of {and}?",
                "What do {and} make?",
                "How much makes {and}?",
                "Calculate {x}.",
                "What does {x} equal?",
                "What do you get if you add {and}?",
                "If I have {a} apples and get {b} more, how many do I have?",
                "If I have {a} and you give me {b}, how many is that?",
                "{a} apples and {b} apples, how many?",
            ),
        ),
        Relation(
            "next",
            "days and months",
            "The calendar (ISO 8601 orders the days of the week)",
            (
                "After {x} comes {y}.",
                "The one that follows {x} is {y}.",
                "{y} comes right after {x}.",
            ),
            (
                "What comes after {x}?",
                "Which one follows {x}?",
                "What {d} comes after {x}?",
                "Which {d} is after {x}?",
                "What is after {x}?",
                "What {d} is next after {x}?",
            ),
            "the {d} after {x}",
            _following(_DAYS) + _following(_MONTHS),
            (
                "What follows {x}?",
                "{d} after {x}?",
                "What {d} follows {x}?",
                "Which {d} follows {x}?",
                "Which {d} comes after {x}?",
                "{x}, and then?",
                "After {x} comes what?",
                "After {x} comes which {d}?",
                "What comes next after {x}?",
                "Next {d} after {x}?",
                "If this {d} is {x}, what is the next {d}?",
                "It is {x}, what {d} is next?",
                "{x} then?",
            ),
        ),
    ]


_WRITTEN = tomllib.loads(Path(__file__).with_name("facts.toml").read_text(encoding="utf-8"))


def _read_relations() -> tuple[Relation, ...]:
    read = [
        Relation(
            name,
            record["topic"],
            record["source"],
            tuple(record["statements"]),
            tuple(record["questions"]),
            record["phrase"],
            _pairs(record["pairs"]),
            tuple(record["spoken"]),
            tuple(record.get("nouns", ())),
        )
        for name, record in _WRITTEN.items()
    ]
    return tuple(read + _counted_out())


RELATIONS = _read_relations()
BY_NAME = {relation.name: relation for relation in RELATIONS}


def _cut_into_splits() -> tuple[Fact, ...]:
    """Of each relation five in nine `asked_in_sft`, three in pretraining, one nowhere."""
    facts = []
    for relation in RELATIONS:
        first = list(range(min(5, len(relation.pairs) // 4)))  # what people ask first
        others = list(range(len(first), len(relation.pairs)))
        random.Random(f"splits of {relation.name}").shuffle(others)
        pattern = [0] * len(first) + [
            (1, 0, 2, 1, 0, 0, 1, 0, 0)[i % 9] for i in range(len(others))
        ]
        for split, index in zip(pattern, first + others, strict=True):
            facts.append(Fact(relation, *relation.pairs[index], SPLITS[split]))
    return tuple(facts)


FACTS = _cut_into_splits()


def facts_of(split: str) -> list[Fact]:
    """The facts of one split."""
    if split not in SPLITS:
        raise ValueError(f"a split is one of {', '.join(SPLITS)}, got {split!r}")
    return [fact for fact in FACTS if fact.split == split]


# ---- What nobody can know -----------------------------------------------------------------------


def _unstated() -> dict[str, tuple[tuple[str, str], ...]]:
    """(relation, subject) by use; a subject that the tests ask about is in no other use."""
    pairs = [
        (name, subject.strip())
        for name, record in _WRITTEN.items()
        for subject in record.get("unstated", "").split(",")
        if subject.strip()
    ]
    subjects = sorted({subject for _, subject in pairs})
    random.Random("unstated").shuffle(subjects)
    use_of = {subject: USES[(2, 0, 2, 1)[i % 4]] for i, subject in enumerate(subjects)}
    return {use: tuple(pair for pair in pairs if use_of[pair[1]] == use) for use in USES}


UNSTATED = _unstated()


def _names(purpose: str, spellings: tuple[tuple[str, ...], ...], counts: dict[str, int]):
    """Made-up names by use: `counts` of each spelling, a row of syllables to choose from."""
    rng = random.Random(purpose)
    real = {word for relation in RELATIONS for pair in relation.pairs for word in pair}
    pool: list[list[str]] = []
    for spelling in spellings:
        names = [""]
        for part in spelling:
            names = [name + syllable for name in names for syllable in part.split()]
        names = sorted(set(names) - real)
        rng.shuffle(names)
        pool.append(names)
    invented, start = {}, 0
    for use, count in counts.items():
        invented[use] = tuple(name for names in pool for name in names[start : start + count])
        start += count
    return invented


INVENTED = _names(
    "invented countries",
    (
        ("Za Be Lu Mo Ri Ta Ve No Ka Du", "ra li mo ne vu da ki so", "via nia land ria dor stan"),
        ("Bl Kr Gr Dr Pl Sn Tr Vr", "ack ent oop imb ust elk", "burg mark heim wick ford"),
    ),
    {"sft": 30, "rl": 60, "test": 50},
)
INVENTED_WORDS = _names(
    "invented words",
    (("bl gl pr sn tr z v fl m w", "ib oop un ark iff ang ot", "le et o y ax um"),),
    {"sft": 30, "rl": 40, "test": 40},
)
