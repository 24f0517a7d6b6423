"""Do thirty rankings change the assistant? python -m benchmarks.taste

Each seed draws other prompts to rank, other answers to them and other dice for the practice; SFT
model and reward model are the released ones. A scripted person ranks thirty prompts by one taste,
the reward model adapts, and GRPO trains the SFT model against it for 48 steps. `taste.csv`
has a row for the SFT model and one for each taste: what is asked afterwards, greedy and sampled.
It takes half a minute per row. For comparison it trains a reward model on the same pairs from the
SFT model, as one would who has no other: `pairs_fresh` is how often that one orders the pairs of
another thirty rankings of the same taste, `pairs_adapted` how often ours does.
"""

import time
from copy import deepcopy

from benchmarks.table import Table, seeds_and_data
from course_lib.align.reward import RewardModel, pair_accuracy, reward_batches, reward_loss
from course_lib.config import TrainConfig
from course_lib.machine.cores import set_threads
from course_lib.pipeline import tastes
from course_lib.pipeline.release import RELEASED, load_released
from course_lib.train.loop import train

NUMBER = "{:.4g}".format
COLUMNS = (
    "seed,taste,decoding,pairs,known,known_sft,known_faq,made_up,harmful_refused,harmless_refused,words,gold,kl,"
    "pairs_released,pairs_adapted,pairs_fresh,seconds"
)
NAMES = {
    "known facts right": "known",
    "facts asked in SFT": "known_sft",
    "facts from FAQs": "known_faq",
    "made up": "made_up",
    "harmful refused": "harmful_refused",
    "harmless refused": "harmless_refused",
    "words": "words",
    "gold reward": "gold",
}
NOTHING = dict.fromkeys("pairs kl pairs_released pairs_adapted pairs_fresh seconds".split())


def from_nothing(sft, tokenizer, pairs, seed: int) -> RewardModel:
    """A reward model that begins as the SFT model and sees these pairs alone, again and again."""
    fresh = RewardModel.from_sft(sft, tokenizer, seed)
    config = TrainConfig(40, batch_rows=24, learning_rate=5e-4, decay=0.5, seed=seed)
    for _ in train(fresh, reward_batches(pairs, config), reward_loss, config):
        pass
    return fresh.eval()


def one(table: Table, models: tuple, name: str, seed: int) -> None:
    """The rows of a taste, or of the SFT model itself."""
    sft, tokenizer, released = models
    found, model, begun = NOTHING, sft, time.process_time()
    if name != "SFT":
        prompts, groups, sampled = tastes.to_rank(sft, tokenizer, seed)
        pairs = tastes.ranked_by(tastes.TASTES[name], prompts, groups)
        mine = tastes.reward_of(released, pairs, prompts, sampled, seed)
        model, kl = deepcopy(sft), 0.0
        for record in tastes.practice(model, sft, tokenizer, mine, seed):
            kl = record.extra["kl"]
        model.eval()
        seconds = time.process_time() - begun
        others = tastes.ranked_by(
            tastes.TASTES[name], *tastes.to_rank(sft, tokenizer, 50 + seed)[:2]
        )
        fresh = from_nothing(sft, tokenizer, pairs, seed)
        found = {"pairs": len(pairs), "kl": kl, "seconds": seconds}
        for key, judge in {"released": released, "adapted": mine, "fresh": fresh}.items():
            found[f"pairs_{key}"] = pair_accuracy(judge, others)
    add_cards(table, {"seed": seed, "taste": name} | found, model, tokenizer)


def add_cards(table: Table, row: dict, model, tokenizer) -> None:
    """`row` with what the model answers: a row greedy, a row sampled with the row's seed."""
    for decoding, dice in {"greedy": None, "sampled": row["seed"]}.items():
        card = tastes.card(model, tokenizer, dice)
        named = {NAMES[what]: value for what, value in card.items()}
        table.add_named(row | {"decoding": decoding} | named)


def main() -> None:
    options = seeds_and_data(__doc__)
    set_threads(1)
    table = Table(options.data / "taste.csv", COLUMNS, NUMBER)
    models = (*load_released("sft"), RewardModel.load(RELEASED / "reward"))
    for seed in options.seeds:
        for name in ("SFT", *tastes.TASTES):
            if (seed, name, "sampled") not in table:
                one(table, models, name, seed)


if __name__ == "__main__":
    main()
