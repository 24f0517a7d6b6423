"""From what people prefer to a model that does it (notebook 05).

Read `preferences`, `reward` and `rlhf`, in this order: rankings become pairs, pairs train a reward
model, and PPO or GRPO train the language model against it. `dpo` is the short cut, from pairs
straight to the model. Nothing here may look at `world`, where the gold reward is: no algorithm sees
what it is judged by.
"""
