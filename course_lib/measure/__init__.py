"""What does a model know, and how far is it from the truth?

Read `log_probs` first: how likely does a model find a text, an answer, a word? `held_out` turns
that into a loss beside the floor, `choice_points` into probabilities beside the true ones.
`answers` lets the model speak, and `card` puts all of it on one report card. `compress` and
`damage` ask the same question in other ways: how small does the model make a text, and how much of
it can we break?
"""
