"""A guessing game in bits: you, the model and the truth bet on the next word of a document.

In this course's world the true probabilities are known, so what the best possible player pays is
known too: the entropy. Left out: real text, whose true probabilities nobody knows.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import anywidget
import traitlets

from course_lib import plots
from course_lib.measure.choice_points import choice_points
from course_lib.measure.log_probs import word_log_probs
from course_lib.model.transformer import Transformer
from course_lib.text.tokenizer import Tokenizer
from course_lib.widgets.page import page
from course_lib.widgets.shell import Pictured

CHIPS = 10  # to place in each round
FREE = 0.1  # of a chip, for every option: so a miss costs many bits, but not infinitely many
ELSE = "something else"
MOST_OPTIONS = 6  # ELSE not counted
PLAYERS = ("you", "model", "truth")
RULE = (
    f"Each round you place {CHIPS} chips on what may come next: click a word to put one on it. "
    f"Each option gets {FREE} of a chip for free, and your share of all chips on an option is the "
    "probability p that you give it. For the word that comes you pay log2(1/p) bits of surprise: "
    "the fewer, the better."
)


@dataclass(frozen=True)
class Round:
    """The beginning of a document, what can come next, what came (None: not shown yet)."""

    prefix: str
    options: tuple[str, ...]  # in alphabetical order, then ELSE
    word: str | None
    truth: Mapping[str, float]  # option -> probability, ELSE included, as the next
    model: Mapping[str, float]


@dataclass(frozen=True)
class Bet:
    """A round and the chips that were placed in it."""

    round: Round
    chips: Mapping[str, float]  # option -> chips; an option left out has none

    @property
    def shares(self) -> dict[str, Mapping[str, float]]:
        """The probabilities that each of `PLAYERS` gives the options."""
        mine = probabilities(self.chips, self.round.options)
        return dict(zip(PLAYERS, (mine, self.round.model, self.round.truth), strict=True))

    @property
    def bits(self) -> dict[str, float]:
        """What the word that came costs each of `PLAYERS`."""
        return {who: surprise(p[self.round.word]) for who, p in self.shares.items()}

    @property
    def expected_bits(self) -> dict[str, float]:
        """The same, averaged over every word that could have come: luck taken out."""
        return {who: expected(p, self.round.truth) for who, p in self.shares.items()}


@dataclass(frozen=True, repr=False)
class Score:
    """The bets of a game, in order."""

    bets: tuple[Bet, ...] = ()

    def add(self, bet: Bet) -> "Score":
        return replace(self, bets=(*self.bets, bet))

    def total(self) -> dict[str, float]:
        """Bits that each of `PLAYERS` has paid so far."""
        return {who: sum(bet.bits[who] for bet in self.bets) for who in PLAYERS}

    def mean(self) -> dict[str, float]:
        """Bits a round that each of `PLAYERS` has paid."""
        return self._means([bet.bits for bet in self.bets])

    def long_run(self) -> dict[str, float]:
        """Bits a round, were every round drawn again and again: the truth's is the entropy."""
        return self._means([bet.expected_bits for bet in self.bets])

    def _means(self, rows: list[dict[str, float]]) -> dict[str, float]:
        return {who: sum(row[who] for row in rows) / len(rows) for who in PLAYERS}

    def __repr__(self) -> str:
        return score_in_words(self) if self.bets else "no bet yet"


def surprise(p: float) -> float:
    """log2(1/p) bits; infinite for what was held impossible.

    >>> surprise(0.25)
    2.0
    """
    return math.log2(1 / p) if p > 0 else math.inf


def expected(p: Mapping[str, float], truth: Mapping[str, float]) -> float:
    """The mean surprise of a player who gives `p`, where words come as `truth` says."""
    return sum(q * surprise(p[word]) for word, q in truth.items() if q > 0)


def probabilities(chips: Mapping[str, float], options: Sequence[str]) -> dict[str, float]:
    """The probabilities that a bet stands for: chips and the free ones, as shares of all.

    >>> probabilities({"six": 10}, ["six", "four", "something else"])["four"]  # 0.1 of 10.3
    0.009708737864077669
    """
    unknown = [word for word in chips if word not in options]
    if unknown:
        raise ValueError(f"chips can be placed on {', '.join(options)}: not on {unknown}")
    if not all(0 <= n <= CHIPS for n in chips.values()) or abs(sum(chips.values()) - CHIPS) > 1e-6:
        raise ValueError(
            f"{CHIPS} chips must be placed, none of them below 0, got {dict(chips)}: "
            f"{sum(chips.values()):g} in all"
        )
    all_chips = CHIPS + FREE * len(options)
    return {word: (chips.get(word, 0) + FREE) / all_chips for word in options}


def score_in_words(score: Score) -> str:
    """What each player paid and what the differences mean, in words."""
    mean, long_run, n = score.mean(), score.long_run(), len(score.bets)

    def beside_the_truth(who: str, name: str) -> str:
        more = mean[who] - mean["truth"]
        if abs(more) < 0.005:
            return f"{name} paid as much as the truth"
        return f"{name} paid {abs(more):.2f} {'more' if more > 0 else 'less'} than the truth"

    def listed(found: dict[str, float]) -> str:
        return ", ".join(f"{who} {found[who]:.2f}" for who in PLAYERS)

    return (
        f"Mean bits of surprise in {n} round{'s' if n > 1 else ''}: {listed(mean)}. "
        f"So {beside_the_truth('you', 'you')}, {beside_the_truth('model', 'the model')}. "
        f"The truth's mean is a sample of the entropy: in a few rounds luck can beat it, in the "
        f"long run nobody can. With these bets, were each round drawn again and again: "
        f"{listed(long_run)}."
    )


def draw_rounds(pair: tuple[Transformer, Tokenizer], n: int = 8, seed: int = 0) -> list[Round]:
    """`n` rounds from held-out documents, the same for the same seed."""
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ValueError(f"the number of rounds must be a whole number of 1 or more, got {n!r}")
    found, looked_at = {}, 7 * n  # about one choice point in four will do; if not, twice as many
    while len(found) < n:
        for prefix, _, truth in choice_points(looked_at, seed)[0]:
            if len(truth) <= MOST_OPTIONS and all(word.strip().isalnum() for word in truth):
                found.setdefault(prefix, truth)
        looked_at *= 2
    points = list(found.items())[:n]
    log_probs = iter(
        word_log_probs(*pair, [(prefix, w) for prefix, truth in points for w in truth])
    )
    rng = random.Random(f"guessing game {seed}")
    return [
        _round(prefix, truth, {word: math.exp(next(log_probs)) for word in truth}, rng)
        for prefix, truth in points
    ]


def _round(prefix: str, truth: dict, model: dict, rng: random.Random) -> Round:
    # The word is drawn anew: cut points are drawn evenly in each document, so the word after one
    # belongs to a short document more often than to a long one, and so isn't drawn as `truth` says.
    [word] = rng.choices(list(truth), weights=list(truth.values()))
    options = sorted((w.strip() for w in truth), key=lambda w: (w.casefold(), w))
    left = max(0.0, 1 - sum(model.values()))
    return Round(
        prefix,
        (*options, ELSE),
        word.strip(),
        {w.strip(): p for w, p in truth.items()} | {ELSE: 0.0},
        {w.strip(): p for w, p in model.items()} | {ELSE: left},
    )


def verdict(score: Score) -> str:
    """A sentence on who paid how much more than the truth, luck taken out as far as can be."""
    mean, long_run = score.mean(), score.long_run()

    def beside_the_truth(found: dict[str, float], who: str) -> str:
        more = found[who] - found["truth"]
        if abs(more) < 0.005:
            return "as much as the truth"
        return f"{abs(more):.2f} bits {'more' if more > 0 else 'less'} than the truth"

    return (
        f"Per round you paid {beside_the_truth(mean, 'you')}, the model "
        f"{beside_the_truth(mean, 'model')}. Luck can beat the truth in a few rounds. Were each "
        f"round drawn again and again, your bets would cost {beside_the_truth(long_run, 'you')}."
    )


class GuessingGame(Pictured, anywidget.AnyWidget):
    """A game of several rounds; `score` holds the bets so far, `chips` those of this round.

    `draw` gives the rounds of another game by its number, from 1; without it there is no other.
    """

    _esm = page("game.js")
    _css = page("game.css")
    view = traitlets.Dict().tag(sync=True)  # all that the page shows

    def __init__(
        self, rounds: Sequence[Round], draw: Callable[[int], Sequence[Round]] | None = None
    ) -> None:
        super().__init__()
        self._draw, self._game = draw, 0
        self._begin(rounds)
        self.on_msg(self._on_message)

    @property
    def round(self) -> Round:
        return self.rounds[self.number]

    @property
    def left(self) -> int:
        """Chips that are not placed yet."""
        return CHIPS - sum(self.chips.values())

    @property
    def told(self) -> bool:
        """Whether this round's word is shown: the bet is placed."""
        return len(self.score.bets) > self.number

    @property
    def over(self) -> bool:
        return len(self.score.bets) == len(self.rounds)

    def place(self, option: str, chips: int = 1) -> None:
        """Put chips on an option, or take some back; never more than there are."""
        if self.told or option not in self.round.options:
            return  # the page hasn't heard of it yet
        before = self.chips.get(option, 0)
        self.chips[option] = before + min(max(chips, -before), self.left)
        self._show(self._left_in_words())

    def bet(self) -> None:
        """Place the bet: the word comes, and everyone pays."""
        if self.told:
            return
        if self.left:
            self._show(f"You have {CHIPS} chips: place {self.left} more, then bet.")
            return
        self.score = self.score.add(Bet(self.round, dict(self.chips)))
        paid = self.score.bets[-1].bits
        listed = ", ".join(f"{who} {paid[who]:.2f}" for who in PLAYERS)
        end = f" The game is over. {verdict(self.score)}" if self.over else ""
        self._show(f"“{self.round.word}” came. Bits of surprise: {listed}.{end}")

    def next(self) -> None:
        """The next round."""
        if self.told and not self.over:
            self.number, self.chips = self.number + 1, {}
            self._show(self._left_in_words())

    def again(self) -> None:
        """Another game, with other texts."""
        if self._draw is not None:
            self._show("Drawing new texts ...")
            self._game += 1
            self._begin(self._draw(self._game))

    def picture(self) -> plots.Picture:
        """The first round, told, while no bet is placed; then the mean bits of all players."""
        if not self.score.bets:
            return self._example()
        n = len(self.score.bets)
        title = f"bits a round after {n} of {len(self.rounds)} rounds"
        return plots.bit_bars(title, self.score.mean())

    def _example(self) -> plots.Picture:
        """How a round ends, for who can't play: the model's bet, the truth, what both pay."""
        here, word = self.round, self.round.word
        text = here.prefix.splitlines()[-1][-60:]
        paid = [f"{surprise(bet[word]):.2f}" for bet in (here.model, here.truth)]
        told = f"“{word}” came: the model pays {paid[0]} bits, the truth {paid[1]}"
        bets = [{w: bet[w] for w in here.options[:-1]} for bet in (here.model, here.truth)]
        title = f"{self._title()}: {text} ____\n{told}"
        return plots.next_tokens(title, {"model": bets[0]}, {"model": bets[1]})

    def _begin(self, rounds: Sequence[Round]) -> None:
        self.rounds, self.score, self.number = tuple(rounds), Score(), 0
        self.chips: dict[str, int] = {}
        self._show(self._left_in_words())

    def _title(self) -> str:
        return f"Round {self.number + 1} of {len(self.rounds)}"

    def _left_in_words(self) -> str:
        return f"Chips left to place: {self.left}."

    def _on_message(self, _, message: dict, buffers: list) -> None:
        """What the page sends: place, bet, next or again."""
        {"place": self.place, "bet": self.bet, "next": self.next, "again": self.again}[
            message.pop("do")
        ](**message)

    def _show(self, said: str) -> None:
        told = self.told
        shares = self.score.bets[-1].shares if told else {}
        self.view = {
            "key": [self._game, self.number],  # of the round: another one has other rows
            "title": self._title(),
            "rule": RULE if not self.score.bets else "",
            "prefix": self.round.prefix,
            "options": [
                {
                    "word": option,
                    "chips": self.chips.get(option, 0),
                    "came": told and option == self.round.word,
                    **{who: p[option] for who, p in shares.items()},
                }
                for option in self.round.options
            ],
            "chips": CHIPS,
            "left": self.left,
            "told": told,
            "over": self.over,
            "again": self.over and self._draw is not None,
            "bits": self.score.mean() if self.score.bets else {},
            "said": said,
        }


def guessing_game(
    pair: tuple[Transformer, Tokenizer], rounds: int = 8, seed: int = 0
) -> GuessingGame:
    """The widget: `rounds` rounds against a model and its tokenizer, and further games.

    >>> guessing_game(load_released("base"))
    """

    def draw(game: int) -> list[Round]:
        return draw_rounds(pair, rounds, seed + game)

    return GuessingGame(draw(0), draw)
