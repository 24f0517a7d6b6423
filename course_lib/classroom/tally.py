"""What a class said, beside what the model says and the right answer, in shares and in bits.

The class is scored as a model would be: its votes are shares, and the surprise of the truth under
them, -log2 of a share, is its loss. Half a vote is added to each answer first, or an answer that
nobody chose would be infinitely surprising. Only closed ballots come here.
"""

import math
import random
from collections.abc import Mapping, Sequence
from functools import cache
from statistics import median

from course_lib.check.numbers import number_in, shown
from course_lib.check.question import Question
from course_lib.classroom.rounds import Material, Pair, Part, Word
from course_lib.classroom.store import Round, Tally
from course_lib.world.annotators import best_first, gold

CROWD = 200  # simulated annotators who judge each pair
BINS = 12  # bars of the picture of numbers, at most


def smoothed(counts: Sequence[int]) -> list[float]:
    """Shares of votes, with half a vote added to each answer.

    >>> smoothed([3, 0])
    [0.875, 0.125]
    """
    total = sum(counts) + len(counts) / 2
    return [(n + 0.5) / total for n in counts]


def bits(truth: Sequence[float], shares: Sequence[float]) -> float:
    """How surprised one is on average by the right answer, if one expects it with these shares.

    >>> bits([0.5, 0.5], [0.5, 0.5])
    1.0
    """
    return -sum(p * math.log2(q) for p, q in zip(truth, shares, strict=True) if p)


def result(material: Material, one: Round, tallies: Mapping[int, Tally]) -> dict:
    """What the board shows of a round: `tallies` are those of its closed ballots, by number.

    The right answer, and what the model says, comes only once the round is `shown`.
    """
    if one.kind == "pairs":
        return _pairs(material, one, tallies)
    part, asked = material.part(one, ""), material.question(one)
    counts = {ballot: tally.get("", {}) for ballot, tally in tallies.items()}
    if not part.choices:
        return _numbers(asked, counts, one.shown)
    word = material.words[one.about] if one.kind == "word" else None
    bars = []
    for value, text in part.choices.items():
        votes = [counts[ballot].get(value, 0) for ballot in counts]
        bar = {"value": value, "text": text, "votes": votes}
        if word and one.shown:
            bar |= {"truth": word.truth[value], "model": word.model[value]}
        if asked and one.shown:
            bar |= {"right": value == asked.right}
        bars.append(bar)
    told = {"ballots": list(counts), "bars": bars}
    if word and one.shown:
        told["bits"] = _word_bits(word, bars, list(counts))
        told["note"] = "Bits of surprise per word, on average. Nobody can do better than the truth."
    elif asked and one.shown:
        right = [float(bar["right"]) for bar in bars]
        told["bits"] = _class_bits(right, bars, list(counts))
        told["bits"].append(_score("somebody who rolls a die", math.log2(len(bars))))
        told["note"] = f"Bits of surprise at the right answer. {asked.option(asked.right).why}"
    return told


def _score(who: str, bits: float) -> dict:
    return {"who": who, "bits": round(bits, 2)}


def _class_bits(truth: list[float], bars: list[dict], ballots: list[int]) -> list[dict]:
    """The class's score in each ballot that somebody voted in."""
    found = []
    for place, ballot in enumerate(ballots):
        votes = [bar["votes"][place] for bar in bars]
        who = "you" if len(ballots) == 1 else f"you, vote {ballot}"
        if sum(votes):
            found.append(_score(who, bits(truth, smoothed(votes))))
    return found


def _word_bits(word: Word, bars: list[dict], ballots: list[int]) -> list[dict]:
    truth, model = list(word.truth.values()), list(word.model.values())
    return [
        *_class_bits(truth, bars, ballots),
        _score("the model", bits(truth, model)),
        _score("the truth itself", bits(truth, truth)),
    ]


# ---- Numbers -------------------------------------------------------------------------------------


def _numbers(asked: Question, counts: Mapping[int, Mapping[str, int]], is_shown: bool) -> dict:
    """Guesses of a number: each value with its votes, the middle of all, and who came close."""
    read = {
        ballot: sorted((number_in(value), n) for value, n in found.items())
        for ballot, found in counts.items()
    }
    told = {
        "ballots": list(counts),
        "unit": asked.unit,
        "bins": _bins([value for found in read.values() for value, _ in found], read),
        "middle": [
            shown(median([v for v, n in found for _ in range(n)])) if found else ""
            for found in read.values()
        ],
    }
    if is_shown:
        low, high, found = asked.low, asked.high, list(read.values())
        close = [sum(n for v, n in votes if low <= v <= high) for votes in found]
        total = [sum(n for _, n in votes) for votes in found]
        told["answer"] = {"value": asked.answer, "text": asked.told(asked.answer)}
        told["close"] = f"{shown(low)} to {shown(high)} counts as found"
        pairs = zip(counts, close, total, strict=True)
        bars = [{"votes": close}, {"votes": [n - c for c, n in zip(close, total, strict=True)]}]
        told["found"] = [f"{c} of {n}" for _, c, n in pairs]
        told["bits"] = _class_bits([1.0, 0.0], bars, list(counts))
        told["note"] = f"Bits of surprise that the truth lies there. {asked.why}".strip()
    return told


def _bins(values: list, read: Mapping[int, list[tuple]]) -> list[dict]:
    """Bars of equal width from the smallest to the largest guess, but for those far off."""
    if not values:
        return []
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    if len(ordered) > 9:  # beyond the outermost twentieths all stand in the first or last bar
        low, high = ordered[len(ordered) // 20], ordered[-1 - len(ordered) // 20]
    width = _round_up((high - low) / BINS) if high > low else 1
    first = math.floor(low / width)
    n = min(BINS + 1, math.floor(high / width) - first + 1)
    bins = []
    for i in range(n):
        votes = [
            sum(m for v, m in found if min(max(math.floor(v / width) - first, 0), n - 1) == i)
            for found in read.values()
        ]
        start = (first + i) * width
        bins.append({"low": start, "high": start + width, "text": shown(start), "votes": votes})
    return bins


def _round_up(width: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... that is no smaller."""
    ten = 10.0 ** math.floor(math.log10(width))
    return next(step * ten for step in (1, 2, 5, 10) if step * ten >= width * (1 - 1e-9))


# ---- Which answer is better? ---------------------------------------------------------------------


@cache
def judged(pair: Pair) -> tuple[float, float]:
    """(how much better the gold reward finds a than b, the share of the crowd that prefers a)."""
    gap = gold(pair.prompt, pair.a) - gold(pair.prompt, pair.b)
    rng, answers = random.Random(pair.id), [pair.a, pair.b]
    return gap, sum(best_first(pair.prompt, answers, rng)[0] == 0 for _ in range(CROWD)) / CROWD


def agreement(counts: Sequence[Mapping[str, int]]) -> float | None:
    """How often two voters, drawn by lot, choose the same answer of a pair that both decide.

    >>> agreement([{"a": 2, "b": 1}])
    0.3333333333333333
    """
    alike = both = 0
    for count in counts:
        a, b = count.get("a", 0), count.get("b", 0)
        alike += a * (a - 1) + b * (b - 1)
        both += (a + b) * (a + b - 1)
    return alike / both if both else None


def _pairs(material: Material, one: Round, tallies: Mapping[int, Tally]) -> dict:
    (ballot,) = tallies or (1,)
    tally = tallies.get(ballot, {})
    pairs = [material.pairs[id] for id in one.items]
    counts = [tally.get(pair.id, {}) for pair in pairs]
    rows = [
        {"part": _spoken(material.part(one, pair.id)), "votes": _all_choices(count)}
        for pair, count in zip(pairs, counts, strict=True)
    ]
    with_itself = agreement(counts)
    told = {"ballots": [ballot], "pairs": rows, "agree": [_share("each other", with_itself)]}
    if one.shown:
        with_crowd, with_gold = _decided(pairs, counts)
        told["agree"] += [
            _share("the simulated crowd", with_crowd),
            _share("the gold reward", with_gold),
        ]
        for row, pair in zip(rows, pairs, strict=True):
            gap = judged(pair)[0]
            row["gold"] = "a" if gap > 0 else "b" if gap < 0 else "tie"
        told["note"] = "Of the votes that prefer one answer: how many decide as these do?"
    return told


def _share(who: str, share: float | None) -> dict:
    return {"who": who, "share": share}


def _spoken(part: Part) -> dict:
    return {"ask": part.ask, "answers": part.answers}


def _all_choices(count: Mapping[str, int]) -> dict[str, int]:
    return {value: count.get(value, 0) for value in ("a", "b", "tie", "bad")}


def _decided(pairs: Sequence[Pair], counts: Sequence[Mapping]) -> tuple:
    """The share of votes for a or b that decide as the crowd does, and as the gold reward does."""
    crowd = alike = of_gold = total = 0
    for pair, count in zip(pairs, counts, strict=True):
        a, b, (gap, prefers_a) = count.get("a", 0), count.get("b", 0), judged(pair)
        total += a + b
        crowd += a * prefers_a + b * (1 - prefers_a)
        if gap:
            of_gold += a + b
            alike += a if gap > 0 else b
    return crowd / total if total else None, alike / of_gold if of_gold else None
