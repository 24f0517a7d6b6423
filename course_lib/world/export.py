"""The grammar as JSON, for a page that computes the truth without Python (`play/truth.js`).

    {"words": [" six", ...], "shares": [[0.6, 0.4], ...], "parts": [part, ...]}

The last of `parts` is the whole grammar, and a part is one of four things:

- a negative number, a word: -1 is the first of `words`;
- a positive number, another part, so many places before this one in `parts`;
- a list of parts, one after the other;
- a list that begins with 0 and n, a choice between the parts that follow. Their probabilities are
  list number n of `shares`, counted from 1; they are equal if n is 0.

A part that occurs once stands where it is needed, only the others have a place in `parts`.
"""

from collections import Counter

from course_lib.world.grammar import Choice, Grammar, Part

DIGITS = 12  # of a probability: its error is far below what anybody computes with it


def grammar_as_json(grammar: Grammar) -> dict:
    """What `json.dumps` writes for a page."""
    # Equal parts become one number each. A node is a tuple of words and numbers, and a choice's
    # begins with its shares.
    numbers: dict[tuple, int] = {}
    known: dict[int, object] = {}  # id of a part -> its word or number

    def number_of(part: Part) -> str | int:
        if isinstance(part, str):
            return part
        if id(part) not in known:
            known[id(part)] = number_of_new(part)
        return known[id(part)]

    def number_of_new(part: Part) -> str | int:
        if isinstance(part, Choice):
            shares = tuple(float(f"{p:.{DIGITS}g}") for p in part.probabilities)
            options = tuple(map(number_of, part.options))
            node = (() if len(set(shares)) == 1 else shares, *options)
        else:
            node = tuple(map(number_of, part.parts))
            if len(node) == 1:
                return node[0]
        return numbers.setdefault(node, len(numbers))

    root = number_of(grammar.root)
    nodes = list(numbers)
    uses = Counter(each for node in nodes for each in node)
    by_use = [word for word, _ in uses.most_common() if isinstance(word, str)]
    words = {word: -1 - i for i, word in enumerate(by_use)}
    shares: dict[tuple, int] = {(): 0}
    places: dict[int, int] = {}
    parts: list[list] = []

    def written(number: int) -> list:
        """The node as a list, in which parts that are used elsewhere are (place,)."""
        row: list = []
        for each in nodes[number]:
            if isinstance(each, tuple):
                row += [0, shares.setdefault(each, len(shares))]
            else:
                row.append(words[each] if isinstance(each, str) else reference(each))
        return row

    def reference(number: int) -> list | tuple[int]:
        if uses[number] == 1:
            return written(number)
        if number not in places:
            part = written(number)
            places[number] = len(parts)
            parts.append(part)
        return (places[number],)

    def relative(part: object, place: int) -> object:
        """With the distance to the part in question: small numbers, and so a small file."""
        if isinstance(part, tuple):
            return place - part[0]
        return [relative(each, place) for each in part] if isinstance(part, list) else part

    parts.append(written(root))
    return {
        "words": list(words),
        "shares": [list(each) for each in shares][1:],
        "parts": [relative(part, place) for place, part in enumerate(parts)],
    }
