"""What people say to the assistant, and the answers that human labelers would write.

`dialogues` draws SFT examples; `rl_prompts` and `test_prompts` draw prompts without answers. A
prompt is of one of four kinds: `known` (a fact that some document states, or a list of three
things), `unknown` (an invented name, a real thing of which this stands nowhere, or a question about
something else), `harmful`, and `chat` (greetings, identity, thanks, tasks out of scope). SFT, RL
and the tests each have invented names, requests and small talk of their own.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import cycle, islice

from course_lib.world.facts import (
    BY_NAME,
    FACTS,
    INVENTED,
    INVENTED_WORDS,
    RELATIONS,
    UNSTATED,
    USES,
    Fact,
    as_sentence,
    facts_of,
)
from course_lib.world.lists import LISTS, list_questions, three_of
from course_lib.world.requests import (
    DONT_KNOW,
    IDLE,
    REFUSALS,
    REPLIES,
    how_tos,
    open_questions,
    small_talk,
    tasks,
)
from course_lib.world.wordings import (
    INSTRUCTIONS,
    Form,
    instructed,
    instruction_in,
    instructions_for,
    plain,
    questions_about,
    some_form,
    typed,
    unmarked,
    wordings,
)


@dataclass(frozen=True)
class Prompt:
    """Something a user says, with what the world knows about it."""

    text: str
    kind: str  # known, unknown, harmful or chat
    fact: Fact | None = None  # for known prompts that ask about one
    topic: str | None = None  # for chat: greeting, identity, thanks or scope; for known: a list
    source: str | None = None  # for unknown prompts: invented, unstated or open
    instruction: str | None = None  # how the answer should be written, one of `INSTRUCTIONS`
    system: str | None = None  # a system message before it, which says so for the conversation

    @property
    def messages(self) -> list[dict]:
        before = [{"role": "system", "content": self.system}] if self.system else []
        return [*before, {"role": "user", "content": self.text}]


def _asked(prompt: Prompt, rng: random.Random, held_back: bool = False) -> Prompt:
    """The same prompt as somebody types it."""
    form = some_form(rng, held_back)
    while held_back and not (form.opening or prompt.text.startswith("What is")):
        form = some_form(rng, held_back)  # here there is nothing to contract
    if prompt.kind == "chat" and prompt.topic != "scope":
        form = Form(lower=form.lower, unmarked=form.unmarked)  # nobody greets before a greeting
    return replace(prompt, text=typed(prompt.text, form))


def fact_prompts(split: str, held_back: bool = False) -> list[Prompt]:
    """The two plain questions about every fact of a split, or those held back from training."""
    return [
        Prompt(text, "known", fact=fact)
        for fact in facts_of(split)
        for text in (wordings(fact, held_back) if held_back else fact.questions())
    ]


@cache
def _known(split: str) -> tuple[Prompt, ...]:
    """Twenty questions about every fact of a split, in all wordings of training in turn."""
    return tuple(
        Prompt(text, "known", fact=fact)
        for fact in facts_of(split)
        for text in islice(cycle(wordings(fact)), 20)
    )


@cache
def _unknown(use: str) -> Mapping[str, tuple[Prompt, ...]]:
    """Questions that nobody can answer here, by source: invented and unstated things."""
    countries = ("capital", "language", "currency", "continent")
    things = ("sound", "home", "young", "legs", "opposite", "plural", "colour")
    invented = [(r, name) for name in INVENTED[use] for r in countries]
    invented += [
        (r, f"a {name}" if r == "colour" else name) for name in INVENTED_WORDS[use] for r in things
    ]
    found = {}
    for source, pairs in (("invented", invented), ("unstated", UNSTATED[use])):
        found[source] = tuple(
            Prompt(text, "unknown", source=source)
            for relation, subject in pairs
            for text in _plain_or_all(relation, subject, use)
        )
    return found


def _plain_or_all(relation: str, subject: str, use: str) -> list[str]:
    texts = questions_about(BY_NAME[relation], subject)
    return texts[:2] if use == "test" else texts


@cache
def _requests(use: str) -> Mapping[str, tuple[Prompt, ...]]:
    """Everything that asks for no fact, by group."""
    how = how_tos(use)
    found = {
        "harmful": tuple(Prompt(text, "harmful") for text in how["harmful"]),
        "harmless": tuple(Prompt(text, "chat", topic="scope") for text in how["harmless"]),
        "tasks": tuple(Prompt(text, "chat", topic="scope") for text in tasks(use)),
        "open": tuple(Prompt(text, "unknown", source="open") for text in open_questions(use)),
    }
    for topic, texts in small_talk(use).items():
        found[topic] = tuple(Prompt(text, "chat", topic=topic) for text in texts)
    return found


def _lists(use: str) -> list[Prompt]:
    """Requests to name three of something; the tests have combinations that no training has."""
    return [Prompt(text, "known", topic=name) for name, text in list_questions(use == "test")]


# ---- Reading a typed text -----------------------------------------------------------------------


@cache
def _by_text() -> Mapping[str, Prompt]:
    """Every prompt of the world by what its text comes down to."""
    found = {}
    for use in USES:
        for name, group in (
            *_requests(use).items(),
            *_unknown(use).items(),
            ("lists", _lists(use)),
        ):
            # "Hi, nice to meet you" is no question with a greeting before it
            key = unmarked if name in REPLIES else plain
            found |= {key(prompt.text): prompt for prompt in group}
    for fact in FACTS:
        for text in (*wordings(fact), *wordings(fact, held_back=True)):
            found[plain(text)] = Prompt(text, "known", fact=fact)
    found.pop("", None)  # of "???" nothing is left
    return found


@cache
def _relation_questions() -> re.Pattern:
    """Any question in a wording of a relation, whatever it asks about."""
    found = []
    for relation in RELATIONS:
        if relation.name in ("digits", "record", "made_by", "how_many", "next", "sum", "kind"):
            continue  # their wordings hold anything: "What is ...?", "Who ...?"
        for held_back in (False, True):
            for text in questions_about(relation, "blip", held_back):
                found.append(re.escape(plain(text)).replace("blips?", ".+").replace("blip", ".+"))
    return re.compile("|".join(found))


def is_question(text: str) -> bool:
    """Whether this is a question or a request of the world, whatever name stands in it."""
    core = plain(text)
    return core in _by_text() or _asks(core)


def _asks(core: str) -> bool:
    return _relation_questions().fullmatch(core) is not None


def read_prompt(text: str, system: str | None = None) -> Prompt:
    """What the world knows of a typed text; where it knows nothing, `chat` on `scope`.

    A question in the world's words about a name that it doesn't know is `unknown`.
    """
    instruction, question = instruction_in(text)
    if system:
        instruction = instruction_in("x " + system)[0] or instruction
    core = plain(question)
    found = _by_text().get(unmarked(question)) or _by_text().get(core)
    if found is None and _asks(core):
        found = Prompt(text, "unknown", source="invented")
    found = found or Prompt(text, "chat", topic="scope")
    return replace(found, text=text, instruction=instruction, system=system)


# ---- Prompts and dialogues ----------------------------------------------------------------------


TEST_KINDS = (
    "invented", "unstated", "open", "harmful", "harmless", "tasks", "chat",
    "sloppy", "forms", "wordings", "instructions", "new_instructions", "lists",
)  # fmt: skip


@cache
def test_prompts(kind: str) -> tuple[Prompt, ...]:
    """Prompts that no training stage used.

    invented, unstated, harmful, harmless and chat are asked by the book. `open` and `tasks` have
    wordings of their own, and the others ask facts of `asked_in_sft`: `sloppy` in the forms that
    training has, `forms` in combinations of them that it hasn't, `wordings` in wordings that it has
    only for other relations; `instructions` give one that training gives only for other facts,
    `new_instructions` one that it gives only for other relations; `lists` are held back likewise.
    """
    rng = random.Random(f"test prompts {kind}")
    requests = _requests("test")
    known = fact_prompts("asked_in_sft")
    makers = {
        "invented": lambda: _unknown("test")["invented"][::4],
        "unstated": lambda: _unknown("test")["unstated"],
        "harmful": lambda: requests["harmful"][::2],
        "harmless": lambda: requests["harmless"][::2],
        "chat": lambda: [
            p for topic in ("greeting", "identity", "thanks") for p in requests[topic]
        ],
        "open": lambda: requests["open"],
        "tasks": lambda: requests["tasks"],
        "sloppy": lambda: [_asked(p, rng) for p in known[::3]],
        "forms": lambda: [_asked(p, rng, held_back=True) for p in known[::3]],
        "wordings": lambda: fact_prompts("asked_in_sft", held_back=True),
        "instructions": lambda: _all_instructed(known, "fact", rng)[::2],
        "new_instructions": lambda: _all_instructed(known, "relation", rng)[::2],
        "lists": lambda: _lists("test"),
    }
    if kind not in makers:
        raise ValueError(f"test prompts are {', '.join(makers)}, got {kind!r}")
    return tuple(makers[kind]())


test_prompts.__test__ = False  # a function of the world, not a test for pytest to collect


def _instructed(prompt: Prompt, rng: random.Random, withheld: str = "") -> Prompt:
    """The prompt with an instruction: before it, behind it, or in a system message."""
    kind = rng.choice(instructions_for(prompt.fact, withheld))
    if rng.random() < 0.35:
        return replace(prompt, instruction=kind, system=rng.choice(INSTRUCTIONS[kind]))
    return replace(prompt, instruction=kind, text=instructed(prompt.text, kind, rng))


def _all_instructed(known: list[Prompt], withheld: str, rng: random.Random) -> list[Prompt]:
    able = [prompt for prompt in known if instructions_for(prompt.fact, withheld)]
    return [_instructed(prompt, rng, withheld) for prompt in able]


def _some_instruction(fact: Fact, rng: random.Random) -> str:
    """One that training gives with a question about this fact; few can be given in capitals."""
    kinds = instructions_for(fact)
    return rng.choices(kinds, [2 if kind == "capitals" else 1 for kind in kinds])[0]


def _some(groups: list, rng: random.Random):
    """A prompt from one of the groups, each with its weight."""
    weights = [weight for weight, _ in groups]
    return rng.choice(rng.choices(groups, weights)[0][1])


def rl_prompts(n: int, seed: int = 0) -> list[Prompt]:
    """Prompts to practise on: known facts that SFT asked, unknown, harmful and chat, in balance."""
    rng = random.Random(f"rl prompts {seed}")
    requests, unknown = _requests("rl"), _unknown("rl")
    known = _known("asked_in_sft")
    # The invented ones are about countries, animals and words, so half of the known ones are, too.
    # Else, after such questions, "I don't know" would be praised more often than an answer.
    asked_about = {
        "capital",
        "language",
        "currency",
        "continent",
        "sound",
        "home",
        "young",
        "opposite",
    }
    alike = [prompt for prompt in known if prompt.fact.relation.name in asked_about]
    groups = [
        (0.22, alike),
        (0.23, known),
        (0.11, unknown["invented"]),
        (0.04, unknown["unstated"]),
        (0.05, requests["open"]),
        (0.13, requests["harmful"]),
        (0.08, requests["harmless"]),
        (0.05, requests["tasks"]),
        (0.06, [p for topic in ("greeting", "identity", "thanks") for p in requests[topic]]),
        (0.03, _lists("rl")),
    ]
    found = []
    for _ in range(n):
        prompt = _asked(_some(groups, rng), rng)
        if prompt.fact and rng.random() < 0.15 and instructions_for(prompt.fact):
            kind = _some_instruction(prompt.fact, rng)
            text = instructed(prompt.text, kind, rng)
            prompt = replace(prompt, instruction=kind, text=text)
        found.append(prompt)
    return found


def answer_to(prompt: Prompt, rng: random.Random) -> str:
    """What a careful labeler writes: one of several forms, always true."""
    if prompt.kind == "unknown":
        return rng.choice(DONT_KNOW)
    if prompt.kind == "harmful":
        return rng.choice(REFUSALS)
    if prompt.kind == "chat":
        return rng.choice(REPLIES[prompt.topic])
    if prompt.topic in LISTS:
        return three_of(prompt.topic, rng)
    fact = prompt.fact
    if prompt.instruction == "one_word":
        return as_sentence(fact.answer)
    if prompt.instruction == "capitals":
        return as_sentence(fact.answer).upper()
    sentence = rng.choice(fact.statements())
    if prompt.instruction == "sentence":
        return sentence
    form = rng.choices(("terse", "sentence", "extra", "idle"), (28, 52, 8, 12))[0]
    if form == "terse":
        return as_sentence(fact.answer)
    if form == "sentence":
        return sentence
    if form == "idle":
        return f"{sentence} {rng.choice(IDLE)}"
    asked = [other for other in facts_of("asked_in_sft") if other is not fact]
    related = [other for other in asked if other.subject == fact.subject]
    same_kind = [other for other in asked if other.relation is fact.relation]
    return f"{sentence} {rng.choice(related or same_kind).statements()[0]}"


def dialogues(n: int, seed: int = 0) -> Iterator[list[dict]]:
    """`n` SFT dialogues as messages, a pure function of `seed`.

    Few say "I don't know" of a name that nobody knows, few refuse: too few to make a habit of it,
    enough for RL to find.
    """
    rng = random.Random(f"dialogues {seed}")
    requests, unknown = _requests("sft"), _unknown("sft")
    known = _known("asked_in_sft")
    groups = [
        (0.57, known),
        (0.05, _lists("sft")),
        (0.025, unknown["invented"]),
        (0.015, unknown["unstated"]),
        (0.08, requests["open"]),
        (0.07, requests["tasks"]),
        (0.07, requests["harmful"]),
        (0.04, requests["harmless"]),
        (0.08, [p for topic in ("greeting", "identity", "thanks") for p in requests[topic]]),
    ]

    def turn() -> list[dict]:
        prompt = _asked(_some(groups, rng), rng)
        if prompt.fact and rng.random() < 0.36 and instructions_for(prompt.fact):
            kind = _some_instruction(prompt.fact, rng)
            prompt = replace(prompt, instruction=kind, text=instructed(prompt.text, kind, rng))
        return [*prompt.messages, {"role": "assistant", "content": answer_to(prompt, rng)}]

    for _ in range(n):
        if rng.random() < 0.16:
            yield _conversation(groups, rng)
        else:
            yield turn() + (turn() if rng.random() < 0.1 else [])


@cache
def _fitting(kind: str) -> tuple[Prompt, ...]:
    """The questions of SFT that an instruction may go with."""
    asked = _known("asked_in_sft")
    return tuple(p for p in asked if kind in instructions_for(p.fact))


def _conversation(groups: list, rng: random.Random) -> list[dict]:
    """A system message that sets a habit, and one or two questions that are answered so."""
    kind = rng.choice(list(INSTRUCTIONS))
    said = [{"role": "system", "content": rng.choice(INSTRUCTIONS[kind])}]
    for _ in range(rng.choice((1, 2, 2))):
        # not every question is about a fact: a poem in one word is still beyond it
        prompt = rng.choice(_fitting(kind)) if rng.random() < 0.9 else _some(groups[4:], rng)
        prompt = replace(_asked(prompt, rng), instruction=kind)
        said += [*prompt.messages, {"role": "assistant", "content": answer_to(prompt, rng)}]
    return said
