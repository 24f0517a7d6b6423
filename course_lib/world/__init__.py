"""A small world that writes its own internet, and knows the probability of every word in it.

Start with `facts` (what is true), then `documents` (what is written about it) and `grammar` (how
probable is that, exactly?). `dialogues` holds what people ask, `judge` reads the answers, and
`annotators` are the people who like one better than the other. `truth` speaks in a model's tokens.
This room is why we can put the truth beside the model.
"""
