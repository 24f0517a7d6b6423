"""The Transformer, and how its scores become text (notebook 02).

Read `transformer` first, then `sample`: ids in, a score for every possible next token out, and then
a die that picks one. Neither file knows what a text is, how the weights were found, or where they
are kept.
"""
