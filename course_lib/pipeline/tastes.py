"""From thirty rankings to a changed assistant: the road of notebook 05, in functions.

`to_rank` asks the SFT model and picks answers that differ; a person, a room or one of `TASTES` puts
them in order. `align.taste.adapted` makes a reward model of that. `practice` trains a policy on it,
and `card` says what has changed. Kept apart: what is ranked, what the policy practises on, and what
is asked afterwards share no prompt.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from itertools import islice

import torch
from torch import Tensor

from course_lib.align.preferences import Preference, Ranking, collect, ranking_by
from course_lib.align.reward import RewardModel
from course_lib.align.rlhf import policy_loss, rollout, rollout_batches
from course_lib.align.taste import adapted
from course_lib.config import GREEDY, GRPOConfig, Sampling, TrainConfig
from course_lib.measure.answers import chat_answers
from course_lib.model.transformer import Transformer
from course_lib.pipeline.rankings import ask, with_strangers
from course_lib.text.tokenizer import Tokenizer
from course_lib.train.loop import TrainRecord, train
from course_lib.train.losses import kl_k1
from course_lib.world.annotators import best_first, gold
from course_lib.world.dialogues import fact_prompts, rl_prompts, test_prompts
from course_lib.world.judge import verdict
from course_lib.world.prompts import Prompt

SAMPLED, SHOWN = 8, 3  # answers to each prompt, and how many of them are ranked
MIX = {"known": 12, "unknown": 10, "harmful": 4, "chat": 4}  # of thirty prompts to rank
# GRPO, cut to half a minute on one core.
LOOP = GRPOConfig(prompts=8, answers=6, kl=0.55)
STEPS, RATE = 48, 3e-4
# What it takes to see it go wrong: a crowd to whom a word more is worth this, and larger steps.
LONG, FAST = 0.4, 5e-4


# ---- Answers to rank, and tastes ----------------------------------------------------------------


def varied(prompt: Prompt, answers: Sequence[str], most: int = SHOWN) -> list[str]:
    """At most `most` different answers, of as many kinds and lengths as there are.

    First one of each kind (right, wrong, declined, ...), its shortest; then the longest of each.
    """
    kinds = defaultdict(list)
    for answer in dict.fromkeys(answers):
        kinds[verdict(prompt, answer)].append(answer)
    for kind in kinds.values():
        kind.sort(key=lambda answer: len(answer.split()))
        kind[1:] = kind[:0:-1]
    longest = max(map(len, kinds.values()))
    rounds = (kind[i] for i in range(longest) for kind in kinds.values() if i < len(kind))
    return list(islice(rounds, most))


def to_rank(
    sft: Transformer, tokenizer: Tokenizer, seed: int = 0
) -> tuple[list[Prompt], list[list[str]], list[str]]:
    """Thirty prompts, up to four answers to each, and all answers that were sampled for that.

    Three of the four are the SFT model's; the last one belongs to another prompt.
    """
    left, prompts = dict(MIX), {}
    for prompt in rl_prompts(1000, seed=100 + seed):
        if left[prompt.kind] and prompt.text not in prompts:
            left[prompt.kind] -= 1
            prompts[prompt.text] = prompt
    asked = list(prompts.values())
    copies = [prompt for prompt in asked for _ in range(SAMPLED)]
    said = chat_answers(sft, tokenizer, copies, Sampling(seed=seed))
    groups = [
        varied(prompt, said[SAMPLED * i : SAMPLED * (i + 1)]) for i, prompt in enumerate(asked)
    ]
    kinds = [prompt.kind for prompt in asked]
    return asked, with_strangers(groups, kinds, 1, random.Random(seed)), said


def shortest(prompt: str, answers: list[str]) -> Ranking:
    """Fewer words are better, whatever they say."""
    return ranking_by([-len(answer.split()) for answer in answers])


def never_dont_know(prompt: str, answers: list[str]) -> Ranking:
    """Anything is better than "I don't know"; all else is as good as all else."""
    return ranking_by([-(verdict(prompt, answer) == "dont_know") for answer in answers])


TASTES = {"shortest": shortest, "never I don't know": never_dont_know}


def ranked_by(
    taste: Callable[[str, list[str]], Ranking], prompts: Sequence[Prompt], groups: list[list[str]]
) -> list[Preference]:
    """The pairs of somebody with this taste."""
    return collect([prompt.text for prompt in prompts], groups, taste)


def reward_of(
    reward_model: RewardModel,
    pairs: list[Preference],
    prompts: Sequence[Prompt],
    sampled: list[str],
    seed: int = 0,
) -> RewardModel:
    """The reward model with the taste of these pairs, on the scale of the SFT model's answers."""
    mine = adapted(reward_model, pairs, seed)
    mine.normalise([prompt.text for prompt in prompts for _ in range(SAMPLED)], sampled)
    return mine


def crowd(
    sft: Transformer, tokenizer: Tokenizer, seed: int = 0, prompts: int = 120, bias: float = 0.0
) -> tuple[list[Preference], list[str], list[str]]:
    """The pairs of simulated people, one for each prompt; and what they read, prompts and answers.

    Each ranks three answers and two strangers by gold, noise, and `bias` for each word.
    """
    asked, rng = rl_prompts(prompts, seed=200 + seed), random.Random(seed)
    copies, said = ask(sft, tokenizer, asked, 3, seed)
    groups = [said[start : start + 3] for start in range(0, len(said), 3)]
    groups = with_strangers(groups, [prompt.kind for prompt in asked], 2, rng)
    pairs = collect(
        [prompt.text for prompt in asked],
        groups,
        lambda prompt, answers: best_first(prompt, answers, rng, length_bias=bias),
    )
    return pairs, copies, said


def talkative(
    sft: Transformer, tokenizer: Tokenizer, reward_model: RewardModel, seed: int = 0
) -> RewardModel:
    """The reward model after 120 rankings by a crowd that likes long answers."""
    pairs, prompts, said = crowd(sft, tokenizer, seed, bias=LONG)
    proxy = adapted(reward_model, pairs, seed, steps=30)
    proxy.normalise(prompts, said)
    return proxy


# ---- Practice -----------------------------------------------------------------------------------


class Scored:
    """A reward in plain Python, `score(prompt, answer)`, in the place of a reward model."""

    def __init__(self, score: Callable[[str, str], float]) -> None:
        self._score = score

    def __call__(self, prompts: list[str], answers: list[str]) -> Tensor:
        return torch.tensor(self.score(prompts, answers))

    def score(self, prompts: list[str], answers: list[str]) -> list[float]:
        """A number for each answer."""
        return [float(self._score(p, a)) for p, a in zip(prompts, answers, strict=True)]


def practice(
    policy: Transformer,
    sft: Transformer,
    tokenizer: Tokenizer,
    reward: RewardModel | Scored,
    seed: int = 0,
    steps: int = STEPS,
    loop: GRPOConfig = LOOP,
    rate: float = RATE,
    watch: Callable[[list[str], list[str]], dict] | None = None,
) -> Iterator[TrainRecord]:
    """GRPO on a thousand prompts against `reward`, on a leash to `sft`; a record per step.

    `policy` begins as a copy of `sft` and changes. `watch` sees the prompts and answers of each
    rollout, and what it returns is recorded; nothing learns from it.
    """
    prompts = [prompt.text for prompt in rl_prompts(1000, seed=7)]
    config = TrainConfig(steps, learning_rate=rate, warmup=0.1, decay=0.3, weight_decay=0.0)
    rollouts = rollout_batches(policy, sft, reward, tokenizer, prompts, loop, seed)

    def loss_of(model, batch):
        loss, n_tokens, extra = policy_loss(model, batch, loop)
        seen = watch(batch.prompts, batch.answers) if watch else {}
        return loss, n_tokens, extra | seen

    return train(policy, rollouts, loss_of, config, together=loop.updates)


@torch.no_grad()
def graded(
    policy: Transformer,
    sft: Transformer,
    tokenizer: Tokenizer,
    reward: RewardModel | Scored,
    seed: int = 0,
) -> dict[str, float]:
    """Learned and gold reward, KL and words of two sampled answers to each of 100 prompts."""
    generator = torch.Generator().manual_seed(seed)
    prompts = [prompt.text for prompt in rl_prompts(100, seed=8)]
    one = GRPOConfig(prompts=len(prompts), answers=2)  # two answers are the least of a group
    batch = rollout(policy, sft, reward, tokenizer, prompts, one, generator)
    return {
        "reward": batch.reward.mean().item(),
        "gold": sum(map(gold, batch.prompts, batch.answers)) / len(batch.answers),
        "kl": kl_k1(batch.log_prob, batch.reference).sum(1).mean().item(),
        "words": sum(len(answer.split()) for answer in batch.answers) / len(batch.answers),
    }


def practised(sft: Transformer, tokenizer: Tokenizer, reward, **options) -> Transformer:
    """A copy of the SFT model after `practice`."""
    policy = deepcopy(sft)
    for _ in practice(policy, sft, tokenizer, reward, **options):
        pass
    return policy.eval()


# ---- The best of several ------------------------------------------------------------------------


def best_of(
    n: int, each: int, rewards: Sequence[float], worths: Sequence[float]
) -> tuple[float, float]:
    """The mean reward and the mean worth of the answer with the highest reward out of each `n`.

    Answers to one prompt are neighbours, `each` of them. Raises a ValueError where `n` doesn't
    divide `each`: a choice would be between answers to different prompts.

    >>> best_of(2, 4, [1.0, 3.0, 2.0, 0.0], [0.5, -1.0, 1.0, 1.0])
    (2.5, 0.0)
    """
    if n < 1 or each % n:
        raise ValueError(
            f"there are {each} answers to each prompt, so n must divide {each}, got {n}: "
            "to choose among more, sample more answers"
        )
    groups = [range(start, start + n) for start in range(0, len(rewards), n)]
    best = [max(group, key=lambda i: rewards[i]) for group in groups]
    means = (sum(column[i] for i in best) / len(best) for column in (rewards, worths))
    return tuple(means)


# ---- Before and after ---------------------------------------------------------------------------

# What is asked afterwards: name -> the prompts, and the verdict that is counted. Facts asked in SFT
# come in wordings that no training had, the others are those that only documents asked.
HELD_OUT = {
    "facts asked in SFT": (lambda: test_prompts("wordings")[::2], "right"),
    "facts from FAQs": (lambda: fact_prompts("asked_in_pretraining")[::2], "right"),
    "made up": (lambda: test_prompts("invented")[::3], "wrong"),
    "harmful refused": (lambda: test_prompts("harmful")[::4], "refusal"),
    "harmless refused": (lambda: test_prompts("harmless")[::4], "refusal"),
}
FACTS = ("facts asked in SFT", "facts from FAQs")


def card(model: Transformer, tokenizer: Tokenizer, seed: int | None = None) -> dict[str, float]:
    """Shares of `HELD_OUT`, and the mean number of words and gold reward over all of its answers.

    "known facts right" is the share of both kinds of facts. Greedy answers; with a `seed`, sampled
    at temperature 1.
    """
    sampling = GREEDY if seed is None else Sampling(seed=seed)
    found, words, golds, known = {}, [], [], []
    for name, (prompts, wanted) in HELD_OUT.items():
        asked = list(prompts())
        said = chat_answers(model, tokenizer, asked, sampling)
        counted = [verdict(*pair) == wanted for pair in zip(asked, said, strict=True)]
        found[name] = sum(counted) / len(counted)
        known += counted if name in FACTS else []
        words += [len(answer.split()) for answer in said]
        golds += map(gold, asked, said)
    found["known facts right"] = sum(known) / len(known)
    return found | {"words": sum(words) / len(words), "gold reward": sum(golds) / len(golds)}
