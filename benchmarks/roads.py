"""Four roads from one SFT model, short: python -m benchmarks.roads

From the released SFT model, with the released reward model: PPO, GRPO, DPO, and DPO in two rounds.
PPO and GRPO write 576 answers each; DPO reads 576 pairs of a crowd without a weakness, which
ranked answers to 400 other prompts. In its second round the reward model orders answers that the
model gives by then. A seed decides prompts, samples, crowd and dice. `roads.csv` has what is asked
afterwards, greedy and sampled, and the KL. A run takes a quarter of a minute. Rates and prices
are those of earlier lessons; none was tuned.
"""

import random
import time
from copy import deepcopy

from benchmarks.table import Table, seeds_and_data
from benchmarks.taste import add_cards
from course_lib.align.dpo import dpo_batches, dpo_loss
from course_lib.align.preferences import collect, ranking_by
from course_lib.align.reward import RewardModel
from course_lib.align.rlhf import ActorCritic, policy_loss, rollout_batches
from course_lib.config import DPOConfig, GRPOConfig, PPOConfig, TrainConfig
from course_lib.machine.cores import set_threads
from course_lib.pipeline import tastes
from course_lib.pipeline.rankings import ask, with_strangers
from course_lib.pipeline.release import RELEASED, load_released
from course_lib.train.loop import train
from course_lib.world.dialogues import rl_prompts

NUMBER = "{:.4g}".format
COLUMNS = (
    "seed,road,decoding,known,known_sft,known_faq,made_up,harmful_refused,harmless_refused,words,gold,kl,"
    "practice_gold,learned,seconds"
)
STEPS = 24  # of GRPO and PPO, two on each rollout of 48 answers
LOOPS = {
    "GRPO": GRPOConfig(prompts=12, answers=4, kl=0.4),
    "PPO": PPOConfig(prompts=48, kl=0.4),
}
RL_RATE, DPO_RATE, PAIRS = 2e-4, 1e-4, 24
DPO = DPOConfig(beta=0.6, nll=0.2)
ROADS = ("SFT", "GRPO", "PPO", "DPO", "DPO, two rounds")


def by_rl(models: tuple, road: str, seed: int, rate: float = RL_RATE):
    """The policy after PPO or GRPO."""
    sft, tokenizer, reward = models
    loop = LOOPS[road]
    policy = deepcopy(sft) if road == "GRPO" else ActorCritic(deepcopy(sft), reward)
    prompts = [prompt.text for prompt in rl_prompts(1000, seed=7)]
    config = TrainConfig(STEPS, learning_rate=rate, warmup=0.1, decay=0.3, weight_decay=0.0)
    rollouts = rollout_batches(policy, sft, reward, tokenizer, prompts, loop, seed)
    for _ in train(
        policy, rollouts, lambda m, b: policy_loss(m, b, loop), config, together=loop.updates
    ):
        pass
    return policy.actor if road == "PPO" else policy


def by_pairs(models: tuple, rounds: int, seed: int, rate: float = DPO_RATE):
    """The policy after DPO, 24 steps in all."""
    sft, tokenizer, reward = models
    policy, steps = deepcopy(sft), STEPS // rounds
    pairs, _, _ = tastes.crowd(sft, tokenizer, seed, prompts=400)
    for number in range(rounds):
        if number:
            pairs = judged_by(policy.eval(), tokenizer, reward, seed)
        config = TrainConfig(
            steps,
            batch_rows=PAIRS,
            learning_rate=rate,
            warmup=0.1,
            decay=0.3,
            weight_decay=0.0,
            seed=seed + number,
        )
        batches = dpo_batches(sft, tokenizer, pairs, config)
        for _ in train(policy, batches, lambda m, b: dpo_loss(m, b, DPO), config):
            pass
    return policy


def judged_by(policy, tokenizer, reward: RewardModel, seed: int):
    """Pairs of what the policy answers by now, in the order of the reward model."""
    asked, rng = rl_prompts(400, seed=300 + seed), random.Random(seed)
    _, said = ask(policy, tokenizer, asked, 3, seed)
    groups = [said[start : start + 3] for start in range(0, len(said), 3)]
    groups = with_strangers(groups, [prompt.kind for prompt in asked], 2, rng)
    return collect(
        [prompt.text for prompt in asked],
        groups,
        lambda prompt, answers: ranking_by(reward.score([prompt] * len(answers), answers)),
    )


def one(table: Table, models: tuple, road: str, seed: int) -> None:
    """The rows of a road."""
    sft, tokenizer, reward = models
    begun, policy = time.process_time(), sft
    if road in LOOPS:
        policy = by_rl(models, road, seed)
    elif road != "SFT":
        policy = by_pairs(models, 2 if "two" in road else 1, seed)
    policy.eval()
    seconds = time.process_time() - begun
    found = tastes.graded(policy, sft, tokenizer, reward, seed)
    row = {"seed": seed, "road": road, "seconds": seconds, "kl": found["kl"]}
    row |= {"practice_gold": found["gold"], "learned": found["reward"]}
    add_cards(table, row, policy, tokenizer)


def main() -> None:
    options = seeds_and_data(__doc__)
    set_threads(1)
    table = Table(options.data / "roads.csv", COLUMNS, NUMBER)
    models = (*load_released("sft"), RewardModel.load(RELEASED / "reward"))
    for seed in options.seeds:
        for road in ROADS:
            if (seed, road, "sampled") not in table:
                one(table, models, road, seed)


if __name__ == "__main__":
    main()
