"""How people ask: many wordings of one question, and the sloppy forms in which they are typed.

A question is put together from three choices. A wording: one of the relation's own questions, or
one that all relations share ("Tell me {phrase}."). A form: in small letters, without its mark, with
"What's" or "color", with a greeting before it or "please" behind. And perhaps an instruction:
answer in one word, in a full sentence, in capitals. Some wordings and some combinations of forms
are held back from all training, so that we can ask whether a model has learned the parts or only
the combinations. `plain` reads all of them back.
"""

import random
import re
from dataclasses import dataclass
from itertools import product

from course_lib.world.facts import RELATIONS, Fact, Relation, fill, plural_of

# {phrase} is "the capital of France", {bare} the same without "the".
FRAMES = (
    "What is {phrase}?",
    "Tell me {phrase}.",
    "Do you know {phrase}?",
    "Can you tell me {phrase}?",
    "Name {phrase}.",
    "I want to know {phrase}.",
    "{bare}?",
    "Give me {phrase}.",
    "What would you say is {phrase}?",
)
_HELD_BACK_FRAMES = FRAMES[1:6]  # each relation has one of these held back

# Further ones that only somebody who answers is asked, in a chat. {y} and {z} are answers, one of
# them right where both stand; {n} is the relation's noun, for those who type two words.
SPOKEN = (
    "{phrase} is?",
    "{phrase} is what?",
    "Could you tell me {phrase}?",
    "Could you tell me what {phrase} is?",
    "I wonder what {phrase} is.",
    "What about {phrase}?",
    "I forgot {phrase}.",
    "Is {phrase} {y} or {z}?",
    "Is it {y} or {z}, {phrase}?",
)
NOUN_FRAMES = (
    "{short} {n}?",
    "{n} {short}?",
    "{n} of {short}?",
    "{n} for {short}?",
    "{short}'s {n}?",
    "What is {short}'s {n}?",
    "{short}, what is the {n}?",
)


def _frames(relation: Relation) -> list[tuple[str, bool]]:
    """The shared wordings as templates of this relation, each with whether it is held back."""
    if not relation.phrase:  # nothing is shared; one of its own wordings is held back
        return [(relation.questions[-1], True)]
    bare = relation.phrase.removeprefix("the ")
    place = RELATIONS.index(relation) % len(_HELD_BACK_FRAMES)
    frames = [
        (
            frame.replace("{phrase}", relation.phrase).replace("{bare}", bare),
            frame == _HELD_BACK_FRAMES[place],
        )
        for frame in FRAMES
    ]
    if relation.name == "record":  # "Tallest mountain?"
        frames += [("{short}?", False), ("{short} in the world?", False)]
    return frames


def _templates(relation: Relation, held_back: bool = False) -> list[str]:
    """The question templates that training uses, or those that are held back from it."""
    frames = _frames(relation)
    if held_back:
        return [template for template, held in frames if held]
    held = {template for template, held in frames if held}
    return [t for t in dict.fromkeys([*relation.questions, *dict(frames)]) if t not in held]


def _spoken(relation: Relation) -> list[str]:
    """The templates of what only somebody who answers is asked."""
    # "... the kind of animal that a dog is" can't go on with another "is"
    shared = SPOKEN if relation.phrase and not relation.phrase.endswith(" is") else ()
    return [
        *relation.spoken,
        *(text.replace("{phrase}", relation.phrase) for text in shared),
        *(text.replace("{n}", noun) for noun in relation.nouns for text in NOUN_FRAMES),
    ]


def questions_about(
    relation: Relation, subject: str, held_back: bool = False, spoken: bool = False
) -> list[str]:
    """Every wording of the question about a subject; with `held_back` those never trained on.

    With `spoken` also those of a chat, which stand in no document.
    """
    templates = _templates(relation, held_back)
    if spoken and not held_back:
        templates += _spoken(relation)
    if not plural_of(subject):  # nobody asks what colour milks are
        templates = [template for template in templates if "{xs}" not in template]
    texts = (text for template in templates for text in _with_answers(template, relation, subject))
    return list(dict.fromkeys(texts))


def _with_answers(template: str, relation: Relation, subject: str) -> list[str]:
    """The question; one that offers answers ({y} and {z}) twice, each time with others."""
    if "{y" not in template and "{z" not in template:
        return [fill(template, subject)]
    right, answers = dict(relation.pairs).get(subject), sorted(relation.answers)
    if "{z" not in template:  # "Is it foots or feet?"
        return [] if right is None else [fill(template, subject, right)]
    rng, found = random.Random(f"{template} {subject}"), []
    for _ in range(2):
        first, second = rng.sample(answers, 2)
        if right is None:
            pass
        elif "{y" not in template:  # every second time the offered answer is right
            second = rng.choice((second, right))
        elif right not in (first, second):  # the right one, as often first as second
            first, second = rng.sample((first, right), 2)
        text = template.replace("{ys}", plural_of(first)).replace("{zs}", plural_of(second))
        found.append(fill(text.replace("{y}", first).replace("{z}", second), subject))
    return found


def wordings(fact: Fact, held_back: bool = False, spoken: bool = False) -> list[str]:
    """Every wording of the question about a fact; with `held_back` those never trained on.

    With `spoken` also those of a chat.
    """
    return questions_about(fact.relation, fact.subject, held_back, spoken)


# ---- Forms --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    """How a question is typed; the default is by the book."""

    lower: bool = False
    unmarked: bool = False  # without the mark at its end
    contracted: bool = False  # What's, whats
    american: bool = False  # color, gray
    tight: bool = False  # 2+2
    opening: str = ""  # a greeting, or "please"
    closing: str = ""  # "please" or thanks


OPENINGS = ("Hi, ", "Hello, ", "Hey, ", "Hi! ", "Hello! ", "Please, ", "Hey ", "Hi ", "OK, ")
CLOSINGS = (", please", " please", " thanks", " pls")
# More of them, in a chat.
_CHATTY_OPENINGS = (
    *OPENINGS,
    *("So ", "OK so ", "Well, ", "Quick question, ", "Good morning, ", "Excuse me, "),
)
_CHATTY_CLOSINGS = (*CLOSINGS, " lol", ", actually", " again", ", thank you")
_AMERICAN = (("colour", "color"), ("grey", "gray"))


def is_held_back(form: Form) -> bool:
    """Whether no training has this combination of forms, though it has each of them.

    A greeting before small letters, and "please" behind a contraction.
    """
    return bool((form.opening and form.lower) or (form.closing and form.contracted))


def typed(question: str, form: Form) -> str:
    """The question in this form.

    >>> typed("What is the colour of grass?", Form(lower=True, unmarked=True, contracted=True))
    'whats the colour of grass'
    """
    text = question
    if form.contracted:
        short = "Whats" if form.lower else "What's"
        text = re.sub(r"^What is\b", short, text)
    if form.american:
        for british, american in _AMERICAN:
            text = text.replace(british, american)
    if form.tight:
        text = re.sub(r"(\d) \+ (?=\d)", r"\1+", text)
    mark = text[-1] if text[-1] in ".?" else ""
    text = text.removesuffix(mark)
    if form.opening:
        first = text.split()[0]
        # "What" becomes "what" behind a comma; "France" and "I" keep their letters
        small = _SMALL_BEHIND_A_COMMA
        if form.opening not in OPENINGS:
            small = small | _SMALL_IN_A_CHAT
        if form.opening[-2] not in "!" and first in small:
            text = text[:1].lower() + text[1:]
        text = form.opening + text
    text += form.closing
    if not form.unmarked:
        text += mark
    return text.lower() if form.lower else text


_SMALL_BEHIND_A_COMMA = frozenset(
    "What What's Whats Which Where How Who On Tell Do Can Name Give In Answer Add".split()
)
_SMALL_IN_A_CHAT = frozenset("The Is Are Does If A An Could Would".split())


def some_form(rng: random.Random, held_back: bool = False, chatty: bool = False) -> Form:
    """A form as people type; one in four is by the book. `held_back`: only such combinations.

    `chatty` people say more around the question.
    """
    openings, closings = (OPENINGS, CLOSINGS)
    if chatty:
        openings, closings = _CHATTY_OPENINGS, _CHATTY_CLOSINGS
    while True:
        lower = rng.random() < 0.45
        form = Form(
            lower=lower,
            unmarked=rng.random() < (0.6 if lower else 0.2),
            contracted=rng.random() < 0.3,
            american=rng.random() < 0.4,
            tight=rng.random() < 0.6,
            opening=rng.choice(openings) if rng.random() < (0.15 if chatty else 0.1) else "",
            closing=rng.choice(closings) if rng.random() < 0.1 else "",
        )
        if is_held_back(form) == held_back:
            return form


_SMALL_WORDS = frozenset("a an the is are do does of in what what's whats which".split())


def slipped(text: str, rng: random.Random, spared: str = "") -> str:
    """The text as hasty fingers type it: small words left out, or one letter wrong.

    The words of `spared` stay whole: a name with a wrong letter may be another's name.

    >>> slipped("What is the capital of France?", random.Random(7), spared="France")
    'What the capital France?'
    """
    words = text.split(" ")
    if rng.random() < 0.5:
        kept = [word for word in words if word.lower() not in _SMALL_WORDS or rng.random() < 0.5]
        return " ".join(kept) if len(kept) > 1 else text
    names = spared.lower().split()
    long = [
        i
        for i, word in enumerate(words)
        if len(word) > 4 and word[:4].isalpha() and not any(n in word.lower() for n in names)
    ]
    if not long:
        return text
    i = rng.choice(long)
    word, at = words[i], rng.randrange(1, 4)
    words[i] = rng.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        )
    )
    return " ".join(words)


# How documents ask. The grammar knows all of it by heart, so they use fewer wordings and forms.
_IN_DOCUMENTS = ((FRAMES[0],), (FRAMES[1],), (FRAMES[6],))
CASES = ((0.6, False), (0.4, True))  # share, small letters
UNMARKED = {False: 0.2, True: 0.7}  # the share without a mark, by small letters


def written(fact: Fact) -> list[tuple[float, str, str]]:
    """How documents ask about a fact: (weight, question without its mark, its mark)."""
    found: dict[tuple[str, str], float] = {}
    asked = [text for text in wordings(fact) if text not in _in_no_document(fact)]
    for text in asked:
        mark = text[-1] if text[-1] in ".?" else ""
        for share, lower in CASES:
            for contracted, american, tight in product((False, True), repeat=3):
                key = typed(text, Form(lower, True, contracted, american, tight)), mark
                found[key] = found.get(key, 0.0) + share / 8 / len(asked)
    return [(weight, text, mark) for (text, mark), weight in found.items()]


def _in_no_document(fact: Fact) -> set[str]:
    """The wordings in which one asks somebody who can answer: not those of documents."""
    templates = [template for template, _ in _frames(fact.relation)]
    others = [t for i, t in enumerate(templates) if FRAMES[i : i + 1] not in _IN_DOCUMENTS]
    return {fill(template, fact.subject) for template in others}


# ---- Instructions -------------------------------------------------------------------------------

# How the answer is to be written. The first ones of a kind are system messages, too.
INSTRUCTIONS = {
    "one_word": (
        "Answer in one word.",
        "Answer with one word only.",
        "Just one word, please.",
        "In one word, please.",
    ),
    "sentence": (
        "Answer in a full sentence.",
        "Answer with a whole sentence.",
        "A full sentence, please.",
        "In a full sentence, please.",
    ),
    "capitals": (
        "Answer in capitals.",
        "Answer in capital letters.",
        "In capitals, please.",
        "In capital letters, please.",
    ),
}
BEFORE = {
    "one_word": "In one word: ",
    "sentence": "In a full sentence: ",
    "capitals": "In capitals: ",
}


def instructed(question: str, kind: str, rng: random.Random) -> str:
    """The question with an instruction behind it, or before it."""
    if rng.random() < 0.25:
        small = question.split()[0] in _SMALL_BEHIND_A_COMMA
        return BEFORE[kind] + (question[:1].lower() if small else question[:1]) + question[1:]
    told = rng.choice(INSTRUCTIONS[kind])
    if question[-1] in ".?":
        return f"{question} {told}"
    return f"{question}, {told[:1].lower()}{told[1:]}"  # else "... in A full sentence"


# What documents write in capitals, so that a model can know how it is spelled there.
SPELLED_IN_CAPITALS = ("capital", "language", "continent", "colour", "opposite", "kind")


# No training gives these instructions with questions about these relations ...
_WITHHELD = {
    "one_word": ("home", "past"),
    "sentence": ("sound", "plural"),
    "capitals": ("opposite",),
}


def instructions_for(fact: Fact, withheld: str = "") -> list[str]:
    """The instructions that go with a question about a fact: "" for those that training gives.

    Two kinds are withheld from all training: "relation" for those that no question about the whole
    relation has, "fact" for those that this fact has not, though others of its relation have.
    """
    place, found = [subject for subject, _ in fact.relation.pairs].index(fact.subject), []
    for i, kind in enumerate(INSTRUCTIONS):
        if kind == "capitals" and fact.relation.name not in SPELLED_IN_CAPITALS:
            continue
        why = "fact" if (place + i) % 4 == 3 else ""
        why = "relation" if fact.relation.name in _WITHHELD[kind] else why
        if why == withheld:
            found.append(kind)
    return found


# ---- Reading ------------------------------------------------------------------------------------

_GREETING = re.compile(
    r"^(hi there|hi|hello there|hello|hey|good (morning|evening|day)|ok|okay|please|so|well"
    r"|quick question|excuse me)\b[ ,!.]*(?=\S)"
)
_POLITE = re.compile(r"[ ,.!?]*\b(please|pls|thanks|thank you|lol|actually|again)[ .!?]*$")


def plain(text: str) -> str:
    """What a typed question comes down to: small letters, no marks, no greeting, no contraction.

    >>> plain("Hi, what's the color of Grass please")
    'what is the colour of grass'
    """
    text = _without_courtesies(unmarked(text))
    text = re.sub(r"^whats\b|^what's\b", "what is", text)
    text = re.sub(r"\bwho's\b|\bwhos\b", "who is", text)
    for british, american in _AMERICAN:
        text = text.replace(american, british)
    text = re.sub(r"(\d) ?\+ ?(?=\d)", r"\1 + ", text)
    return re.sub(r"(\d) ?= ?$", r"\1 =", unmarked(text))


def unmarked(text: str) -> str:
    """The text in small letters, without the marks at its end."""
    return " ".join(text.lower().split()).replace("\u2019", "'").rstrip(" ?.!")


def _without_courtesies(text: str) -> str:
    shorter = _POLITE.sub("", _GREETING.sub("", text))
    return (
        text
        if not shorter.strip()
        else shorter
        if shorter == text
        else _without_courtesies(shorter)
    )


def instruction_in(text: str) -> tuple[str | None, str]:
    """The kind of instruction that a typed text holds, if one, and the text without it."""
    text = " ".join(text.split())
    for kind, before in BEFORE.items():
        if text.lower().startswith(before.lower()):
            return kind, text[len(before) :]
    for core, kind in _CORES:  # the longest first: one may end on another
        found = re.search(rf"[ ,.?!]*\b{core}(, please| please)?[.!]?$", text, re.IGNORECASE)
        if found and found.start():
            return kind, text[: found.start()]
    return None, text


_CORES = sorted(
    (
        (phrase.removesuffix(".").removesuffix(", please"), kind)
        for kind, phrases in INSTRUCTIONS.items()
        for phrase in phrases
    ),
    key=lambda entry: -len(entry[0]),
)
