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
from dataclasses import replace
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
    facts_of,
)
from course_lib.world.lists import list_questions, spoken_requests
from course_lib.world.prompts import Prompt, answer_to
from course_lib.world.requests import (
    REPLIES,
    how_tos,
    in_chat,
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
    slipped,
    some_form,
    typed,
    unmarked,
    wordings,
)


def _asked(
    prompt: Prompt, rng: random.Random, held_back: bool = False, chatty: bool = False
) -> Prompt:
    """The same prompt as somebody types it."""
    form = some_form(rng, held_back, chatty)
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
def _known(split: str, spoken: bool = False) -> tuple[Prompt, ...]:
    """Questions in all wordings of training in turn, as many about each fact of a split."""
    return tuple(
        Prompt(text, "known", fact=fact)
        for fact in facts_of(split)
        for text in islice(cycle(wordings(fact, spoken=spoken)), 100 if spoken else 20)
    )


@cache
def _unknown(use: str, spoken: bool = False) -> Mapping[str, tuple[Prompt, ...]]:
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
            for text in _some_wordings(relation, subject, use, spoken)
        )
    return found


def _some_wordings(relation: str, subject: str, use: str, spoken: bool) -> list[str]:
    """The two plain questions in the tests; with `spoken` a dozen, other ones for each subject."""
    texts = questions_about(BY_NAME[relation], subject, spoken=spoken)
    if spoken:
        return random.Random(f"{relation} of {subject}").sample(texts, 12)
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


@cache
def _requests_in_chat(use: str) -> Mapping[str, tuple[Prompt, ...]]:
    """Further small talk, tasks and open questions, as in a chat; the tests have none."""
    found = {
        "tasks": tuple(Prompt(text, "chat", topic="scope") for text in in_chat("tasks", use)),
        "open": tuple(Prompt(text, "unknown", source="open") for text in in_chat("open", use)),
    }
    for topic, texts in small_talk(f"{use}_chat").items():
        found[topic] = tuple(Prompt(text, "chat", topic=topic) for text in texts)
    return found


def _lists(use: str, spoken: bool = False) -> list[Prompt]:
    """Requests to name three of something; the tests have combinations that no training has."""
    asked = list_questions(use == "test") + (spoken_requests() if spoken else [])
    return [Prompt(text, "known", topic=name) for name, text in asked]


# ---- Reading a typed text -----------------------------------------------------------------------


@cache
def _by_text(spoken: bool = False) -> Mapping[str, Prompt]:
    """Every prompt of the world by what its text comes down to; `spoken`: those of a chat."""
    found = {}
    for use in USES:
        requests = _requests_in_chat(use) if spoken else _requests(use)
        for name, group in requests.items():
            # "Hi, nice to meet you" is no question with a greeting before it
            key = unmarked if name in REPLIES else plain
            found |= {key(prompt.text): prompt for prompt in group}
        # no wording has anything that `plain` would take off
        unknown = _unknown(use, spoken and use != "test")
        for prompt in (*unknown["invented"], *unknown["unstated"], *_lists(use, spoken)):
            found[unmarked(prompt.text)] = prompt
    for fact in FACTS:
        for text in (*wordings(fact, spoken=spoken), *wordings(fact, held_back=True)):
            found[unmarked(text)] = Prompt(text, "known", fact=fact)
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
    keys = (unmarked(question), core)
    # those of a chat are many, so they are only looked through where no other fits
    hits = (_by_text(spoken).get(key) for spoken in (False, True) for key in keys)
    found = next(filter(None, hits), None)
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
        "chat": lambda: _talk("test"),
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


def rl_prompts(n: int, seed: int = 0, chatty: bool = False) -> list[Prompt]:
    """Prompts to practise on: known facts that SFT asked, unknown, harmful and chat, in balance.

    `chatty` ones are worded as in a chat, too; see `dialogues`.
    """
    rng = random.Random(f"rl prompts {seed}")
    requests, unknown = _requests("rl"), _unknown("rl", chatty)
    known = _known("asked_in_sft", chatty)
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
        *_shared(0.08 if chatty else 0.05, "rl", "open", chatty),
        (0.13, requests["harmful"]),
        (0.08, requests["harmless"]),
        *_shared(0.05, "rl", "tasks", chatty),
        (0.06, _talk("rl", chatty)),
        (0.03, _lists("rl", chatty)),
    ]
    found = []
    for _ in range(n):
        prompt = _asked(_some(groups, rng), rng, chatty=chatty)
        if prompt.fact and rng.random() < 0.15 and instructions_for(prompt.fact):
            kind = _some_instruction(prompt.fact, rng)
            text = instructed(prompt.text, kind, rng)
            prompt = replace(prompt, instruction=kind, text=text)
        found.append(prompt)
    return found


def _talk(use: str, chatty: bool = False) -> list[Prompt]:
    """Greetings, questions about the model, thanks."""
    groups = (_requests(use), _requests_in_chat(use) if chatty else {})
    topics = ("greeting", "identity", "thanks")
    return [prompt for group in groups for topic in topics for prompt in group.get(topic, ())]


def _shared(weight: float, use: str, name: str, chatty: bool) -> list[tuple]:
    """The group; if `chatty` half of it is as people say it in a chat, and it weighs more."""
    requests = _requests(use)[name]
    if not chatty:
        return [(weight, requests)]
    return [(0.7 * weight, requests), (0.7 * weight, _requests_in_chat(use)[name])]


def dialogues(n: int, seed: int = 0, chatty: bool = False) -> Iterator[list[dict]]:
    """`n` SFT dialogues as messages, a pure function of `seed`.

    Few say "I don't know" of a name that nobody knows, few refuse: too few to make a habit of it,
    enough for RL to find. `chatty` ones are typed as newcomers type: in many more wordings, two
    words or a choice of two among them, and with slips. They take longer to learn.
    """
    rng = random.Random(f"dialogues {seed}")
    requests, unknown = _requests("sft"), _unknown("sft", chatty)
    known = _known("asked_in_sft", chatty)
    groups = [
        (0.45 if chatty else 0.57, known),
        (0.05, _lists("sft", chatty)),
        (0.04 if chatty else 0.025, unknown["invented"]),
        (0.02 if chatty else 0.015, unknown["unstated"]),
        *_shared(0.13 if chatty else 0.08, "sft", "open", chatty),
        *_shared(0.08 if chatty else 0.07, "sft", "tasks", chatty),
        (0.07, requests["harmful"]),
        (0.04, requests["harmless"]),
        (0.1 if chatty else 0.08, _talk("sft", chatty)),
    ]

    def turn() -> list[dict]:
        prompt = _asked(_some(groups, rng), rng, chatty=chatty)
        if chatty and rng.random() < 0.2:
            spared = prompt.fact.subject if prompt.fact else ""
            prompt = replace(prompt, text=slipped(prompt.text, rng, spared))
        if prompt.fact and rng.random() < 0.36 and instructions_for(prompt.fact):
            kind = _some_instruction(prompt.fact, rng)
            prompt = replace(prompt, instruction=kind, text=instructed(prompt.text, kind, rng))
        return [*prompt.messages, {"role": "assistant", "content": answer_to(prompt, rng)}]

    for _ in range(n):
        if rng.random() < 0.16:
            yield _conversation(groups, chatty, rng)
        else:
            yield turn() + (turn() if rng.random() < 0.1 else [])


@cache
def _fitting(kind: str, spoken: bool) -> tuple[Prompt, ...]:
    """The questions of SFT that an instruction may go with."""
    asked = _known("asked_in_sft", spoken)
    return tuple(p for p in asked if kind in instructions_for(p.fact))


def _conversation(groups: list, chatty: bool, rng: random.Random) -> list[dict]:
    """A system message that sets a habit, and one or two questions that are answered so."""
    kind = rng.choice(list(INSTRUCTIONS))
    said = [{"role": "system", "content": rng.choice(INSTRUCTIONS[kind])}]
    for _ in range(rng.choice((1, 2, 2))):
        # not every question is about a fact: a poem in one word is still beyond it
        fitting = rng.random() < 0.9
        prompt = rng.choice(_fitting(kind, chatty)) if fitting else _some(groups[4:], rng)
        prompt = replace(_asked(prompt, rng, chatty=chatty), instruction=kind)
        said += [*prompt.messages, {"role": "assistant", "content": answer_to(prompt, rng)}]
    return said
