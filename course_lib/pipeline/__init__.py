"""The whole line: corpus, tokenizer, base model, SFT, reward model, RLHF, the two files.

`recipe` says what a run makes, `stages` makes it, `release` finds what was made.
"""
