"""The whole line: corpus, tokenizer, base model, SFT, reward model, RLHF, the two files.

This is what `python -m course_lib train` runs. `recipe` says what to make, `stages` makes it, and
`rankings` asks who likes which answers better. `release` finds what was made; the notebooks get
their models from its `load_released`. Read `recipe` first: it is a table of contents with numbers.
"""
