"""Raw text -> text worth training on: quality rules, then copies, then near copies.

A rule is a measure (a number per text) with limits, in the manner of Gopher (Rae et al. 2021, arXiv
2112.11446), C4 (Raffel et al. 2020, 1910.10683) and FineWeb (Penedo et al. 2024, 2406.17557), made
milder for documents of 7 to 90 words. Near copies are found with MinHash (Broder 1997) and bands
(Lee et al. 2022, 2107.06499). Left out: language, toxic words, learned filters, mending a text.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from math import inf

import numpy as np

KEPT, COPY, NEAR_COPY = "kept", "copy", "near copy"

BOILERPLATE = (  # the first six are C4's; the others are pages that say nothing
    "cookie policy", "privacy policy", "terms of use", "use cookies", "uses cookies", "lorem ipsum",
    "enable cookies", "error 404", "error 500", "page not found",
)  # fmt: skip
# Gopher asks for two of the first eight; a text of ten words needs more to choose from.
STOP_WORDS = frozenset("the be to of and that have with a is in on what which by do you".split())
SYMBOLS = re.compile(r"\.{3}|…|>>|[#|!]")  # Gopher's are # and the ellipsis
ENDS = (".", "!", "?", '"', "'")  # FineWeb's: what a finished line ends with
CODE_LINE = re.compile(
    r"(>>> |\.\.\. |# |@\w|def |class |import |from \S+ import |return\b|else:|try:|except\b)"
    r"|.*[;{}()\[\],:]$|[\w.\[\], ]+ [-+*/]?= "
)
PRIME = 4_294_967_291  # the largest below 2**32, so that a * x + b fits 64 bits


def split_words(text: str) -> list[str]:
    """The text cut at white space. ValueError, as from every measure, for anything but a `str`."""
    if not isinstance(text, str):
        raise ValueError(f"a text is a str, got {type(text).__name__}: decode bytes, drop None")
    return text.split()


def split_lines(text: str) -> list[str]:
    """The lines without the white space around them, blank ones left out."""
    return [line.strip() for line in text.splitlines() if line.strip()] if split_words(text) else []


def _share(hits: list[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0


def _each(texts: Iterable[str]) -> Iterator[str]:
    if isinstance(texts, str):
        raise ValueError("got one str, whose letters would count as texts: give a list of texts")
    return iter(texts)


def n_words(text: str) -> int:
    """Words in the text: n_words("a cat") is 2."""
    return len(split_words(text))


def mean_word_length(text: str) -> float:
    """Mean characters per word, punctuation included; 0 for a text without words."""
    return sum(map(len, split_words(text))) / max(1, n_words(text))


def n_boilerplate(text: str) -> int:
    """How many of the phrases in `BOILERPLATE` the text holds."""
    one_line = " ".join(split_words(text)).casefold()
    return sum(phrase in one_line for phrase in BOILERPLATE)


def share_with_letter(text: str) -> float:
    """Share of words with at least one letter: share_with_letter("Home | News") is 2/3."""
    return _share([any(map(str.isalpha, word)) for word in split_words(text)])


def symbols_per_word(text: str) -> float:
    """Signs that prose seldom uses (# | ! >> and ...), per word."""
    n = max(1, n_words(text))
    return len(SYMBOLS.findall(text)) / n


def share_repeated_lines(text: str) -> float:
    """Share of lines that stood in the text before: of the lines "a", "b", "a", "a" it is 2/4."""
    lines = split_lines(text)
    return 1 - len(set(lines)) / len(lines) if lines else 0.0


def share_ended_lines(text: str) -> float:
    """Share of lines that end like a sentence."""
    return _share([line.endswith(ENDS) for line in split_lines(text)])


def n_stop_words(text: str) -> int:
    """How many different words of `STOP_WORDS` the text uses."""
    return len(STOP_WORDS & {word.strip(".,:;!?\"'()").casefold() for word in split_words(text)})


def is_code(text: str) -> bool:
    """Whether at least three in ten lines look like source code or Python's prompt.

    A guess from the looks, so junk in the clothes of code passes. Collectors of real code go by the
    file's name instead.
    """
    return _share([bool(CODE_LINE.match(line)) for line in split_lines(text)]) >= 0.3


@dataclass(frozen=True)
class Rule:
    """A text is dropped for `reason` unless low <= measure(text) <= high."""

    reason: str
    measure: Callable[[str], float]
    low: float = -inf
    high: float = inf
    for_code: bool = False  # code is no prose: most rules leave it alone

    def drops(self, text: str) -> bool:
        """Whether this rule, asked alone, throws the text away."""
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
    """The reason of the first rule that drops the text, None if all of them let it pass."""
    return next((rule.reason for rule in rules if rule.drops(text)), None)


def fingerprint(text: str) -> bytes:
    """16 bytes that are equal for texts which differ only in upper case and white space."""
    return blake2b(" ".join(split_words(text)).casefold().encode(), digest_size=16).digest()


def drop_copies(texts: Iterable[str]) -> Iterator[str]:
    """The texts in their order, each `fingerprint` once: the first is kept."""
    seen = set()
    for text in _each(texts):
        if (mark := fingerprint(text)) not in seen:
            seen.add(mark)
            yield text


def shingles(text: str, n: int = 3) -> frozenset[str]:
    """All runs of `n` words, case ignored: shingles("A b c d") is {"a b c", "b c d"}.

    A shorter text is one shingle. ValueError for a text without words.
    """
    words = [word.casefold() for word in split_words(text)]
    if not words or n < 1:
        raise ValueError(f"shingles need a word and n >= 1, got {text!r} and n = {n}")
    return frozenset(" ".join(words[i : i + n]) for i in range(max(1, len(words) - n + 1)))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Shared elements over all elements, exactly: 1 for equal sets, 0 if they share nothing."""
    if not (a or b):
        raise ValueError("two empty sets have no similarity: give at least one shingle")
    return len(a & b) / len(a | b)


@lru_cache(maxsize=8)
def _hash_family(n_hashes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors and offsets (n_hashes, 1) of the hash functions x -> (a * x + b) mod PRIME."""
    if n_hashes < 1:
        raise ValueError(f"a signature has at least one hash, got n_hashes = {n_hashes}")
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(low, PRIME, size=(n_hashes, 1), dtype=np.uint64) for low in (1, 0))
    return a, b


def signature(shingles: frozenset[str], n_hashes: int = 128, seed: int = 0) -> np.ndarray:
    """MinHash of a set: (n_hashes,) uint32, the smallest value of each hash function over the set.

    The smallest element of two sets together is as likely as any other to be a shared one, so the
    two smallest values agree with the probability of the Jaccard similarity.
    """
    if not shingles:
        raise ValueError("an empty set has no smallest element: give at least one shingle")
    a, b = _hash_family(n_hashes, seed)
    # Python's own `hash` of a string is no use: it changes with every process.
    marks = (blake2b(shingle.encode(), digest_size=8).digest() for shingle in shingles)
    x = np.array([int.from_bytes(mark, "big") % PRIME for mark in marks], dtype=np.uint64)
    return ((a * x + b) % np.uint64(PRIME)).min(axis=1).astype(np.uint32)  # (n_hashes, S) -> min


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Estimated Jaccard J of (n_hashes,) signatures, standard error sqrt(J (1 - J) / n_hashes)."""
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"signatures of one length and one seed compare, got {a.shape}, {b.shape}")
    return float(np.mean(a == b))


def found_probability(similarity: float, bands: int, rows: int) -> float:
    """Chance 1 - (1 - s^rows)^bands that texts of similarity s agree in all rows of some band."""
    if not 0 <= similarity <= 1 or bands < 1 or rows < 1:
        raise ValueError(f"need 0 <= s <= 1, bands, rows >= 1: {similarity}, {bands}, {rows}")
    return 1 - (1 - similarity**rows) ** bands


def bands_for(threshold: float, n_hashes: int = 128, recall: float = 0.9) -> int:
    """The fewest bands (they divide `n_hashes`) that find `recall` of the pairs at `threshold`."""
    if not (0 < threshold <= 1 and 0 < recall < 1):
        raise ValueError(f"need 0 < threshold <= 1 and 0 < recall < 1, got {threshold}, {recall}")
    for bands in (b for b in range(1, n_hashes + 1) if n_hashes % b == 0):
        if found_probability(threshold, bands, n_hashes // bands) >= recall:
            return bands
    raise ValueError(f"{n_hashes} hashes can't find {threshold} with recall {recall}: take more")


def _near_finder(threshold: float, n_hashes: int, seed: int) -> Callable[[str], list[int]]:
    """A function that remembers each text it gets and returns the numbers of earlier near ones."""
    bands = bands_for(threshold, n_hashes)
    buckets, sets = defaultdict(list), []

    def find(text: str) -> list[int]:
        runs = shingles(text)
        rows = signature(runs, n_hashes, seed).reshape(bands, -1)
        keys = [(band, row.tobytes()) for band, row in enumerate(rows)]
        candidates = {number for key in keys for number in buckets[key]}
        for key in keys:
            buckets[key].append(len(sets))
        sets.append(runs)
        return [i for i in sorted(candidates) if jaccard(sets[i], runs) >= threshold]

    return find


def near_duplicates(
    texts: Iterable[str], threshold: float = 0.8, n_hashes: int = 128, seed: int = 0
) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of texts whose 3-word shingles have a Jaccard of at least `threshold`.

    Bands propose pairs, the exact Jaccard decides: no pair is wrong, at most one in ten at the very
    threshold is missed (`found_probability`). k equal texts make k (k - 1) / 2 pairs: drop copies
    first.
    """
    find = _near_finder(threshold, n_hashes, seed)
    return sorted((i, j) for j, text in enumerate(_each(texts)) for i in find(text))


def clean(
    texts: Iterable[str], rules: tuple[Rule, ...] = RULES, threshold: float = 0.7
) -> Iterator[tuple[str, str]]:
    """Each text with its verdict: KEPT, the reason of a rule, COPY or NEAR_COPY, one at a time.

    The first of several copies is kept. A near copy is near any earlier text that passed the rules.
    `threshold` is lower than usual (FineWeb aims at 0.75): one line more changes more of a text of
    20 words than of a web page.
    """
    find, seen = _near_finder(threshold, n_hashes=128, seed=0), set()
    for text in _each(texts):
        verdict = why_dropped(text, rules)
        if verdict is None and (mark := fingerprint(text)) in seen:
            verdict = COPY
        elif verdict is None:
            seen.add(mark)
            verdict = NEAR_COPY if find(text) else KEPT
        yield text, verdict
