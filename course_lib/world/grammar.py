"""A probabilistic grammar whose every probability can be computed exactly.

A grammar is built from three things: a word, a sequence of parts, a weighted choice between parts.
There is no recursion, so every document ends. Because it is that small, three questions that nobody
can answer about real text have exact answers here: how probable is this document (`log_prob`), what
can the next word be (`next_word`), and what is the best loss that any model can reach (the mean of
`log_prob`). All of them sum over every way in which the grammar could have written the text.

A "word" is what GPT-2's pre-tokenizer cuts out of a text: letters or digits or punctuation with the
space before them, or a newline. So words never straddle tokens, and joined together they are the
text.
"""

import math
import random
import re
from bisect import bisect
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

END = "<|endoftext|>"  # the "word" after a document's last word

# GPT-2's pre-tokenizer pattern (Radford et al. 2019), written for ASCII.
WORD = re.compile(r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")


def split_words(text: str) -> list[str]:
    """The words of `text`; joined together they give `text` again.

    >>> split_words("Kohli hit a six.")
    ['Kohli', ' hit', ' a', ' six', '.']
    """
    return WORD.findall(text)


@dataclass(frozen=True, eq=False)
class Sequence:
    """Parts, one after the other."""

    parts: tuple


@dataclass(frozen=True, eq=False)
class Choice:
    """One of the options, drawn by its probability."""

    options: tuple
    probabilities: tuple[float, ...]
    cumulative: tuple[float, ...]


Part = str | Sequence | Choice  # a str is exactly one word


def seq(*parts: Part) -> Part:
    """The parts in a row. A string may hold many words.

    Each string is cut into words by itself, and a word carries the space before it: so a space
    stands at the head of a part, never at its end.
    """
    flat: list[Part] = []
    for part in parts:
        assert not (isinstance(part, str) and part.endswith(" ")), f"{part!r} ends with a space"
        flat.extend(split_words(part) if isinstance(part, str) else [part])
    return flat[0] if len(flat) == 1 else Sequence(tuple(flat))


def choose(*options: Part) -> Part:
    """One of the options, each as probable as the others."""
    return weighted([(1.0, option) for option in options])


def weighted(options: list[tuple[float, Part]]) -> Part:
    """One of the options, as probable as its weight says (weights need not sum to 1)."""
    return _share_beginnings([(weight, _parts(option)) for weight, option in options if weight])


def _parts(option: Part) -> tuple[Part, ...]:
    """The option as a row of parts, sequences at its head unpacked."""
    option = seq(option)
    if not isinstance(option, Sequence):
        return (option,)
    if option.parts and isinstance(option.parts[0], Sequence):
        return _parts(option.parts[0]) + option.parts[1:]
    return option.parts


def _share_beginnings(options: list[tuple[float, tuple[Part, ...]]]) -> Part:
    """The choice as a tree: options that begin with the same word share it.

    The probabilities stay what they are, but a reader of "The capital of" then stands at one place
    of the grammar, not at a hundred, which makes `log_prob` and `next_word` fast.
    """
    if len(options) == 1:
        return Sequence(options[0][1])
    # Put options with the same first word into one group. Whatever else an option begins with, or
    # if it is empty, it gets a key that equals no other, so it stays alone.
    groups: dict[object, list[tuple[float, tuple[Part, ...]]]] = {}
    for weight, parts in options:
        head = parts[0] if parts and isinstance(parts[0], str) else object()
        groups.setdefault(head, []).append((weight, parts))
    # A group becomes its first word, then a choice between what is left of its options: the same
    # question again, about shorter options.
    shared: list[Part] = []
    for head, group in groups.items():
        if len(group) == 1:
            shared.append(Sequence(group[0][1]))
        else:
            rest = _share_beginnings([(weight, parts[1:]) for weight, parts in group])
            shared.append(Sequence((head, rest)))
    if len(shared) == 1:
        return shared[0]  # all began with one word, so at this place there is nothing to choose
    # Else a group is as probable as all its options together.
    sums = [sum(weight for weight, _ in group) for group in groups.values()]
    probabilities = tuple(weight / sum(sums) for weight in sums)
    return Choice(tuple(shared), probabilities, tuple(accumulate(probabilities)))


def maybe(probability: float, part: Part) -> Part:
    """`part` with this probability, else nothing."""
    return weighted([(probability, part), (1 - probability, seq())])


def repeat(part: Part, least: int, most: int) -> Part:
    """`least` to `most` copies of `part`, each number as probable as the others."""
    # Built from the end. After n copies, most - n + 1 numbers are still possible, all equally
    # probable, and all of them but n itself go on with another copy.
    more: Part = seq()
    for n in range(most - 1, least - 1, -1):
        more = maybe((most - n) / (most - n + 1), seq(part, more))
    return seq(*[part] * least, more)


# Where a derivation stands: (sequence, position of its next part, the state after the sequence), or
# None at the end of the document.
State = tuple | None


class Grammar:
    """All documents that `root` can write, with their probabilities."""

    def __init__(self, root: Part):
        self.root = Sequence((seq(root),))
        self._start: State = (self.root, 0, None)
        self._arcs = lru_cache(maxsize=1 << 16)(_arcs)

    def sample(self, rng: random.Random) -> str:
        """A document, drawn with its probability."""
        words: list[str] = []
        stack: list[Part] = [self.root]
        while stack:
            part = stack.pop()
            if isinstance(part, str):
                words.append(part)
            elif isinstance(part, Sequence):
                stack.extend(reversed(part.parts))
            else:
                drawn = bisect(part.cumulative, rng.random())
                # by rounding, the last sum may be a hair below 1, and the draw above it
                stack.append(part.options[min(drawn, len(part.options) - 1)])
        return "".join(words)

    def log_prob(self, document: str) -> float:
        """ln P(document), its end included; -inf when the grammar can't write it."""
        live, log_prob = self._forward(split_words(document))
        end = sum(
            p * sum(q for q, _ in self._arcs(state).get(END, ())) for state, p in live.items()
        )
        return log_prob + math.log(end) if end else -math.inf

    def next_word(self, prefix: str) -> dict[str, float]:
        """P(what comes next | the document starts with `prefix`), the most probable first.

        The keys are whole words, or what is left of a word that `prefix` breaks off, or `END`.
        Empty when no document starts so.
        """
        # The last word of the prefix may be whole (" six") or the beginning of another (" sixty").
        # Read all words before this fragment, then follow both ways.
        words = split_words(prefix)
        fragment = words.pop() if words else ""
        found: dict[str, float] = defaultdict(float)
        after: dict[State, float] = defaultdict(float)  # where the fragment was a whole word
        for state, p in self._forward(words)[0].items():
            for word, arcs in self._arcs(state).items():
                if fragment and word == fragment:
                    for q, target in arcs:
                        after[target] += p * q
                elif word.startswith(fragment) and not (fragment and word == END):
                    found[word[len(fragment) :]] += p * sum(q for q, _ in arcs)
        for state, p in after.items():
            for word, arcs in self._arcs(state).items():
                found[word] += p * sum(q for q, _ in arcs)
        total = sum(found.values())
        return {word: p / total for word, p in sorted(found.items(), key=lambda item: -item[1])}

    def _forward(self, words: list[str]) -> tuple[dict[State, float], float]:
        """The forward algorithm: P(state | words), and ln P(a document starts with `words`)."""
        live, log_prob = {self._start: 1.0}, 0.0
        for word in words:
            following: dict[State, float] = defaultdict(float)
            for state, p in live.items():
                for q, target in self._arcs(state).get(word, ()):
                    following[target] += p * q
            total = sum(following.values())
            if not total:
                return {}, -math.inf
            log_prob += math.log(total)  # rescaled at each word, so that nothing underflows
            live = {state: p / total for state, p in following.items()}
        return live, log_prob


def _arcs(state: State) -> dict[str, list[tuple[float, State]]]:
    """word -> [(probability, next state)] for each word that can follow in `state`."""
    arcs: dict[str, list[tuple[float, State]]] = defaultdict(list)

    def expand(part: Part, probability: float, rest: State) -> None:
        if isinstance(part, str):
            arcs[part].append((probability, rest))
        elif isinstance(part, Choice):
            for p, option in zip(part.probabilities, part.options, strict=True):
                expand(option, probability * p, rest)
        else:
            go_on((part, 0, rest), probability)

    def go_on(state: State, probability: float) -> None:
        if state is None:
            arcs[END].append((probability, None))
            return
        sequence, position, rest = state
        if position == len(sequence.parts):
            go_on(rest, probability)
        else:
            # After the last part nothing of the sequence is left to remember. So ways that meet
            # there are one state, not several.
            last = position + 1 == len(sequence.parts)
            after = rest if last else (sequence, position + 1, rest)
            expand(sequence.parts[position], probability, after)

    go_on(state, 1.0)
    return dict(arcs)
