"""A verdict on what a learner wrote: right or not yet, the first wrong case, and never a crash."""

import pytest
import torch

from course_lib.check import bottleneck, pretraining, rlhf, sft
from course_lib.check.verdict import Verdict, examine

CASES = [((2, 3), 6), ((0.5, 4), 2.0)]


def test_a_verdict_says_so_in_its_first_word():
    assert repr(Verdict(True, "Well done.")) == "✓ Right. Well done."
    assert repr(Verdict(False, "Look again.")) == "✗ Not yet. Look again."


def test_a_right_function_is_accepted():
    assert examine(lambda a, b: a * b, CASES).ok
    assert examine(lambda a, b: torch.tensor(float(a * b)), CASES).ok


def test_a_wrong_function_is_shown_its_first_wrong_case():
    def add(a, b):
        return a + b

    verdict = examine(add, CASES, hint="Multiply.")

    assert not verdict.ok
    assert verdict.words == "add(2, 3) gives 5, expected 6. Multiply."


@pytest.mark.parametrize(
    "function", [None, lambda a, b: None, lambda a: a, lambda a, b: a / 0, lambda a, b: [a, b]]
)
def test_whatever_a_learner_writes_gets_a_verdict(function):
    assert not examine(function, CASES).ok


@pytest.mark.parametrize(
    ("found", "expected", "ok"),
    [
        ([0.5, 0.5], [0.5, 0.5], True),
        (torch.tensor([0.5, 0.5]), [0.5, 0.5], True),
        ([0.5], [0.5, 0.5], False),
        (0.5, [0.5], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ("six", "six", True),
        (["six"], "six", False),
        (1, True, False),
    ],
)
def test_results_are_compared_by_value(found, expected, ok):
    assert examine(lambda: found, [((), expected)]).ok is ok


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        (pretraining.few_copies, [0.5] * 500_000),
        (pretraining.short_prompt, "{}" + "?" * 500_000),
        (pretraining.hundred_steps, "4" * 500_000),
        (bottleneck.growth_until, "2.4" * 500_000),
        (rlhf.leash, "0.4" * 500_000),
        (sft.few_lines, ["?" * 500_000]),
        (sft.thinnest_lora, "1" * 500_000),
    ],
)
def test_a_verdict_on_an_answer_of_megabytes_is_short(check, answer):
    verdict = check(answer)

    assert not verdict.ok and len(repr(verdict)) < 400


@pytest.mark.parametrize("endless", [float("inf"), float("nan"), [float("-inf"), 1]])
def test_a_number_without_end_gets_a_verdict(endless):
    assert not examine(lambda: endless, [((), 2.0)]).ok


def test_a_table_is_shown_rounded_with_commas_between_its_numbers_only():
    table = torch.tensor([[1000.0, 1.0]])
    assert examine(lambda x: x / 3, [((table,), table / 3)]).ok

    verdict = examine(lambda x: x / 3, [((table,), table)])

    assert verdict.words == "<lambda>([[1000, 1]]) gives [[333, 0.333]], expected [[1000, 1]]."
