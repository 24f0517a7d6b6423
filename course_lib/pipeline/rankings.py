"""Asking for rankings: who ranks which answers, and how well did a reward model learn from them?

This isn't in `align`, because it knows of what kind a prompt is. Only the world knows that; the
algorithms in `align` see nothing but text.
"""

import math
import random
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from course_lib.align.preferences import Preference, Ranking, collect
from course_lib.align.reward import RewardModel, pair_accuracy
from course_lib.config import Sampling
from course_lib.measure.answers import chat_answers
from course_lib.model.transformer import Transformer
from course_lib.pipeline.recipe import RewardStage
from course_lib.text.tokenizer import Tokenizer
from course_lib.world.annotators import gold
from course_lib.world.prompts import Prompt


def ask(
    model: Transformer, tokenizer: Tokenizer, prompts: list[Prompt], n: int, seed: int
) -> tuple[list[str], list[str]]:
    """`n` sampled answers to each prompt: the prompt of each answer as text, and the answers."""
    copies = [prompt for prompt in prompts for _ in range(n)]
    answers = chat_answers(model, tokenizer, copies, Sampling(seed=seed))
    return [prompt.text for prompt in copies], answers


def with_strangers(
    groups: Iterable[list[str]], kinds: Sequence[str], n: int, rng: random.Random
) -> list[list[str]]:
    """Each group of answers with `n` strangers added: answers to prompts of a random kind.

    `kinds` are those of the groups' prompts. Why strangers? The SFT model says "I don't know"
    almost only where that is right. A reward model that never saw it in the wrong place takes it
    for good everywhere, and RL obeys.
    """
    groups, by_kind = list(groups), defaultdict(list)
    for kind, group in zip(kinds, groups, strict=True):
        by_kind[kind] += group
    names = sorted(by_kind)  # the kind first, then the answer: else the largest kind would win
    return [group + [rng.choice(by_kind[rng.choice(names)]) for _ in range(n)] for group in groups]


def ranked(
    prompts: list[Prompt],
    sampled: list[str],
    stage: RewardStage,
    rng: random.Random,
    rank: Callable[[str, list[str]], Ranking],
) -> list[Preference]:
    """The pairs from one ranking per prompt: of the answers to it, and of a few strangers."""
    n = stage.answers
    groups = [sampled[start : start + n] for start in range(0, len(sampled), n)]
    groups = with_strangers(groups, [prompt.kind for prompt in prompts], stage.strangers, rng)
    return collect([prompt.text for prompt in prompts], groups, rank)


def parted(
    pairs: list[Preference], stage: RewardStage
) -> tuple[list[Preference], list[Preference]]:
    """Two parts: the pairs that are only asked about afterwards, and those to learn from.

    Cut by prompt: all pairs of one prompt are on one side.
    """
    held_back, learned = [], []
    for pair in pairs:
        asked = zlib.crc32(str(pair.prompt).encode()) % stage.held_back == 0
        (held_back if asked else learned).append(pair)
    return held_back, learned


def pair_metrics(model: RewardModel, pairs: list[Preference], noise: float) -> dict[str, float]:
    """How often the reward model is right about pairs that it never saw, beside what is possible.

    `pair_accuracy`: it agrees with the annotators, who are noisy. So even the gold reward agrees
    with them only in `gold_accuracy` of the pairs (equally good answers count as a half), where
    `noise_ceiling` was to be expected. `gold_order`: it agrees with the gold reward itself, counted
    where that prefers one. (A test's tiny sample may have no such pair, and then no `gold_order`.)
    """
    gaps = [gold(pair.prompt, pair.chosen) - gold(pair.prompt, pair.rejected) for pair in pairs]
    decided = [
        pair if gap > 0 else Preference(pair.prompt, pair.rejected, pair.chosen)
        for pair, gap in zip(pairs, gaps, strict=True)
        if gap
    ]
    found = {
        "pair_accuracy": pair_accuracy(model, pairs),
        "gold_accuracy": sum(0.5 + 0.5 * ((gap > 0) - (gap < 0)) for gap in gaps) / len(gaps),
        "noise_ceiling": sum(1 / (1 + math.exp(-abs(gap) / noise)) for gap in gaps) / len(gaps),
    }
    return found | ({"gold_order": pair_accuracy(model, decided)} if decided else {})
