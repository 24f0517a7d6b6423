"""The Transformer, and how its scores become text.

Read `transformer` first, then `sample`. Neither knows text, training or files: ids in, ids out.
"""
