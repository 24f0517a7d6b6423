"""A guessing game in bits: you, the model and the truth bet on the next word of a document.

In this course's world the true probabilities are known, so what the best possible player pays is
known too: the entropy. Left out: real text, whose true probabilities nobody knows.
"""

import html
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import ipywidgets

from course_lib import plots
from course_lib.measure.choice_points import choice_points
from course_lib.measure.log_probs import word_log_probs
from course_lib.model.transformer import Transformer
from course_lib.text.tokenizer import Tokenizer
from course_lib.widgets.page import style
from course_lib.widgets.shell import Pictured

CHIPS = 10  # to place in each round
FREE = 0.1  # of a chip, for every option: so a miss costs many bits, but not infinitely many
ELSE = "something else"
MOST_OPTIONS = 6  # ELSE not counted
PLAYERS = ("you", "model", "truth")
RULE = (
    f"Each round you place {CHIPS} chips on what may come next. Each option gets {FREE} of a chip "
    "for free, and your share of all chips on an option is the probability p that you give it. "
    "For the word that comes you pay log2(1/p) bits of surprise: the fewer, the better."
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


def result_table(score: Score) -> str:
    """HTML: the last bet beside the model's and the true probabilities, and the bits so far."""
    bet = score.bets[-1]
    head = "".join(f'<th scope="col">{who}</th>' for who in PLAYERS)

    def row(name: str, cells: list[str], css: str = "") -> str:
        values = "".join(f"<td>{cell}</td>" for cell in cells)
        return f'<tr{css}><th scope="row">{name}</th>{values}</tr>'

    body = "".join(
        row(
            f"{'→ ' if came else ''}{html.escape(option)}{' (came)' if came else ''}",
            [f"{bet.shares[who][option]:.0%}" for who in PLAYERS],
            ' class="came"' if came else "",
        )
        for option in bet.round.options
        for came in [option == bet.round.word]
    )
    foot = "".join(
        row(name, [f"{found[who]:.2f}" for who in PLAYERS])
        for name, found in (
            ("bits, this round", bet.bits),
            ("bits, all rounds", score.total()),
            ("bits, mean", score.mean()),
        )
    )
    return (
        f"<table><caption>Round {len(score.bets)}: probabilities, and bits of surprise</caption>"
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody><tfoot>{foot}</tfoot></table>"
    )


class GuessingGame(Pictured, ipywidgets.VBox):
    """`boxes` take the chips, `button` bets and goes on; `score` is the game so far."""

    def __init__(self, rounds: Sequence[Round]):
        self.rounds, self.score, self.number = tuple(rounds), Score(), 0
        self._heading, self._said, self._result = (ipywidgets.HTML() for _ in range(3))
        self._pool = [
            ipywidgets.BoundedIntText(
                min=0,
                max=CHIPS,
                continuous_update=True,  # the chips left are counted while one types
                style={"description_width": "8.5em"},
                layout=ipywidgets.Layout(width="13.5em"),
            )
            for _ in range(max(len(round.options) for round in rounds))
        ]
        for box in self._pool:
            box.observe(self._count, "value")
        self._places = ipywidgets.Box(layout=ipywidgets.Layout(flex_flow="row wrap"))
        self.button = ipywidgets.Button(button_style="primary")
        self.button.on_click(self._press)
        self._begin()
        super().__init__([self._heading, self._places, self._said, self.button, self._result])
        self.add_class("course-game")

    @property
    def round(self) -> Round:
        return self.rounds[self.number]

    @property
    def boxes(self) -> dict[str, ipywidgets.BoundedIntText]:
        """The box of each option."""
        return dict(zip(self.round.options, self._pool, strict=False))

    def _begin(self) -> None:
        self._betting = False  # emptying the boxes is no move
        for option, box in self.boxes.items():
            box.description, box.value, box.disabled = option, 0, False
        self._places.children = list(self.boxes.values())
        self._heading.value = (
            f"{style('game.css')}<p>{RULE}</p><strong>{self._title()}</strong>"
            f'<pre class="course-text">{html.escape(self.round.prefix)}'
            f'<span role="img" aria-label="what comes next?"> ____</span></pre>'
        )
        self.button.description = "Bet"
        self._betting = True
        self._count()

    def _title(self) -> str:
        return f"Round {self.number + 1} of {len(self.rounds)}, what comes next"

    def _say(self, words: str) -> None:
        self._said.value = f'<p role="status" aria-live="polite">{html.escape(words)}</p>'

    def _left(self) -> int:
        return CHIPS - sum(box.value for box in self.boxes.values())

    def _count(self, change=None) -> None:
        if self._betting:
            self._say(f"Chips left to place: {self._left()}.")

    def _press(self, button) -> None:
        if not self._betting:
            self.number += 1
            self._begin()
        elif self._left():
            wrong = (
                f"place {self._left()} more" if self._left() > 0 else f"take {-self._left()} back"
            )
            self._say(f"You have {CHIPS} chips: {wrong}, then bet.")
        else:
            self._reveal()

    def _reveal(self) -> None:
        self._betting = False
        chips = {option: box.value for option, box in self.boxes.items()}
        self.score = self.score.add(Bet(self.round, chips))
        for box in self.boxes.values():
            box.disabled = True
        paid = self.score.bets[-1].bits
        listed = ", ".join(f"{who} {paid[who]:.2f}" for who in PLAYERS)
        over = len(self.score.bets) == len(self.rounds)
        self._say(
            f"“{self.round.word}” came. Bits of surprise: {listed}."
            + (f" The game is over. {score_in_words(self.score)}" if over else "")
        )
        self._result.value = result_table(self.score)
        self.button.description = "The game is over" if over else "Next round"
        self.button.disabled = over

    def picture(self) -> plots.Picture:
        """The first round while no bet is placed, then the mean bits of all players."""
        if not self.score.bets:
            options = ", ".join(self.round.options)
            return plots.text_card(
                self._title(), self.round.prefix, f"You place {CHIPS} chips on: {options}."
            )
        n = len(self.score.bets)
        title = f"bits a round after {n} of {len(self.rounds)} rounds"
        return plots.bit_bars(title, self.score.mean())


def guessing_game(
    pair: tuple[Transformer, Tokenizer], rounds: int = 8, seed: int = 0
) -> GuessingGame:
    """The widget: `rounds` rounds against a model and its tokenizer.

    >>> guessing_game(load_released("base"))
    """
    return GuessingGame(draw_rounds(pair, rounds, seed))
