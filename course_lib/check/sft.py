"""The exercises of notebook 04: each checker takes what the learner wrote and returns a verdict."""

import json
from collections.abc import Callable

from course_lib.check.guesses import Number
from course_lib.check.verdict import Verdict
from course_lib.text.chat import exchange


def stop_at(step: Number | None, kept: dict[int, float]) -> Verdict:
    """Is `step` where the run whose shares of right answers are `kept` knew most?"""
    if step is None:
        return Verdict(False, "Put one of the steps in the place of None.")
    if not isinstance(step, Number) or step not in kept:
        return Verdict(False, f"It was measured at the steps {', '.join(map(str, kept))}.")
    best = max(kept, key=kept.get)
    told = f"After {step} steps {kept[step]:.0%} of what no dialogue asked were right"
    if step != best:
        way = "earlier" if step > best else "later"
        return Verdict(False, f"{told}. There is a better moment, {way}.")
    return Verdict(True, f"{told}, more than at any other moment: from there on it forgets.")


def _pieces(*turns: str) -> list[str]:
    """The tokens of a talk, user first: <|im_start|>, role, newline, words, <|im_end|>, newline."""
    found = ["<|endoftext|>"]
    for i, turn in enumerate(turns):
        role = "assistant" if i % 2 else "user"
        found += ["<|im_start|>", role, "\n", *turn.split("/"), "<|im_end|>", "\n"]
    return found


def loss_mask(function: Callable) -> Verdict:
    """Does `function(pieces)` mark each answer and its <|im_end|>, and nothing else?"""
    talks = [
        ("Hi", "Hello/!"),
        ("Who/ are/ you/?", "A/ model/."),
        ("Hi", "Hello/!", "Thanks", "You/ are/ welcome"),
        ("Are you an/assistant/\n/?", "Yes"),  # the word alone begins no answer
        ("Tell me", "An/assistant/\n/helps"),
    ]
    hint = "An answer begins after <|im_start|>, assistant, newline, and ends with its <|im_end|>."
    if not callable(function):
        return Verdict(False, f"This needs a function, got {function!r:.60}.")
    for pieces in (_pieces(*talk) for talk in talks):
        try:
            found = [bool(mark) for mark in function(list(pieces))]
        except Exception as error:  # whatever a learner's code may raise
            return Verdict(False, f"It ended in {type(error).__name__}: {error}. {hint}")
        if len(found) != len(pieces):
            return Verdict(False, f"{len(pieces)} pieces need as many marks, got {len(found)}.")
        wrong = [i for i, mark in enumerate(_truth(pieces)) if found[i] != mark]
        if wrong:
            talk, piece = "".join(pieces), pieces[wrong[0]]
            ought = "should not count" if found[wrong[0]] else "should count"
            return Verdict(False, f"In {talk!r} piece {wrong[0]}, {piece!r}, {ought}. {hint}")
    return Verdict(True, "The model learns to answer, and to stop.")


def _truth(pieces: list[str]) -> list[bool]:
    speaks, mask = False, []
    for i, piece in enumerate(pieces):
        mask.append(speaks)
        if pieces[i - 2 : i + 1] == ["<|im_start|>", "assistant", "\n"]:
            speaks = True
        if piece == "<|im_end|>":
            speaks = False
    return mask


def to_jsonl(function: Callable) -> Verdict:
    """Does `function(pairs)` write a line of JSON for each pair, in the `messages` format?"""
    cases = [
        [("Who made you?", "My class.")],
        [("Hi", "Hello!"), ("What is 1 + 1?", "Two.")],
        [('Say "hi"', "Grüße\nand a new line")],
        [],
    ]
    for pairs in cases:
        try:
            text = function(pairs)
        except Exception as error:  # whatever a learner's code may raise
            return Verdict(False, f"{pairs} ended in {type(error).__name__}: {error}.")
        if not isinstance(text, str):
            return Verdict(False, f"A text was expected, got {text!r:.60}.")
        lines = text.split("\n")
        if lines[-1] or len(lines) != len(pairs) + 1:
            told = f"{len(pairs)} pairs give {len(lines) - 1} lines that end with a newline"
            return Verdict(False, f"{told}: write one for each pair. {text!r:.80}")
        for line, pair in zip(lines, pairs, strict=False):
            try:
                read = json.loads(line)
            except (ValueError, RecursionError) as error:
                return Verdict(False, f"{line!r:.80} is no JSON: {error}. Use json.dumps.")
            if read != {"messages": exchange(*pair)}:
                wanted = json.dumps({"messages": exchange(*pair)}, ensure_ascii=False)
                return Verdict(False, f"{line:.120} should say the same as {wanted:.160}")
    return Verdict(True, "TRL and datasets can read it.")
