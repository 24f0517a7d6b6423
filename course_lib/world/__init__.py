"""A small world that writes its own internet, and knows its every probability.

Start with `facts.py` (what is true), then `documents.py` (what is written about it), `grammar.py`
(how probable it is), `dialogues.py` (what is asked), `judge.py` and `annotators.py` (what a good
answer is).
"""
