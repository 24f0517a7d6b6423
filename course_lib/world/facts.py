"""What is true in the world: facts in twelve relations, cut into three splits.

All facts are real and checkable; each relation says where. What a question about a fact can teach
depends on where the fact was seen, so every fact belongs to one split:

- `asked_in_sft`: asked and answered in the SFT dialogues;
- `asked_in_pretraining`: asked and answered in the FAQs of pretraining, never in SFT;
- `stated_only`: stated in prose, never in the form of a question anywhere.

Beside the facts stand things that nobody can know here: real countries whose capital is stated
nowhere (`UNSTATED`), and invented countries (`INVENTED`) whose names stand in no document.
"""

import random
import re
from dataclasses import dataclass

SPLITS = ("asked_in_sft", "asked_in_pretraining", "stated_only")


@dataclass(frozen=True)
class Relation:
    """A kind of fact and the words for it; {x} is the subject, {y} the answer."""

    name: str
    source: str
    statements: tuple[str, ...]  # the first ones end on the answer; see `forward`
    questions: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]  # (subject, answer)

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
        return [fill(text, self.subject) for text in self.relation.questions]

    def __str__(self) -> str:
        return self.statements()[0]


def fill(template: str, subject: str, answer: str = "") -> str:
    """The template with its blanks filled: a capital letter first, and an "a" that fits its noun.

    >>> fill("{x} is the sound of a {y}.", "a hoot", "owl")
    'A hoot is the sound of an owl.'
    """
    text = template.replace("{x}", subject).replace("{y}", answer)
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
    return text[:1].upper() + text[1:]


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """'Peru Lima, New Zealand: Wellington' -> (('Peru', 'Lima'), ('New Zealand', 'Wellington'))."""
    pairs = []
    for entry in " ".join(text.split()).split(","):
        subject, _, answer = entry.partition(":") if ":" in entry else entry.strip().partition(" ")
        pairs.append((subject.strip(), answer.strip()))
    return tuple(pairs)


NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen"
).split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = (
    "January February March April May June July August September October November December".split()
)


def _following(names: list[str]) -> tuple[tuple[str, str], ...]:
    return tuple(zip(names, names[1:] + names[:1], strict=True))


RELATIONS = (
    Relation(
        "capital",
        "UN Statistics Division, M49 list and the member states' own names of their capitals",
        (
            "The capital of {x} is {y}.",
            "The capital city of {x} is called {y}.",
            "{y} is the capital of {x}.",
        ),
        ("What is the capital of {x}?", "Which city is the capital of {x}?"),
        _pairs("""
        France Paris, Germany Berlin, Spain Madrid, Italy Rome, Portugal Lisbon, Greece Athens,
        Austria Vienna, Hungary Budapest, Poland Warsaw, Sweden Stockholm, Norway Oslo, Finland
        Helsinki, Denmark Copenhagen, Ireland Dublin, Belgium Brussels, Iceland Reykjavik,
        Russia Moscow, Ukraine Kyiv, Romania Bucharest, Bulgaria Sofia, Croatia Zagreb, Serbia
        Belgrade, Turkey Ankara, Egypt Cairo, Morocco Rabat, Kenya Nairobi, Ghana Accra, Nigeria
        Abuja, Ethiopia: Addis Ababa, Uganda Kampala, Senegal Dakar, Angola Luanda, India: New
        Delhi, Nepal Kathmandu, China Beijing, Japan Tokyo, Mongolia: Ulan Bator, Vietnam Hanoi,
        Thailand Bangkok, Cambodia: Phnom Penh, Philippines Manila, Iran Tehran, Iraq Baghdad,
        Jordan Amman, Lebanon Beirut, Qatar Doha, Canada Ottawa, Mexico: Mexico City, Cuba
        Havana, Jamaica Kingston, Peru Lima, Chile Santiago, Brazil Brasilia, Argentina: Buenos
        Aires, Colombia Bogota, Ecuador Quito, Uruguay Montevideo, Venezuela Caracas, Australia
        Canberra, New Zealand: Wellington, Fiji Suva"""),
    ),
    Relation(
        "language",
        "The countries' constitutions or census offices: the language most people speak",
        (
            "The main language of {x} is {y}.",
            "Most people in {x} speak {y}.",
            "{y} is the main language of {x}.",
        ),
        ("What is the main language of {x}?", "Which language do most people in {x} speak?"),
        _pairs("""
        France French, Germany German, Spain Spanish, Italy Italian, Portugal Portuguese, Greece
        Greek, Austria German, Hungary Hungarian, Poland Polish, Sweden Swedish, Norway
        Norwegian, Finland Finnish, Denmark Danish, Iceland Icelandic, Russia Russian, Ukraine
        Ukrainian, Romania Romanian, Bulgaria Bulgarian, Croatia Croatian, Serbia Serbian,
        Turkey Turkish, Egypt Arabic, Iraq Arabic, Japan Japanese, Mongolia Mongolian, Vietnam
        Vietnamese, Thailand Thai, Cambodia Khmer, Nepal Nepali, Mexico Spanish, Cuba Spanish,
        Peru Spanish, Brazil Portuguese, Angola Portuguese, Australia English, Jamaica English"""),
    ),
    Relation(
        "continent",
        "UN Statistics Division, M49 geographic regions (the Americas by the usual two continents)",
        ("The continent of {x} is {y}.", "On a map {x} lies in {y}.", "{x} is a country in {y}."),
        ("Which continent is {x} in?", "On which continent does {x} lie?"),
        _pairs("""
        France Europe, Spain Europe, Poland Europe, Sweden Europe, Greece Europe, Ireland
        Europe, Egypt Africa, Kenya Africa, Ghana Africa, Nigeria Africa, Senegal Africa,
        Morocco Africa, India Asia, China Asia, Japan Asia, Vietnam Asia, Nepal Asia, Iraq Asia,
        Canada: North America, Mexico: North America, Cuba: North America, Peru: South America,
        Chile: South America, Brazil: South America, Colombia: South America, Uruguay: South
        America, Malta Europe, Latvia Europe, Libya Africa, Zambia Africa, Bhutan Asia, Oman
        Asia, Panama: North America, Bolivia: South America"""),
    ),
    Relation(
        "colour",
        "Everyday observation; the common ripe or grown form of each thing",
        (
            "The colour of {x} is {y}.",
            "The usual colour of {x} is {y}.",
            "You can tell {x} by the colour {y}.",
        ),
        ("What is the colour of {x}?", "What colour is {x}?"),
        _pairs("""
        a banana: yellow, a lemon: yellow, a canary: yellow, grass: green, a frog: green, a
        cucumber: green, spinach: green, a tomato: red, a strawberry: red, a cherry: red, blood:
        red, a ruby: red, the clear sky: blue, a sapphire: blue, a blueberry: blue, snow: white,
        milk: white, salt: white, a swan: white, coal: black, a raven: black, tar: black, a
        carrot: orange, a pumpkin: orange, a flamingo: pink, chocolate: brown, a chestnut:
        brown, an elephant: grey, lavender: purple, an aubergine: purple"""),
    ),
    Relation(
        "opposite",
        "Any English dictionary of synonyms and antonyms",
        (
            "The opposite of {x} is {y}.",
            "The word {x} is the opposite of {y}.",
            "{y} is the opposite of {x}.",
        ),
        ("What is the opposite of {x}?", "Which word means the opposite of {x}?"),
        _pairs("""
        hot cold, big small, tall short, fast slow, old young, rich poor, happy sad, light dark,
        wet dry, full empty, open shut, loud quiet, hard soft, clean dirty, early late, strong
        weak, thick thin, wide narrow, deep shallow, sharp blunt, true false, brave cowardly,
        near far, high low, rough smooth, sweet bitter, cheap expensive, awake asleep, alive
        dead, safe dangerous, easy difficult, first last, always never, inside outside, above
        below, left right, north south"""),
    ),
    Relation(
        "sound",
        "Oxford dictionary's entries for animal sounds",
        (
            "The sound of a {x} is a {y}.",
            "When a {x} calls, you hear a {y}.",
            "A {y} is the sound of a {x}.",
        ),
        ("What sound does a {x} make?", "What do you hear when a {x} calls?"),
        _pairs("""
        dog bark, cat meow, cow moo, sheep bleat, horse neigh, lion roar, duck quack, wolf howl,
        snake hiss, bee buzz, donkey bray, pigeon coo, owl hoot, mouse squeak, pig oink, frog
        croak, hen cluck, sparrow chirp"""),
    ),
    Relation(
        "home",
        "Oxford dictionary's entries for animal homes",
        (
            "The home of a {x} is a {y}.",
            "You can find a {x} in a {y}.",
            "A {y} is the home of a {x}.",
        ),
        ("What is the home of a {x}?", "Where does a {x} live?"),
        _pairs("""
        bee hive, rabbit burrow, spider web, fox den, horse stable, pig sty, hen coop, beaver
        lodge, badger sett, sparrow nest, dog kennel, ant anthill, oyster shell, fish pond,
        pigeon loft, bat cave, sheep pen, cow barn"""),
    ),
    Relation(
        "young",
        "Oxford dictionary's entries for young animals",
        ("A young {x} is called a {y}.", "The young of a {x} is a {y}.", "A {y} is a young {x}."),
        ("What is a young {x} called?", "What do you call a young {x}?"),
        _pairs("""
        dog puppy, cat kitten, cow calf, sheep lamb, horse foal, lion cub, duck duckling, goose
        gosling, hen chick, pig piglet, goat kid, deer fawn, frog tadpole, kangaroo joey, owl
        owlet, hare leveret, swan cygnet, eel elver, seal pup, spider spiderling"""),
    ),
    Relation(
        "sum",
        "Arithmetic",
        ("The sum of {x} is {y}.", "If you add {x}, you get {y}.", "{y} is the sum of {x}."),
        ("What is the sum of {x}?", "What do you get if you add {x}?"),
        tuple(
            (f"{NUMBERS[a]} and {NUMBERS[b]}", NUMBERS[a + b])
            for a in range(1, 10)
            for b in range(a, 10)
            if a + b < 14
        ),
    ),
    Relation(
        "next",
        "The calendar (ISO 8601 orders the days of the week)",
        ("After {x} comes {y}.", "The one that follows {x} is {y}.", "{y} comes right after {x}."),
        ("What comes after {x}?", "Which one follows {x}?"),
        _following(_DAYS) + _following(_MONTHS),
    ),
    Relation(
        "plural",
        "Any English dictionary: irregular plurals",
        ("The plural of {x} is {y}.", "One {x}, but two {y}.", "{y} is the plural of {x}."),
        ("What is the plural of {x}?", "How do you write more than one {x}?"),
        _pairs("""
        mouse mice, child children, tooth teeth, foot feet, goose geese, man men, woman women,
        ox oxen, leaf leaves, knife knives, wolf wolves, loaf loaves, half halves, thief
        thieves, wife wives, shelf shelves, cactus cacti, person people"""),
    ),
    Relation(
        "past",
        "Any English dictionary: irregular verbs",
        (
            "The past tense of {x} is {y}.",
            "Today I {x}, but yesterday I {y}.",
            "{y} is the past tense of {x}.",
        ),
        ("What is the past tense of {x}?", "What is {x} in the past tense?"),
        _pairs("""
        go went, eat ate, see saw, run ran, buy bought, think thought, catch caught, fly flew,
        swim swam, write wrote, sing sang, drink drank, take took, give gave, know knew, grow
        grew, speak spoke, break broke, teach taught, begin began, find found, hold held, keep
        kept, leave left"""),
    ),
)
BY_NAME = {relation.name: relation for relation in RELATIONS}

# Countries that are mentioned (their continent is), but whose capital stands in no document.
UNSTATED = ("Malta", "Latvia", "Libya", "Zambia", "Bhutan", "Oman", "Panama", "Bolivia")


def _cut_into_splits() -> tuple[Fact, ...]:
    """Of each relation 2/5 `asked_in_sft`, 2/5 `asked_in_pretraining`, 1/5 `stated_only`."""
    facts = []
    for relation in RELATIONS:
        others = list(range(1, len(relation.pairs)))
        random.Random(f"splits of {relation.name}").shuffle(others)
        for place, index in enumerate([0, *others]):  # what people ask first is asked in SFT
            split = SPLITS[(0, 1, 2, 0, 1)[place % 5]]
            facts.append(Fact(relation, *relation.pairs[index], split))
    return tuple(facts)


FACTS = _cut_into_splits()


def facts_of(split: str) -> list[Fact]:
    """The facts of one split."""
    if split not in SPLITS:
        raise ValueError(f"a split is one of {', '.join(SPLITS)}, got {split!r}")
    return [fact for fact in FACTS if fact.split == split]


def _invented_names() -> dict[str, tuple[str, ...]]:
    """Names of countries that don't exist, spelled in two ways, different ones for each use."""
    rng = random.Random("invented countries")
    flowing = (
        "Za Be Lu Mo Ri Ta Ve No Ka Du",
        "ra li mo ne vu da ki so",
        "via nia land ria dor stan",
    )
    clipped = ("Bl Kr Gr Dr Pl Sn Tr Vr", "ack ent oop imb ust elk", "burg mark heim wick ford")
    real = {pair[0] for relation in RELATIONS for pair in relation.pairs}
    pool: list[list[str]] = []
    for spelling in (flowing, clipped):
        syllables = [part.split() for part in spelling]
        names = sorted(
            {a + b + c for a in syllables[0] for b in syllables[1] for c in syllables[2]} - real
        )
        rng.shuffle(names)
        pool.append(names)
    uses = {"sft": 30, "rl": 60, "test": 50}  # of each spelling
    invented, start = {}, 0
    for use, count in uses.items():
        invented[use] = tuple(name for names in pool for name in names[start : start + count])
        start += count
    return invented


INVENTED = _invented_names()
