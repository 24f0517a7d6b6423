"""What a model knows, beside the truth.

`log_probs` asks a model how likely texts, answers and words are; `held_out` turns that into a loss
beside the floor, `choice_points` into probabilities beside the true ones. `answers` lets it speak,
and `card` puts everything on one report card. `compress` and `damage` ask in other ways.
"""
