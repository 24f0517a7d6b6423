"""The true probabilities of the next token, to hold a model's against.

The grammar knows words, a model knows tokens. A token's true probability is that of all the words
whose tokens begin with it. Left out: texts that no document of the world begins with, about which
there is no truth to tell.
"""

from course_lib.text.tokenizer import Tokenizer
from course_lib.world.documents import world_grammar
from course_lib.world.grammar import END, split_words


def true_next_tokens(tokenizer: Tokenizer, prefix: str) -> dict[int, float]:
    """P(next token | the document starts with the tokens of `prefix`), the most probable first.

    Empty when no document of the world starts so. If `prefix` ends inside a word, then only those
    words count whose tokens begin with the tokens of that piece: after " b" can come "all", but not
    "at" if " bat" is one token. So nothing can follow a space at the end: it belongs to the next
    word's first token.

    >>> true_next_tokens(tokenizer, "In that match Virat Kohli hit a")  # ids of six, century, ...
    {512: 0.45, 700: 0.3, 493: 0.2, 276: 0.05}
    """
    fragment = (split_words(prefix) or [""])[-1]
    before = tokenizer.encode(fragment)
    found: dict[int, float] = {}
    for word, p in world_grammar().next_word(prefix).items():
        ids = [tokenizer.eot_id] if word == END else tokenizer.encode(fragment + word)
        if word != END and ids[: len(before)] != before:
            continue
        token = ids[0] if word == END else ids[len(before)]
        found[token] = found.get(token, 0.0) + p
    total = sum(found.values())
    return {id: p / total for id, p in sorted(found.items(), key=lambda item: -item[1])}
