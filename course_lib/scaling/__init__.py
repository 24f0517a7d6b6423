"""How big a model is, how much it should read, and how long the text lasts.

Start with `sizes` (parameters and bytes), then `laws` (loss against parameters and tokens),
`forecast` (when the text runs out), `overoptimisation` (the true reward when a learned one is
pushed).
"""
