"""How big, how much text, and for how many more years (notebooks 01 and 06)?

Start with `sizes`: parameters, and the bytes that they take. Then `laws`: what loss to expect of
how many parameters and tokens, and `forecast` when the text of the world runs out. Nothing here
trains or loads a model. It is all curves through numbers that somebody measured.
"""
