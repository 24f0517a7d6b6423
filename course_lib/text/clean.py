"""Raw text -> text worth training on: drop junk by rules, then copies, then near copies.

A rule is a measure (one number per text) with limits. The rules come from Gopher (Rae et al. 2021,
arXiv 2112.11446), C4 (Raffel et al. 2020, 1910.10683) and FineWeb (Penedo et al. 2024, 2406.17557),
with milder limits, because our documents have 7 to 90 words and not a thousand.

Near copies share most of their three-word runs, so we keep an index from runs to texts. The index
of a whole web would fit no memory. There MinHash (Broder 1997; Lee et al. 2022, 2107.06499)
estimates what we count. We don't look at the language or at toxic words, train no filter, and
repair nothing: a text stays as it is, or goes.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from math import inf

KEPT, COPY, NEAR_COPY = "kept", "copy", "near copy"

# The first six are C4's. The others are pages with nothing on them.
BOILERPLATE = (
    "cookie policy", "privacy policy", "terms of use", "use cookies", "uses cookies", "lorem ipsum",
    "enable cookies", "error 404", "error 500", "page not found",
)  # fmt: skip
# Gopher asks for two of the first eight words. Ours have only ten words or so to show one, so we
# let more of them count.
STOP_WORDS = frozenset("the be to of and that have with a is in on what which by do you".split())
# Gopher counts # and the ellipsis. Our junk shouts and has menus, so we add ! and | and >>.
SYMBOLS = re.compile(r"\.{3}|…|>>|[#|!]")
ENDS = (".", "!", "?", '"', "'")  # how a finished line ends, as in FineWeb
# A line of code begins with a prompt, a comment or a keyword, or ends in a bracket, colon, comma or
# semicolon, or assigns something.
CODE_LINE = re.compile(
    r"(>>> |\.\.\. |# |@\w|def |class |import |from \S+ import |return\b|else:|try:|except\b)"
    r"|.*[;{}()\[\],:]$|[\w.\[\], ]+ [-+*/]?= "
)
# The Jaccard similarity from which a text is a near copy. FineWeb aims at 0.75, but one more line
# changes more of a text of 20 words than of a web page.
NEAR = 0.7


def split_lines(text: str) -> list[str]:
    """The lines without the white space around them, blank ones left out."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _share(hits: list[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0


def _each(texts: Iterable[str]) -> Iterator[str]:
    if isinstance(texts, str):
        raise ValueError("got one str, whose letters would count as texts: give a list of texts")
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"a text is a str, got {type(text).__name__}: decode bytes, drop None")
        yield text


def n_words(text: str) -> int:
    """Words in the text: n_words("a cat") is 2."""
    return len(text.split())


def mean_word_length(text: str) -> float:
    """Mean characters per word, punctuation included; 0 for a text without words."""
    return sum(map(len, text.split())) / max(1, n_words(text))


def n_boilerplate(text: str) -> int:
    """How many of the phrases in `BOILERPLATE` occur in the text."""
    # one line, because a phrase may run over the end of a line
    one_line = " ".join(text.split()).casefold()
    return sum(phrase in one_line for phrase in BOILERPLATE)


def share_with_letter(text: str) -> float:
    """Share of words with at least one letter: share_with_letter("Home | News") is 2/3."""
    return _share([any(map(str.isalpha, word)) for word in text.split()])


def symbols_per_word(text: str) -> float:
    """Symbols that are rare in prose (# | ! >> and ...), per word."""
    n = max(1, n_words(text))
    return len(SYMBOLS.findall(text)) / n


def share_repeated_lines(text: str) -> float:
    """Share of lines that repeat an earlier one: 2/4 for the lines "a", "b", "a", "a"."""
    lines = split_lines(text)
    return 1 - len(set(lines)) / len(lines) if lines else 0.0


def share_ended_lines(text: str) -> float:
    """Share of lines that end like a sentence."""
    return _share([line.endswith(ENDS) for line in split_lines(text)])


def n_stop_words(text: str) -> int:
    """How many different words from `STOP_WORDS` the text uses."""
    return len(STOP_WORDS & {word.strip(".,:;!?\"'()").casefold() for word in text.split()})


def is_code(text: str) -> bool:
    """Whether at least three lines in ten look like source code or a Python session.

    This judges by looks alone, so junk that looks like code slips through. Real collections of code
    have it easier: they go by the file's name.
    """
    return _share([bool(CODE_LINE.match(line)) for line in split_lines(text)]) >= 0.3


@dataclass(frozen=True)
class Rule:
    """A text is dropped for `reason` unless low <= measure(text) <= high."""

    reason: str
    measure: Callable[[str], float]
    low: float = -inf
    high: float = inf
    for_code: bool = False  # most rules measure prose, and would throw all code away

    def drops(self, text: str) -> bool:
        """Whether this rule throws the text away, whatever the other rules say."""
        in_limits = self.low <= self.measure(text) <= self.high
        return not in_limits and (self.for_code or not is_code(text))


RULES = (
    Rule("too short", n_words, low=5, for_code=True),  # Gopher: 50
    Rule("too long", n_words, high=100_000, for_code=True),  # Gopher
    Rule("boilerplate", n_boilerplate, high=0),  # C4 drops the line, we the text
    Rule("few letters", share_with_letter, low=0.6),  # Gopher: 0.8; lists of scores have 0.7
    Rule("many symbols", symbols_per_word, high=0.1),  # Gopher
    Rule("repeated lines", share_repeated_lines, high=0.3),  # Gopher, table A1
    Rule("odd word length", mean_word_length, low=3, high=10),  # Gopher
    Rule("unfinished lines", share_ended_lines, low=0.12),  # FineWeb
    Rule("no stop words", n_stop_words, low=1),  # Gopher: 2, of fewer words
)


def why_dropped(text: str, rules: tuple[Rule, ...] = RULES) -> str | None:
    """The reason of the first rule that drops the text. None if it passes them all."""
    return next((rule.reason for rule in rules if rule.drops(text)), None)


def text_mark(text: str) -> bytes:
    """16 bytes, the same for texts that differ only in capitals and white space."""
    # Keeping 16 bytes of every text is cheap even for a large corpus. That two different texts get
    # the same ones by chance won't happen: there are 2**128 marks.
    return blake2b(" ".join(text.split()).casefold().encode(), digest_size=16).digest()


def drop_copies(texts: Iterable[str]) -> Iterator[str]:
    """The texts in their order. Of those with the same `text_mark` only the first is kept."""
    seen = set()
    for text in _each(texts):
        if (mark := text_mark(text)) not in seen:
            seen.add(mark)
            yield text


def shingles(text: str) -> frozenset[str]:
    """All runs of three words, in small letters: shingles("A b c d") is {"a b c", "b c d"}.

    A text of fewer words is one shingle.
    """
    words = [word.casefold() for word in text.split()]
    return frozenset(" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2)))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Shared elements over all elements: 1 for equal sets, 0 for sets that share nothing."""
    return len(a & b) / len(a | b)


class NearCopies:
    """Remembers texts, and tells whether a new one is nearly the same as an earlier one."""

    def __init__(self) -> None:
        self.texts: list[frozenset[str]] = []  # the shingles of each text
        self.holders = defaultdict(list)  # shingle -> numbers of the texts that hold it

    def add(self, text: str) -> bool:
        """Remembers `text`; returns whether it shares `NEAR` or more with an earlier one."""
        runs = shingles(text)
        # Comparing with every text that shares a shingle would be right but slow: half a corpus
        # says "in that match". A near text holds at least 70% of our shingles, though, so of any
        # 30% of them and one more it holds at least one. We look up the rarest.
        rarest = sorted(runs, key=lambda run: len(self.holders[run]))
        telling = rarest[: int((1 - NEAR) * len(runs)) + 1]
        candidates = {number for run in telling for number in self.holders[run]}
        found = any(jaccard(self.texts[number], runs) >= NEAR for number in candidates)
        for run in runs:
            self.holders[run].append(len(self.texts))
        self.texts.append(runs)
        return found


def clean(texts: Iterable[str], rules: tuple[Rule, ...] = RULES) -> Iterator[tuple[str, str]]:
    """Yields each text with its verdict: KEPT, the reason of a rule, COPY or NEAR_COPY.

    The first of several copies is kept. A near copy is near to some earlier text that passed the
    rules, even if that one was a near copy itself.
    """
    near_copies, seen = NearCopies(), set()
    for text in _each(texts):
        verdict = why_dropped(text, rules)
        if verdict is None and (mark := text_mark(text)) in seen:
            verdict = COPY
        elif verdict is None:
            seen.add(mark)
            verdict = NEAR_COPY if near_copies.add(text) else KEPT
        yield text, verdict
