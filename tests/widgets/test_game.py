"""Bets, scores and rounds of the guessing game follow its rules, and honesty pays best."""

import math
from dataclasses import replace

import pytest

from course_lib.pipeline.release import load_released
from course_lib.plots import bit_bars, text_card
from course_lib.widgets import game
from course_lib.widgets.game import (
    CHIPS,
    ELSE,
    MOST_OPTIONS,
    Bet,
    GuessingGame,
    Round,
    Score,
    draw_rounds,
    expected,
    guessing_game,
    probabilities,
    score_in_words,
    surprise,
)
from course_lib.world.documents import world_grammar

OPTIONS = ("four", "six", ELSE)
TRUTH = {"four": 0.25, "six": 0.75, ELSE: 0.0}
MODEL = {"four": 0.5, "six": 0.375, ELSE: 0.125}
FOUR = Round("In that match <b>Ben</b> hit a", OPTIONS, "four", TRUTH, MODEL)
SIX = replace(FOUR, word="six")


@pytest.fixture(scope="module")
def pair():
    return load_released("base")


@pytest.fixture(scope="module")
def drawn(pair):
    return draw_rounds(pair)


def test_chips_and_free_ones_are_shares_of_all():
    # 10 chips and 3 free tenths: 10.3 in all
    assert probabilities({"six": 6, "four": 4}, OPTIONS) == pytest.approx(
        {"four": 4.1 / 10.3, "six": 6.1 / 10.3, ELSE: 0.1 / 10.3}
    )


def test_a_miss_costs_many_bits_and_no_infinity():
    all_on_six = {"six": 10}

    assert Bet(SIX, all_on_six).bits["you"] == pytest.approx(math.log2(10.3 / 10.1))
    assert Bet(FOUR, all_on_six).bits["you"] == pytest.approx(math.log2(103))


def test_surprise_is_the_logarithm_of_one_over_p():
    assert [surprise(p) for p in (1, 0.5, 0.125, 0)] == [0, 1, 3, math.inf]


def test_expected_bits_are_those_of_every_word_by_its_probability():
    assert expected(MODEL, TRUTH) == pytest.approx(0.25 * 1 + 0.75 * math.log2(8 / 3))
    assert expected(TRUTH, TRUTH) == pytest.approx(0.25 * 2 + 0.75 * math.log2(4 / 3))


@pytest.mark.parametrize(
    ("chips", "message"),
    [
        ({"six": 9}, "10 chips must be placed, none of them below 0, got {'six': 9}: 9 in all"),
        ({"six": 11, "four": -1}, "none of them below 0"),
        ({"six": math.nan}, "10 chips must be placed"),
        ({"seven": 10}, r"on four, six, something else: not on \['seven'\]"),
    ],
)
def test_a_bet_that_breaks_the_rule_is_refused(chips, message):
    with pytest.raises(ValueError, match=message):
        probabilities(chips, OPTIONS)


def test_a_score_adds_up_bit_by_bit():
    evenly = dict.fromkeys(OPTIONS, CHIPS / 3)
    score = Score().add(Bet(FOUR, evenly)).add(Bet(SIX, evenly))

    assert score.total() == pytest.approx(
        {"you": 2 * math.log2(3), "model": 1 + math.log2(8 / 3), "truth": 2 + math.log2(4 / 3)}
    )
    assert score.mean()["model"] == pytest.approx((1 + math.log2(8 / 3)) / 2)
    assert score.long_run()["you"] == pytest.approx(math.log2(3))


def test_the_end_tells_luck_from_skill():
    score = Score((Bet(FOUR, {"four": 10}),))

    assert repr(score) == score_in_words(score)
    assert score_in_words(score) == (
        "Mean bits of surprise in 1 round: you 0.03, model 1.00, truth 2.00. So you paid 1.97 less "
        "than the truth, the model paid 1.00 less than the truth. The truth's mean is a sample of "
        "the entropy: in a few rounds luck can beat it, in the long run nobody can. With these "
        "bets, were each round drawn again and again: you 5.02, model 1.31, truth 0.81."
    )
    assert "the model paid as much as the truth" in score_in_words(
        Score((Bet(replace(FOUR, model=TRUTH), {"four": 10}),))
    )


def test_no_strategy_beats_the_truth_in_the_long_run(drawn):
    for strategy in (
        lambda round: {max(round.truth, key=round.truth.get): 10},
        lambda round: {word: 10 * p for word, p in round.model.items()},
        lambda round: {word: 10 / len(round.options) for word in round.options},
        lambda round: {word: 10 * p for word, p in round.truth.items()},
    ):
        long_run = Score(tuple(Bet(round, strategy(round)) for round in drawn)).long_run()

        assert min(long_run, key=long_run.get) == "truth"


def test_a_game_begins_without_a_bet():
    assert repr(Score()) == "no bet yet"


def test_rounds_are_choices_of_the_world(drawn):
    assert len(drawn) == len({round.prefix for round in drawn}) == 8
    for round in drawn:
        truth = {w.strip(): p for w, p in world_grammar().next_word(round.prefix).items()}
        assert round.truth == truth | {ELSE: 0.0}
        assert 2 <= len(round.options) - 1 <= MOST_OPTIONS
        # the order gives nothing away
        assert round.options == (*sorted(truth, key=str.casefold), ELSE)
        assert round.word in truth
        assert sum(round.model.values()) == pytest.approx(1)


def test_a_seed_says_which_rounds_come(pair, drawn):
    assert draw_rounds(pair, 8, seed=0) == drawn
    few = {seed: [(r.prefix, r.word) for r in draw_rounds(pair, 3, seed)] for seed in (0, 1)}
    assert few[0] == [(round.prefix, round.word) for round in drawn[:3]] != few[1]


def test_words_come_as_often_as_the_truth_says(monkeypatch):
    # 300 rounds with one word far likelier than the other: no model is needed to draw them
    points = [
        (f"In match {i} Ben hit a", "reports", {" six": 0.9, " four": 0.1}) for i in range(300)
    ]
    monkeypatch.setattr(game, "choice_points", lambda n, seed: (points, 0))
    monkeypatch.setattr(game, "word_log_probs", lambda *args: [math.log(0.4)] * 600)

    found = draw_rounds((None, None), 300)

    # the standard deviation of the number of sixes is 5.2
    assert 250 <= sum(round.word == "six" for round in found) <= 290
    assert found[0].model == pytest.approx({"four": 0.4, "six": 0.4, ELSE: 0.2})


def bet(widget: GuessingGame, *chips: int) -> None:
    for box, n in zip(widget.boxes.values(), chips, strict=False):
        box.value = n
    widget.button.click()


def test_a_bet_in_the_widget_is_a_bet_of_the_score():
    game = GuessingGame([FOUR, SIX])

    bet(game, 4, 6, 0)

    assert game.score == Score((Bet(FOUR, {"four": 4, "six": 6, ELSE: 0}),))
    assert "“four” came. Bits of surprise: you 1.33, model 1.00, truth 2.00." in game._said.value
    assert "→ four (came)" in game._result.value
    assert all(box.disabled for box in game.boxes.values())
    assert game.button.description == "Next round"


def test_the_next_round_starts_with_no_chips():
    game = GuessingGame([FOUR, SIX])
    bet(game, 10, 0, 0)

    game.button.click()

    assert game.round == SIX
    assert [(box.value, box.disabled) for box in game.boxes.values()] == [(0, False)] * 3
    assert "Chips left to place: 10." in game._said.value


@pytest.mark.parametrize(("chips", "said"), [((4, 5), "place 1 more"), ((9, 3), "take 2 back")])
def test_a_wrong_number_of_chips_is_no_bet(chips, said):
    game = GuessingGame([FOUR])

    bet(game, *chips)

    assert said in game._said.value
    assert game.score == Score() and game.button.description == "Bet"


def test_the_last_round_ends_with_the_verdict():
    game = GuessingGame([FOUR])

    bet(game, 10)

    assert score_in_words(game.score).replace("'", "&#x27;") in game._said.value
    assert game.button.disabled


def test_a_round_with_fewer_options_shows_fewer_boxes():
    game = GuessingGame([FOUR, replace(SIX, options=("six", ELSE))])
    bet(game, 10)

    game.button.click()

    assert [box.description for box in game._places.children] == ["six", ELSE]


def test_texts_are_shown_as_text():
    marked = replace(
        FOUR,
        options=("<i>four", *OPTIONS[1:]),
        word="<i>four",
        truth={"<i>four": 0.25, "six": 0.75, ELSE: 0.0},
        model=MODEL | {"<i>four": 0.5},
    )
    game = GuessingGame([marked])

    bet(game, 10)

    shown = game._heading.value + game._said.value + game._result.value
    assert "&lt;b&gt;Ben&lt;/b&gt; hit a" in shown and "“&lt;i&gt;four”" in shown
    assert "<b>Ben" not in shown and "<i>" not in shown


def test_the_picture_is_the_first_round_then_the_means():
    game = GuessingGame([FOUR, SIX])

    assert repr(game) == (
        "Round 1 of 2, what comes next: 'In that match <b>Ben</b> hit a'. "
        "You place 10 chips on: four, six, something else."
    )
    bet(game, 10)

    assert repr(game) == (
        "Bars, bits a round after 1 of 2 rounds: you 0.03 bits, model 1.00 bits, truth 2.00 bits."
    )
    assert "image/png" in game._repr_mimebundle_()[0]


def test_the_widget_draws_its_rounds_from_a_seed(pair):
    assert guessing_game(pair, rounds=2, seed=3).rounds == tuple(draw_rounds(pair, 2, 3))
    for wrong in (0, 2.5, True):
        with pytest.raises(ValueError, match="rounds must be a whole number of 1 or more"):
            guessing_game(pair, rounds=wrong)


def test_bits_are_bars_and_texts_are_cards():
    bars = bit_bars("means", {"you": 2.0, "truth": 0.5}).figure.axes[0]
    card = text_card("a title", "cost $1_000$\nnext", "a note").figure.axes[0]

    assert [bar.get_width() for bar in bars.patches] == [2.0, 0.5]
    assert bars.patches[0].get_hatch() != bars.patches[1].get_hatch()
    assert [text.get_text() for text in card.texts] == ["cost $1_000$\nnext", "a note"]
    assert not card.texts[0].get_parse_math()
