"""From what people prefer to a model that does it.

Read `preferences`, `reward` and `rlhf` in this order: rankings become pairs, pairs train a reward
model, and PPO or GRPO train the language model against it. `dpo` takes the short cut. Nothing here
may look at the world: no algorithm sees the gold reward that we judge it by.
"""
