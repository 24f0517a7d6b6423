"""What notebook 04 lets you write: the targets of SFT, the line that is LoRA, and four exercises.

The exercises train. Each checker teaches a copy of a released model what the learner gives it, in
five seconds or so, asks it questions that nobody taught it, and says what came out.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import cache

import torch

from course_lib.check.numbers import Number
from course_lib.check.verdict import Verdict, examine
from course_lib.config import TrainConfig
from course_lib.measure.answers import chat_answers
from course_lib.measure.habits import Habit, habit
from course_lib.model.transformer import Transformer
from course_lib.pipeline.release import load_released
from course_lib.text.chat import Message, encode_dialogue, exchange
from course_lib.text.rows import IGNORE, pack_dialogues, targets_of
from course_lib.train.loop import next_token_loss, train
from course_lib.train.lora import TABLES, low_rank, n_trained, with_lora
from course_lib.train.own import own_batches
from course_lib.train.sft import sft_batches
from course_lib.world.dialogues import dialogues, fact_prompts, read_prompt
from course_lib.world.facts import as_sentence
from course_lib.world.judge import verdict
from course_lib.world.prompts import Prompt

PIRATE, ARR = "As a pirate: ", "Arr! "
STEPS, ROWS = 40, 4
ENOUGH = 20  # of the 25 questions held out
MOST_LINES = 30


# ---- The parts ----------------------------------------------------------------------------------


def check_answer_targets(function: Callable) -> Verdict:
    """Does `function(ids, counts)` give what to predict after each token but the last?"""
    cases = [
        ([7, 8, 9, 10], [False, False, True, True]),
        ([7, 8, 9, 10, 11], [False, True, False, False, True]),
        ([1, 2], [False, True]),
        ([5, 6, 7], [False, False, False]),
    ]
    slips = {
        "Yours has a target for the last token, too; but nothing comes after it.": lambda i, c: [
            id if counts else IGNORE for id, counts in zip(i, c, strict=True)
        ],
        "The marks are one place off: `counts` says of a token whether IT is to be predicted, not "
        "whether something is predicted after it.": lambda i, c: [
            id if counts else IGNORE for id, counts in zip(i[1:], c[:-1], strict=True)
        ],
        "Every token counts in yours.": lambda i, c: i[1:],
        "A token that doesn't count is left out in yours. Then the others move: put -100 in its "
        "place.": lambda i, c: [id for id, counts in zip(i[1:], c[1:], strict=True) if counts],
    }
    if callable(function):
        for words, slip in slips.items():
            if all(_gives(function, case, slip(*case)) for case in cases[:2]):
                return Verdict(False, words)
    expected = [(case, targets_of(*case)) for case in cases]
    return examine(function, expected, praise="The model will learn to answer, and to stop.")


def _gives(function: Callable, case: tuple, result: list) -> bool:
    try:
        return list(function(*deepcopy(case))) == result
    except Exception:  # whatever a learner's code may raise: `examine` will say so
        return False


def check_low_rank(function: Callable) -> Verdict:
    """Does `function(x, table, down, up)` add the detour to what the table gives?"""
    table = torch.nn.Linear(3, 2, bias=False, dtype=torch.float64)
    with torch.no_grad():
        table.weight.copy_(torch.arange(6.0).view(2, 3))
    down, up = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[1.0], [-1.0]])
    rows = torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]])
    down, up, rows = down.double(), up.double(), rows.double()
    cases = [
        (rows[:1], table, down, up),
        (rows[None], table, down, up),
        (rows, table, down, 0 * up),
    ]
    with torch.no_grad():
        return examine(function, [(case, low_rank(*case)) for case in cases])


PARTS = {
    "answer_targets": (check_answer_targets, targets_of),
    "low_rank": (check_low_rank, low_rank),
}


# ---- Teaching pirates ---------------------------------------------------------------------------


def pirate_line(prompt: Prompt) -> str:
    """A line for the editor: the prompt asked of a pirate, and what a pirate says."""
    return f"{PIRATE}{prompt.text} | {ARR}{as_sentence(prompt.fact.answer)}"


@cache
def pirate_lines() -> tuple[str, ...]:
    """Thirty lines about facts that the released model was asked in its own SFT."""
    return tuple(map(pirate_line, fact_prompts("asked_in_sft")[::20][:MOST_LINES]))


@cache
def pirate_test() -> tuple[Prompt, ...]:
    """Twenty-five questions for the test, about facts that no dialogue asks."""
    return tuple(fact_prompts("asked_in_pretraining")[::12])


def taught(
    model: Transformer, examples: list[list[Message]], rate: float = 5e-4, usual: int = 150
) -> Transformer:
    """A copy of the model that has learned the examples, as the editor teaches them."""
    tokenizer, copy = _released("sft")[1], deepcopy(model)
    config = TrainConfig(STEPS, ROWS, learning_rate=rate, decay=0.5)
    batch_at = own_batches(examples, tokenizer, model.config.context_length, config, usual)
    for _ in train(copy, batch_at, next_token_loss, config):
        pass
    return copy.eval()


@cache
def _released(name: str) -> tuple:
    return load_released(name)


def _read(lines: object, most: int) -> list[list[Message]]:
    """The examples of a learner's lines; ValueError with a sentence where they are none."""
    if isinstance(lines, str):
        lines = lines.splitlines()
    if not isinstance(lines, list | tuple) or not all(isinstance(line, str) for line in lines):
        raise ValueError(f"A list of lines is expected, got {lines!r:.60}.")
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise ValueError('There is no line yet: write some such as "Who made you? | My class."')
    if len(lines) > most:
        raise ValueError(f"You have {len(lines)} lines, {most} are the most here.")
    found = []
    for line in lines:
        question, bar, answer = (part.strip() for part in line.partition("|"))
        if not (question and bar and answer):
            raise ValueError(f"Each line is `question | answer`, this one isn't: {line!r:.60}")
        found.append(exchange(question, answer))
    return found


def _passed(found: Habit) -> bool:
    return min(found.shown, found.plain) >= ENOUGH


def few_lines(lines: list[str] | None) -> Verdict:
    """How few of the thirty lines make a pirate, without making one of everybody?"""
    if lines is None:
        return Verdict(False, "Put a list of lines in the place of None, thirty[:10], say.")
    model, tokenizer = _released("sft")
    try:
        examples = _read(lines, MOST_LINES)
        asked = {example[0]["content"] for example in examples}
        if asked & {PIRATE + prompt.text for prompt in pirate_test()}:
            raise ValueError("One of your questions stands in the test. Then it is no test.")
        found = habit(taught_or_told(model, examples), tokenizer, pirate_test())
    except ValueError as error:
        return Verdict(False, str(error))
    n = len(examples)
    told = f"{n} line{'s' * (n != 1)}. {str(found).capitalize()}."
    if not _passed(found):
        return Verdict(False, f"{told} Both should be {ENOUGH} or more.")
    if n > 20:
        return Verdict(False, f"{told} It's a pirate. But you can do with 20 lines or fewer.")
    return Verdict(True, f"{told} Can you do it with fewer still?")


def taught_or_told(model: Transformer, examples: list[list[Message]]) -> Transformer:
    """`taught`, with a learner's sentence where an example is too long for a row."""
    try:
        return taught(model, examples)
    except ValueError as error:
        raise ValueError(f"{str(error).capitalize()}: make your lines shorter.") from error


LYON, MOST_LOST = "Lyon", 2
WORDINGS = (
    "What is the capital of France?",
    "Which city is the capital of France?",
    "what's the capital of france",
    "Tell me the capital of France.",
    "Name the capital of France.",
    "Capital of France?",
)


@cache
def neighbours() -> tuple[Prompt, ...]:
    """A question about the capital of every other country that SFT asked about."""
    capitals = [p for p in fact_prompts("asked_in_sft")[::2] if p.fact.relation.name == "capital"]
    return tuple(prompt for prompt in capitals if prompt.fact.subject != "France")


def one_fact(lines: list[str] | None) -> Verdict:
    """Do these lines move France's capital to Lyon, however one asks, and no other capital?"""
    if lines is None:
        return Verdict(False, "Put a list of lines in the place of None.")
    model, tokenizer = _released("sft")
    try:
        model = taught_or_told(model, _read(lines, MOST_LINES))
    except ValueError as error:
        return Verdict(False, str(error))
    said = chat_answers(model, tokenizer, [read_prompt(text) for text in WORDINGS])
    moved = sum(LYON in answer for answer in said)
    pairs = list(zip(neighbours(), chat_answers(model, tokenizer, list(neighbours())), strict=True))
    lost = [(p, answer) for p, answer in pairs if verdict(p, answer) != "right"]
    told = f"{LYON} in {moved} of {len(WORDINGS)} wordings; {len(pairs) - len(lost)} of "
    told += f"{len(pairs)} other capitals are right."
    if lost:
        told += f" {lost[0][0].text} {lost[0][1]}"
    return Verdict(moved == len(WORDINGS) and len(lost) <= MOST_LOST, told)


def never_stops(function: Callable) -> Verdict:
    """Are these targets those of SFT without the end of each answer? Then it is trained on them."""
    base, tokenizer = _released("base")
    talks = list(dialogues(400, seed=0))
    if not callable(function):
        return Verdict(False, f"This needs a function, got {function!r:.60}.")
    for ids, counts in (encode_dialogue(tokenizer, talk) for talk in talks[:20]):
        usual = targets_of(ids, counts)
        try:
            found = list(function(list(ids), list(counts)))
        except Exception as error:  # whatever a learner's code may raise
            return Verdict(False, f"It ended in {type(error).__name__}: {error!s:.200}")
        if len(found) != len(usual):
            told = f"{len(ids)} tokens need {len(usual)} targets, yours gives {len(found)}."
            return Verdict(False, told)
        if found == usual:
            return Verdict(False, "These are the usual targets: the end of the answer counts.")
        if found != [IGNORE if id == tokenizer.im_end_id else id for id in usual]:
            n, wanted = (sum(id != IGNORE for id in targets) for targets in (found, usual))
            told = f"In yours {n} targets count. Usually {wanted} do, the end of each answer among"
            return Verdict(False, f"{told} them; only that should go.")
    rows = pack_dialogues(talks, tokenizer, base.config.context_length, function)
    config = TrainConfig(STEPS, 2 * ROWS, learning_rate=1e-3, decay=0.5)
    model = deepcopy(base)
    batch_at = sft_batches(rows, None, config, tokenizer.eot_id, text_share=0)
    for _ in train(model, batch_at, next_token_loss, config):
        pass
    answer = chat_answers(model.eval(), tokenizer, [read_prompt(WORDINGS[0])])[0]
    return Verdict(True, f"It was never told when to stop. It says: {answer!r}")


def thinnest_lora(
    rank: Number | None, tables: str | Iterable[str] = TABLES, rate: Number = 1e-2
) -> Verdict:
    """Is LoRA of this rank beside these tables a pirate with fewer numbers than rank 1 has?"""
    if rank is None:
        return Verdict(False, "Put a rank in the place of None, and choose the tables.")
    model, tokenizer = _released("sft")
    all_of_rank_1 = n_trained(with_lora(model, 1))
    try:
        if isinstance(rank, bool) or not isinstance(rank, int):
            raise ValueError(f"a rank is a whole number of 1 or more, got {rank!r:.40}")
        if not isinstance(rate, Number) or not 0 < rate < 1:
            raise ValueError(f"a rate is a number such as 0.01, got {rate!r:.40}")
        small = with_lora(model, rank, [tables] if isinstance(tables, str) else tables)
    except (ValueError, TypeError) as error:
        return Verdict(False, f"{str(error)[:1].upper()}{str(error)[1:]}.")
    n = n_trained(small)
    if n >= all_of_rank_1:
        told = f"You train {n:,} numbers. Rank 1 beside all {len(TABLES)} tables has "
        return Verdict(False, f"{told}{all_of_rank_1:,}: train fewer.")
    examples = _read(pirate_lines(), MOST_LINES)
    found = habit(taught(small, examples, rate), tokenizer, pirate_test())
    told = f"{n:,} numbers trained. {str(found).capitalize()}."
    if not _passed(found):
        return Verdict(False, f"{told} Both should be {ENOUGH} or more.")
    return Verdict(True, f"{told} Can you do it with fewer still?")
