"""What notebook 02 asks its readers to write, the course's own, and its exercises.

A checker says what is wrong with an answer, and never what to write.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.check.anatomy import base
from course_lib.check.verdict import Verdict, examine
from course_lib.config import GREEDY
from course_lib.measure.log_probs import document_log_probs
from course_lib.model.sample import generate, keep_top_p, next_token_probs, renormalise
from course_lib.pipeline.release import load_released
from course_lib.text import tokenizer as bpe
from course_lib.text.chat import decode_answer, encode_prompt
from course_lib.world.dialogues import read_prompt
from course_lib.world.judge import verdict

SENTENCE = "In that match Virat Kohli hit a"
FEWEST_WORDS, MOST_BITS = 22, 41  # of a report: greedy's has 23 words and costs about 88 bits
Ids = list[int]
Pick = Callable[[Tensor], int]


# ---- The parts: what `use` takes, and the course's own ------------------------------------------


def merge(ids: Ids, pair: tuple[int, int], new_id: int) -> Ids:
    """`ids` with each `pair` replaced by `new_id`."""
    return bpe.merge(ids, pair, new_id)


def write(ids: Ids, pick: Pick, most: int = 60) -> Ids:
    """`ids` and at most `most` more, each picked from what the base model expects; then the end."""
    model, tokenizer = base()
    ids = list(ids)
    for _ in range(most):
        ids.append(int(pick(next_token_probs(model, ids))))
        if ids[-1] == tokenizer.eot_id:
            break
    return ids


def likeliest(probs: Tensor) -> int:
    """The greedy pick."""
    return probs.argmax().item()


def unlikely(probs: Tensor) -> int:
    """Another pick, so that one can see whether `write` uses the one that it gets."""
    return probs.topk(3).indices[2].item()


def check_merge(function: Callable) -> Verdict:
    """Does `function(ids, pair, new_id)` join each occurrence of the pair, from left to right?"""
    cases = [
        ([1, 2], (1, 2), 9),
        ([1, 2, 3, 1, 2], (1, 2), 9),
        ([7, 1, 2, 1], (1, 2), 9),
        ([3, 1, 3], (1, 2), 9),
        ([1, 1, 1], (1, 1), 9),
        ([], (1, 2), 9),
        ([2, 1, 2, 1], (1, 2), 9),
    ]

    def slip(ids: Ids, pair: tuple[int, int], new_id: int, found: Ids) -> str:
        if not isinstance(found, list):
            return "A list of ids is expected."
        if len(found) > len(bpe.merge(ids, pair, new_id)):
            return "There is a pair left in it."
        if len(found) < len(bpe.merge(ids, pair, new_id)):
            return "Something got lost. A token can be in one pair only, and the last one counts."
        return "Left and right matter: a pair has an order."

    return _compared(function, merge, cases, slip)


def check_write(function: Callable) -> Verdict:
    """Does `function(ids, pick, most)` pick, append and ask again, until the text ends?"""
    tokenizer = base()[1]
    end = tokenizer.eot_id
    start = [end, *tokenizer.encode(SENTENCE)]
    cases = [
        (start, likeliest, 3),
        (start, unlikely, 5),
        (start, likeliest, 60),
        (start, lambda probs: end, 4),
    ]

    def slip(ids: Ids, pick: Pick, most: int, found: Ids) -> str:
        if not isinstance(found, list):
            return "A list of ids is expected."
        if found[: len(ids)] != ids:
            return "The text that it began with should stand in front."
        if len(found) > len(ids) + most:
            return f"{most} new tokens at most were asked for."
        if end in found[len(ids) : -1]:
            return "It goes on writing after the end of its text."
        if pick is not likeliest and found == write(ids, likeliest, most):
            return "It makes its own choice, whatever `pick` says."
        right = write(ids, pick, most)
        if right[-1] == end and found == right[:-1]:
            return "The text is all there, but its end is missing. It was picked, too."
        if len(found) < len(right):
            return "It stops too early."
        if not all(isinstance(id, int) for id in found):
            return "Each id should be a whole number."
        return "What is the model asked each time? Its answer depends on all that was written."

    return _compared(function, write, cases, slip, brief=True)


def _compared(
    function: Callable, ours: Callable, cases: list[tuple], slip: Callable, brief: bool = False
) -> Verdict:
    """The verdict on a function of lists; `slip(*case, found)` says what is wrong with a result."""
    if not callable(function):
        return Verdict(False, f"This needs a function, got {function!r:.60}.")
    name = getattr(function, "__name__", "it")
    for case in cases:
        right = ours(*case)
        try:
            copies = [list(each) if isinstance(each, list) else each for each in case]
            found = function(*copies)
            same = type(found) is list and found == right
        except NotImplementedError:
            return Verdict(False, f"{name} isn't written yet.")
        except Exception as error:  # whatever a learner's code may raise
            return Verdict(False, f"{name} ended in {type(error).__name__}: {error!s:.200}")
        if copies[0] != case[0]:
            return Verdict(False, f"{name} changes the list that it was given. Work on a copy.")
        if not same:
            given = "" if brief else f"{name}{case} gives {found!r:.60}. "
            return Verdict(False, given + slip(*case, found))
    return Verdict(True, f"It agrees with the course's own in all {len(cases)} cases.")


PARTS = {"merge": (check_merge, merge), "write": (check_write, write)}


# ---- The exercises at the end -------------------------------------------------------------------


def cheapest(report: str | None) -> Verdict:
    """Is `report` one that begins with the sentence, is long enough, and hardly surprises?"""
    if report is None:
        return Verdict(False, "Put your report, in quotes, in the place of None.")
    if not isinstance(report, str):
        return Verdict(False, f"A text in quotes is expected, got {report!r:.60}.")
    if not report.startswith(SENTENCE + " "):
        return Verdict(False, f"It has to begin with “{SENTENCE} ”, letter for letter.")
    n_words = len(report.split())
    if n_words < FEWEST_WORDS:
        return Verdict(False, f"{n_words} words: it takes {FEWEST_WORDS} or more.")
    try:
        bits = -document_log_probs(*base(), [report])[0] / math.log(2)
    except ValueError as error:
        return Verdict(False, f"The model can't read that: {error}.")
    told = f"{n_words} words for {bits:.1f} bits."
    if bits > MOST_BITS:
        return Verdict(False, f"{told} Greedy's costs about 88; get below {MOST_BITS}.")
    return Verdict(True, f"{told} Can anybody do with fewer?")


def answer(question: str) -> str:
    """What the released assistant (RLHF) says, always picking the likeliest token."""
    model, tokenizer = load_released("rlhf")
    prompt = encode_prompt(tokenizer, [{"role": "user", "content": question}])
    ids = generate(model, [prompt], 60, GREEDY, stop=tokenizer.end_ids)[0]
    return decode_answer(tokenizer, ids)


def spelling_trap(first: str | None, second: str | None, fact: str | None) -> Verdict:
    """Is one spelling of a question answered right, and the other not? `fact` is in the right one.

    What is right the world knows, so it must know the question in one of the spellings.
    """
    texts = (first, second, fact)
    if None in texts:
        return Verdict(False, "Put two questions and the right answer in the places of None.")
    if not all(isinstance(text, str) and text.strip() for text in texts):
        return Verdict(False, f"Three texts in quotes are expected, got {texts!r:.80}.")
    letters = ["".join(filter(str.isalnum, text)).casefold() for text in (first, second)]
    if letters[0] != letters[1]:
        return Verdict(False, "Only capitals, spaces and marks may differ, and here letters do.")
    if first == second:
        return Verdict(False, "These are the very same question.")
    try:
        told = [answer(text) for text in (first, second)]
    except ValueError as error:
        return Verdict(False, f"The model can't read that: {error}.")
    both = f"It says “{told[0]}” and “{told[1]}”"
    named = [fact.casefold() in text.casefold() for text in told]
    if named[0] == named[1]:
        which = "both" if named[0] else "neither"
        return Verdict(False, f"{both}: “{fact}” is in {which} of them.")
    known = [prompt for prompt in map(read_prompt, (first, second)) if prompt.kind == "known"]
    if not known:
        return Verdict(False, f"{both}. Is one of them right? The world can't say: ask for a fact.")
    right = [verdict(known[0], text) == "right" for text in told]
    if right != named:
        which = "both are right" if all(right) else "the one with it isn't right"
        return Verdict(False, f"{both}. Only one has “{fact}”, but {which}.")
    steps = _apart(first, second)
    return Verdict(
        True, f"{both}. The two questions are {steps} keystroke{'s'[: steps > 1]} apart."
    )


def _apart(first: str, second: str) -> int:
    """The fewest letters to add, drop or exchange that make one text the other (Levenshtein)."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def top_p(function: Callable) -> Verdict:
    """Does `function(probs, p)` keep the fewest likeliest that reach p, scaled to a sum of 1?"""
    rows = [
        ([0.45, 0.3, 0.2, 0.05], 0.7),
        ([0.45, 0.3, 0.2, 0.05], 0.8),
        ([0.05, 0.2, 0.45, 0.3], 0.8),  # the likeliest need not come first
        ([0.45, 0.3, 0.2, 0.05], 0.1),  # one always stays
        ([0.45, 0.3, 0.2, 0.05], 1.0),
    ]
    # float64, so that rounding can't be mistaken for an error
    probs = [(torch.tensor(row, dtype=torch.float64), p) for row, p in rows]
    cases = [((row, p), renormalise(keep_top_p(row, p))) for row, p in probs]
    return examine(function, cases, praise="Few where the model is sure, many where it isn't.")


def encode(function: Callable) -> Verdict:
    """Does `function(word, merges)` give the tokens that a tokenizer with these merges gives?"""
    few = [(ord("u"), ord("c")), (ord("c"), ord("k")), (ord("h"), 256), (257, ord("s"))]
    merges = base()[1].merges
    words = ["", "x", "chuck", "cucks", "duck"]
    cases = [((word, few), _encoded(word, few)) for word in words]
    known = [" Kohli", " century", "strawberry", " woodchuck", "ਪੰਜਾਬ"]
    cases += [((word, merges), _encoded(word, merges)) for word in known]
    return examine(function, cases, praise=f"All {len(cases)} words come out as the tokenizer's.")


def _encoded(word: str, merges: list[tuple[int, int]]) -> Ids:
    return bpe.Tokenizer(merges).encode(word)
